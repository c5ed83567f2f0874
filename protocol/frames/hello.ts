import { utf8Length } from '../utf8-length.js'
import { FrameError } from './frame-error.js'
import { FRAME_LIMITS } from './frame-limits.js'
import type { Fields } from './frame-reader.js'
import { WIRE_VERSION, type HelloFrame } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'
import { readLogs, readPosition, writePositions } from './position.js'

export function readHello(fields: Fields): HelloFrame {
  readVersion(fields)
  return {
    t: 'hello',
    v: WIRE_VERSION,
    cursors: readLogs(fields.at('cursors'), 0, readPosition),
    window: fields.at('window').integer(1, FRAME_LIMITS.window),
    maxFrameBytes: fields.at('maxFrameBytes').integer(FRAME_LIMITS.minFrameBytes, FRAME_LIMITS.maxFrameBytes),
    sdk: fields.at('sdk').string(0, FRAME_LIMITS.sdkBytes),
  }
}

/** Another version is refused before anything else of the frame is looked at: it may have other fields. */
export function readVersion(fields: Fields): void {
  const reader = fields.at('v')
  if (reader.integer(0, Number.MAX_SAFE_INTEGER) !== WIRE_VERSION) throw reader.error('unsupported_version')
}

/** Throws FrameError for what the server would refuse. */
export function encodeHello(frame: Omit<HelloFrame, 't' | 'v'>): Uint8Array {
  const { cursors, window, maxFrameBytes, sdk } = frame
  const outside = (value: number, min: number, max: number): boolean => !(value >= min && value <= max)
  if (cursors.size > FRAME_LIMITS.logs) throw new FrameError('out_of_range', 'cursors')
  if (outside(window, 1, FRAME_LIMITS.window)) throw new FrameError('out_of_range', 'window')
  if (outside(maxFrameBytes, FRAME_LIMITS.minFrameBytes, FRAME_LIMITS.maxFrameBytes)) {
    throw new FrameError('out_of_range', 'maxFrameBytes')
  }
  if (utf8Length(sdk) > FRAME_LIMITS.sdkBytes) throw new FrameError('out_of_range', 'sdk')
  const writer = new FrameWriter()
  writer.map(6)
  writer.string('t')
  writer.string('hello')
  writer.string('v')
  writer.uint(WIRE_VERSION)
  writer.string('cursors')
  writePositions(writer, cursors)
  writer.string('window')
  writer.uint(window)
  writer.string('maxFrameBytes')
  writer.uint(maxFrameBytes)
  writer.string('sdk')
  writer.string(sdk)
  return writer.bytes()
}
