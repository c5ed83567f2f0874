import type { FrameReader } from './frame-reader.js'

/** Longer than the name of any frame. */
const TYPE_BYTES = 64

/** The value of `t`. */
export function readType(reader: FrameReader): string {
  return reader.string(0, TYPE_BYTES)
}
