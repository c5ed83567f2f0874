import type { Fields } from './frame-reader.js'
import type { AckFrame, WirePosition } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'
import { readLogs, readPosition, writePositions } from './position.js'

export function readAck(fields: Fields): AckFrame {
  return { t: 'ack', acks: readLogs(fields.at('acks'), 1, readPosition) }
}

export function encodeAck(acks: ReadonlyMap<string, WirePosition>): Uint8Array {
  const writer = new FrameWriter(64)
  writer.map(2)
  writer.string('t')
  writer.string('ack')
  writer.string('acks')
  writePositions(writer, acks)
  return writer.bytes()
}
