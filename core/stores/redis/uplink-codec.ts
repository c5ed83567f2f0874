// An uplink in the log. The scripts write its head (u8 format, u48 at, u32 size) and read nothing else; what follows is of this
// file: u8 flags, then as texts (u32 length, UTF-8) device, channel and, if there is one, content type; payload to the end.

import { createHash } from 'node:crypto'
import type { NewUplink, StoredUplink } from '../../ports/uplink.js'
import { behindAdditions, readableFormat } from './formats.js'

const HEAD = 11
const WILL = 1
const CONTENT_TYPE = 2

export function encodeUplink({ device, channel, contentType, will, payload }: NewUplink): Buffer {
  const texts = [device, channel, ...(contentType === null ? [] : [contentType])].map((text) => Buffer.from(text))
  const out = Buffer.allocUnsafe(1 + texts.reduce((sum, text) => sum + 4 + text.length, 0) + payload.byteLength)
  let at = out.writeUInt8((will ? WILL : 0) | (contentType === null ? 0 : CONTENT_TYPE), 0)
  for (const text of texts) {
    at = out.writeUInt32BE(text.length, at)
    at += text.copy(out, at)
  }
  out.set(payload, at)
  return out
}

/** `entry` must not change afterwards: the payload is a view of it. */
export function decodeUplink(id: string, entry: Buffer): StoredUplink {
  let at = behindAdditions(entry, HEAD, readableFormat(entry[0], `uplink ${id}`))
  const flags = entry.readUInt8(at++)
  const text = (): string => {
    const length = entry.readUInt32BE(at)
    at += 4 + length
    return entry.toString('utf8', at - length, at)
  }
  const device = text()
  const channel = text()
  const contentType = (flags & CONTENT_TYPE) === 0 ? null : text()
  return {
    id,
    at: entry.readUIntBE(1, 6),
    device,
    channel,
    contentType,
    will: (flags & WILL) !== 0,
    payload: entry.subarray(at),
  }
}

/** What makes two uplinks with one dedup id the same: channel, content type and payload. 16 bytes. */
export function uplinkHash({ channel, contentType, payload }: NewUplink): Buffer {
  const head = JSON.stringify([channel, contentType])
  return createHash('sha256').update(head).update(payload).digest().subarray(0, 16)
}

/** Names a device's dedup id. */
export const uplinkIdHash = (device: string, dedupId: string): string =>
  createHash('sha256')
    .update(JSON.stringify([device, dedupId]))
    .digest()
    .toString('base64url', 0, 16)
