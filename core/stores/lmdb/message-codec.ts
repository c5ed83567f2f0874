// The stored form of a message, the same in the journal and as an entry of its own:
//   u8 format, u8 flags, u48 at, u48 expiresAt (0: none), u48 cumulative, u32 size,
//   [text dedupId], text contentType, [u16 pairs, (text, text)…], payload to the end

import type { StoredMessage } from '../../model/message.js'
import { ByteReader, type ByteWriter } from './bytes.js'

const FORMAT = 1
const HIGH = 1
const DEDUP_ID = 2
const ATTRIBUTES = 4
const RECEIPT = 8

/** A message with what the store keeps beside it. */
export interface LogEntry {
  readonly message: StoredMessage
  /** `messageSize` of the message. */
  readonly size: number
  /** Sum of the sizes of all messages ever appended to the log, up to and including this one. */
  readonly cumulative: number
}

export function writeEntry(out: ByteWriter, entry: LogEntry): void {
  const m = entry.message
  out.u8(FORMAT)
  out.u8(
    (m.priority === 'high' ? HIGH : 0) |
      (m.dedupId === null ? 0 : DEDUP_ID) |
      (m.attributes === null ? 0 : ATTRIBUTES) |
      (m.receipt === true ? RECEIPT : 0),
  )
  out.u48(m.at)
  out.u48(m.expiresAt ?? 0)
  out.u48(entry.cumulative)
  out.u32(entry.size)
  if (m.dedupId !== null) out.text(m.dedupId)
  out.text(m.contentType)
  if (m.attributes !== null) {
    out.u16(m.attributes.length)
    for (const [key, value] of m.attributes) {
      out.text(key)
      out.text(value)
    }
  }
  out.bytes(m.payload)
}

/** `bytes` must not change afterwards: the payload is a view of it. */
export function readEntry(seq: number, bytes: Buffer): LogEntry {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== FORMAT) throw new RangeError(`message ${seq} has the unknown format ${format}`)
  const flags = input.u8()
  const at = input.u48()
  const expires = input.u48()
  const cumulative = input.u48()
  const size = input.u32()
  const dedupId = (flags & DEDUP_ID) === 0 ? null : input.text()
  const contentType = input.text()
  let attributes: Array<readonly [string, string]> | null = null
  if ((flags & ATTRIBUTES) !== 0) {
    attributes = []
    for (let n = input.u16(); n > 0; n--) attributes.push([input.text(), input.text()])
  }
  return {
    message: {
      seq,
      at,
      expiresAt: expires === 0 ? null : expires,
      priority: (flags & HIGH) === 0 ? 'normal' : 'high',
      dedupId,
      contentType,
      attributes,
      payload: input.rest(),
      ...((flags & RECEIPT) === 0 ? {} : { receipt: true }),
    },
    size,
    cumulative,
  }
}

/** The fields at fixed places, without reading the rest. */
export function readEntryHeader(bytes: Buffer): {
  readonly at: number
  readonly expiresAt: number
  readonly cumulative: number
  readonly size: number
  readonly receipt: boolean
} {
  return {
    at: bytes.readUIntBE(2, 6),
    expiresAt: bytes.readUIntBE(8, 6),
    cumulative: bytes.readUIntBE(14, 6),
    size: bytes.readUInt32BE(20),
    receipt: (bytes.readUInt8(1) & RECEIPT) !== 0,
  }
}
