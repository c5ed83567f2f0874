// A position as scripts get it: u8 length of the epoch (0: none), the epoch, u48 seq.

import type { Position } from '../../model/message.js'

/** No seq is higher; what a client claims may be. */
const MOST_SEQ = 2 ** 48 - 1

/** How many bytes `writePosition` writes. */
export const positionLength = (position: Position | null | undefined): number => 7 + epochBytes(position)

/** Writes at `start`; answers where it ends. */
export function writePosition(position: Position | null | undefined, out: Buffer, start: number): number {
  const length = epochBytes(position)
  let at = out.writeUInt8(length, start)
  if (position !== null && position !== undefined && length > 0) at += out.write(position.epoch, at)
  return out.writeUIntBE(Math.min(position?.seq ?? 0, MOST_SEQ), at, 6)
}

/** A text that is too long for an epoch is none that a log can have. */
function epochBytes(position: Position | null | undefined): number {
  if (position === null || position === undefined) return 0
  const bytes = Buffer.byteLength(position.epoch)
  return bytes > 255 ? 0 : bytes
}
