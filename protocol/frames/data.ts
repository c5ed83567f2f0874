import { FRAME_LIMITS } from './frame-limits.js'
import type { Fields, FrameReader } from './frame-reader.js'
import type { DataFrame, WireAttributes, WireMessage } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'
import { readEpoch, readLogName, readSeq } from './position.js'

/** Elements of a message in this version; later ones may append more. */
const ELEMENTS = 8

export function readData(fields: Fields): DataFrame {
  const log = readLogName(fields.at('log'))
  const epoch = readEpoch(fields.at('epoch'))
  const prev = readSeq(fields.at('prev'), 0)
  const reader = fields.at('messages')
  const count = reader.arrayHeader(FRAME_LIMITS.messages)
  if (count === 0) throw reader.error('out_of_range')
  const messages: WireMessage[] = []
  let last = prev
  for (let i = 0; i < count; i++) {
    reader.atIndex(i)
    const message = readMessage(reader, last)
    last = message.seq
    messages.push(message)
  }
  return { t: 'data', log, epoch, prev, messages }
}

function readMessage(reader: FrameReader, last: number): WireMessage {
  const more = reader.tupleHeader(ELEMENTS)
  reader.atElement(0)
  const seq = readSeq(reader, 1)
  if (seq <= last) throw reader.error('bad_order')
  reader.atElement(1)
  const at = reader.integer(0, Number.MAX_SAFE_INTEGER)
  reader.atElement(2)
  const expiresAt = reader.nil() ? null : reader.integer(0, Number.MAX_SAFE_INTEGER)
  reader.atElement(3)
  const flags = reader.integer(0, 0x7fff_ffff)
  reader.atElement(4)
  const dedupId = reader.nil() ? null : reader.string(1, FRAME_LIMITS.dedupIdBytes)
  reader.atElement(5)
  const contentType = reader.nil() ? null : reader.string(1, FRAME_LIMITS.contentTypeBytes)
  reader.atElement(6)
  const attributes = reader.nil() ? null : readAttributes(reader)
  reader.atElement(7)
  const payload = reader.binary(Number.MAX_SAFE_INTEGER)
  for (let i = 0; i < more; i++) reader.skip()
  return { seq, at, expiresAt, flags, dedupId, contentType, attributes, payload }
}

function readAttributes(reader: FrameReader): WireAttributes {
  const count = reader.mapHeader(FRAME_LIMITS.attributes)
  const attributes: Array<readonly [string, string]> = []
  const keys = new Set<string>()
  for (let i = 0; i < count; i++) {
    const key = reader.string(1, FRAME_LIMITS.attributeKeyBytes)
    if (keys.has(key)) throw reader.error('duplicate_key')
    keys.add(key)
    attributes.push([key, reader.string(0, FRAME_LIMITS.attributeValueBytes)])
  }
  return attributes
}

/** Everything of a data frame up to its messages; `count` of them must follow. */
export function writeDataHeader(
  writer: FrameWriter,
  frame: Pick<DataFrame, 'log' | 'epoch' | 'prev'>,
  count: number,
): void {
  writer.map(5)
  writer.string('t')
  writer.string('data')
  writer.string('log')
  writer.string(frame.log)
  writer.string('epoch')
  writer.string(frame.epoch)
  writer.string('prev')
  writer.uint(frame.prev)
  writer.string('messages')
  writer.array(count)
}

/** One message of a data frame, with the given flags. */
export function writeMessage(writer: FrameWriter, message: Omit<WireMessage, 'flags'>, flags: number): void {
  const { expiresAt, dedupId, contentType, attributes } = message
  writer.array(ELEMENTS)
  writer.uint(message.seq)
  writer.uint(message.at)
  if (expiresAt === null) writer.nil()
  else writer.uint(expiresAt)
  writer.uint(flags)
  if (dedupId === null) writer.nil()
  else writer.string(dedupId)
  if (contentType === null) writer.nil()
  else writer.string(contentType)
  if (attributes === null) writer.nil()
  else {
    writer.map(attributes.length)
    for (const [key, value] of attributes) {
      writer.string(key)
      writer.string(value)
    }
  }
  writer.binary(message.payload)
}

export function encodeData(frame: Omit<DataFrame, 't'>): Uint8Array {
  const writer = new FrameWriter(1024)
  writeDataHeader(writer, frame, frame.messages.length)
  for (const message of frame.messages) writeMessage(writer, message, message.flags)
  return writer.bytes()
}
