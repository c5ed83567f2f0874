// Names of logs and places in them, as they stand in frames.

import type { FrameReader } from './frame-reader.js'
import type { FrameWriter } from './frame-writer.js'
import { FRAME_LIMITS } from './frame-limits.js'
import type { WirePosition } from './frame-types.js'

const EPOCH = /^[A-Za-z0-9_-]+$/

export function readLogName(reader: FrameReader): string {
  return reader.string(1, FRAME_LIMITS.logNameBytes)
}

/** Up to 32 characters of base64url. */
export function readEpoch(reader: FrameReader): string {
  const epoch = reader.string(1, FRAME_LIMITS.epochBytes)
  if (!EPOCH.test(epoch)) throw reader.error('bad_value')
  return epoch
}

/** The seq of a message begins at 1; a cursor may stand at 0, before the first one. */
export function readSeq(reader: FrameReader, min: 0 | 1): number {
  return reader.integer(min, Number.MAX_SAFE_INTEGER)
}

/** The map of logs in a hello, ack or welcome. `readValue` finds the reader at the value of one log. */
export function readLogs<T>(reader: FrameReader, min: 0 | 1, readValue: (reader: FrameReader) => T): Map<string, T> {
  const count = reader.mapHeader(FRAME_LIMITS.logs)
  if (count < min) throw reader.error('out_of_range')
  const logs = new Map<string, T>()
  for (let i = 0; i < count; i++) {
    const log = readLogName(reader)
    reader.atKey(log)
    if (logs.has(log)) throw reader.error('duplicate_key')
    logs.set(log, readValue(reader))
  }
  return logs
}

export function readPosition(reader: FrameReader): WirePosition {
  const more = reader.tupleHeader(2)
  reader.atElement(0)
  const epoch = readEpoch(reader)
  reader.atElement(1)
  const seq = readSeq(reader, 0)
  for (let i = 0; i < more; i++) reader.skip()
  return [epoch, seq]
}

export function writePositions(writer: FrameWriter, positions: ReadonlyMap<string, WirePosition>): void {
  writer.map(positions.size)
  for (const [log, [epoch, seq]] of positions) {
    writer.string(log)
    writer.array(2)
    writer.string(epoch)
    writer.uint(seq)
  }
}
