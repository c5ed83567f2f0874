import { hash } from 'node:crypto'
import type { NewMessage } from './message.js'
import { TRACEPARENT } from './trace-context.js'

const SEPARATOR = String.fromCharCode(0)

/** By way of a string: a digest as a buffer would be memory of its own outside of the heap, which costs more than the hashing. */
const digest = (data: string | Buffer): Buffer => Buffer.from(hash('sha256', data, 'binary').slice(0, 16), 'latin1')

/**
 * What makes two messages with one dedup id the same: payload bytes, content type, attributes sorted by key (but the
 * trace context), ttl, priority and receipt. 16 bytes (SHA-256, cut). Fields that a later version adds are appended only when set, so that hashes of messages
 * without them stay what they are.
 */
export function bodyHash(m: NewMessage): Buffer {
  // Lengths come first, so that no byte of one part can be taken for one of its neighbour.
  const lengths = `${m.payload.byteLength},${m.contentType.length}`
  let head = `${lengths}${SEPARATOR}${m.contentType}${SEPARATOR}${m.ttl ?? ''}${SEPARATOR}${m.priority}`
  if (m.attributes !== null) {
    for (const [key, value] of m.attributes) {
      // A repeat is another step of the trace, and the same message.
      if (key === TRACEPARENT) continue
      head += `${SEPARATOR}${key.length}:${key}${value.length}:${value}`
    }
  }
  // No attribute begins so: they begin with a length.
  if (m.receipt === true) head += `${SEPARATOR}receipt`
  const prefix = Buffer.byteLength(head)
  const bytes = Buffer.allocUnsafe(prefix + 1 + m.payload.byteLength)
  bytes.write(head, 0)
  bytes[prefix] = 0
  bytes.set(m.payload, prefix + 1)
  return digest(bytes)
}

/** 16 bytes for a dedup id (SHA-256, cut). */
export function dedupIdHash(dedupId: string): Buffer {
  return digest(dedupId)
}
