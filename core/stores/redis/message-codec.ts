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

export function encodeBody(m: Omit<NewMessage, 'device' | 'ttl'>): Buffer {
  const attributes = m.attributes ?? []
  const texts = [m.contentType, ...attributes.flat()].map((text) => Buffer.from(text))
  const dedupId = m.dedupId === null ? null : Buffer.from(m.dedupId)
  const length =
    1 +
    (dedupId === null ? 0 : 4 + dedupId.length) +
    texts.reduce((sum, text) => sum + 4 + text.length, 0) +
    (m.attributes === null ? 0 : 2) +
    m.payload.byteLength
  const out = Buffer.allocUnsafe(length)
  let at = out.writeUInt8(
    (m.priority === 'high' ? HIGH : 0) | (dedupId === null ? 0 : DEDUP_ID) | (m.attributes === null ? 0 : ATTRIBUTES),
    0,
  )
  if (dedupId !== null) {
    at = out.writeUInt32BE(dedupId.length, at)
    at += dedupId.copy(out, at)
  }
  for (const [i, text] of texts.entries()) {
    if (i === 1) at = out.writeUInt16BE(attributes.length, at)
    at = out.writeUInt32BE(text.length, at)
    at += text.copy(out, at)
  }
  if (m.attributes !== null && attributes.length === 0) at = out.writeUInt16BE(0, at)
  out.set(m.payload, at)
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
  }
}
