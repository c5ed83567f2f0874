import { createHash } from 'node:crypto'
import type { NewUplink } from '../../ports/uplink.js'

/** What makes two uplinks with one dedup id the same: channel, content type and payload. 16 bytes. */
export function uplinkHash({ channel, contentType, payload }: NewUplink): Buffer {
  const head = JSON.stringify([channel, contentType])
  return createHash('sha256').update(head).update(payload).digest().subarray(0, 16)
}

/** Names a device's dedup id: 16 bytes. */
export const uplinkIdHash = (device: string, dedupId: string): Buffer =>
  createHash('sha256')
    .update(JSON.stringify([device, dedupId]))
    .digest()
    .subarray(0, 16)
