// An entry of a log. The scripts write its head and read nothing else:
//   u8 format, u48 at, u48 expiresAt (0: never), u48 weight of the log up to it, u32 size
// and what follows is of this file, behind additions of a newer version (formats.ts; a text is its u32 length and its UTF-8 bytes):
//   u8 flags, [text dedupId], text contentType, [u16 pairs, (text, text) …], payload to the end

import type { NewMessage, StoredMessage } from '../../model/message.js'
import { behindAdditions, readableFormat } from './formats.js'

const HEAD = 23
const HIGH = 1
const DEDUP_ID = 2
const ATTRIBUTES = 4
/** The scripts know it, too. */
const RECEIPT = 8

type Body = Omit<NewMessage, 'device' | 'ttl'>

/** How many bytes `writeBody` writes. */
export function bodyLength({ dedupId, contentType, attributes, payload }: Body): number {
  let length = 5 + Buffer.byteLength(contentType) + payload.byteLength
  if (dedupId !== null) length += 4 + Buffer.byteLength(dedupId)
  if (attributes === null) return length
  length += 2
  for (const [key, value] of attributes) length += 8 + Buffer.byteLength(key) + Buffer.byteLength(value)
  return length
}

/** Writes at `start`; answers where it ends. */
export function writeBody(
  { dedupId, contentType, attributes, payload, priority, receipt }: Body,
  out: Buffer,
  start: number,
): number {
  let at = out.writeUInt8(
    (priority === 'high' ? HIGH : 0) |
      (dedupId === null ? 0 : DEDUP_ID) |
      (attributes === null ? 0 : ATTRIBUTES) |
      (receipt === true ? RECEIPT : 0),
    start,
  )
  if (dedupId !== null) at = writeText(dedupId, out, at)
  at = writeText(contentType, out, at)
  if (attributes !== null) {
    at = out.writeUInt16BE(attributes.length, at)
    for (const [key, value] of attributes) at = writeText(value, out, writeText(key, out, at))
  }
  out.set(payload, at)
  return at + payload.byteLength
}

function writeText(text: string, out: Buffer, at: number): number {
  const length = out.write(text, at + 4)
  out.writeUInt32BE(length, at)
  return at + 4 + length
}

export function encodeBody(m: Body): Buffer {
  const out = Buffer.allocUnsafe(bodyLength(m))
  writeBody(m, out, 0)
  return out
}

/** `entry` must not change afterwards: the payload is a view of it. */
export function decodeEntry(seq: number, entry: Buffer): StoredMessage {
  const body = behindAdditions(entry, HEAD, readableFormat(entry[0], `message ${seq}`))
  const expires = entry.readUIntBE(7, 6)
  return decodeBody(entry.subarray(body), seq, entry.readUIntBE(1, 6), expires === 0 ? null : expires)
}

/** The inverse of `encodeBody`, with what stands outside. `entry` must not change afterwards. Throws RangeError. */
export function decodeBody(entry: Buffer, seq: number, storedAt: number, expiresAt: number | null): StoredMessage {
  let at = 0
  const flags = entry.readUInt8(at++)
  const text = (): string => {
    const length = entry.readUInt32BE(at)
    at += 4 + length
    return entry.toString('utf8', at - length, at)
  }
  const dedupId = (flags & DEDUP_ID) === 0 ? null : text()
  const contentType = text()
  let attributes: Array<readonly [string, string]> | null = null
  if ((flags & ATTRIBUTES) !== 0) {
    attributes = []
    const pairs = entry.readUInt16BE(at)
    at += 2
    for (let n = pairs; n > 0; n--) attributes.push([text(), text()])
  }
  return {
    seq,
    at: storedAt,
    expiresAt,
    priority: (flags & HIGH) === 0 ? 'normal' : 'high',
    dedupId,
    contentType,
    attributes,
    payload: entry.subarray(at),
    ...((flags & RECEIPT) === 0 ? {} : { receipt: true }),
  }
}
