// What the server says about devices, messages and uplinks.

import { countOf, fieldsOf, flagOf, listOf, payloadOf, textOf, textOrNull, textsOf, type Fields } from './decode.js'

/** Times are RFC 3339. */
export interface DeviceView {
  readonly device: string
  readonly online: boolean
  readonly node: string | null
  readonly connectedAt: string | null
  readonly lastSeenAt: string | null
  readonly epoch: string
  /** The last seq. */
  readonly head: number
  /** Every seq up to it is handled, or will not be delivered. */
  readonly cursor: number
  /** Messages that the device may still receive. */
  readonly pending: number
  readonly oldestPendingAt: string | null
}

export interface PendingView {
  readonly seq: number
  readonly epoch: string
  readonly at: string
  readonly expiresAt: string | null
  readonly dedupId: string | null
  readonly contentType: string
  readonly attributes: ReadonlyMap<string, string>
  readonly priority: string
  /** Bytes (Uint8Array), or the value that makes the same bytes when it is pushed. */
  readonly payload: unknown
}

export interface MessageStateView {
  readonly seq: number
  readonly epoch: string
  /** `queued`, `sent`, `received`, `handled`, or why it will not be delivered. */
  readonly state: string
  readonly at: string | null
  readonly expiresAt: string | null
}

export interface CancelledView {
  readonly state: string
  /** It was on its way: if the device acknowledges it, it is handled after all. */
  readonly maybeDelivered: boolean
}

export interface UplinkView {
  /** Unique for ever; as `after` it asks for what came behind it. */
  readonly id: string
  readonly device: string
  readonly channel: string
  readonly at: string
  /** The device's last will: its connection broke. */
  readonly will: boolean
  readonly contentType: string | null
  /** Bytes (Uint8Array), text, or the value of a JSON. */
  readonly payload: unknown
}

export interface TokenView {
  readonly token: string
  readonly expiresAt: string
}

export interface Page<T> {
  readonly items: readonly T[]
  /** The `after` of the next page; null: this is the last one. */
  readonly next: string | null
}

export function readPage<T>(body: unknown, name: string, read: (fields: Fields) => T): Page<T> {
  const fields = fieldsOf(body)
  const { next } = fields
  const items = listOf(fields[name], name).map((item) => read(fieldsOf(item)))
  return { items, next: typeof next === 'string' || typeof next === 'number' ? String(next) : null }
}

export const readDevice = (fields: Fields): DeviceView => ({
  device: textOf(fields, 'device'),
  online: flagOf(fields, 'online'),
  node: textOrNull(fields, 'node'),
  connectedAt: textOrNull(fields, 'connectedAt'),
  lastSeenAt: textOrNull(fields, 'lastSeenAt'),
  epoch: textOf(fields, 'epoch'),
  head: countOf(fields, 'head'),
  cursor: countOf(fields, 'cursor'),
  pending: countOf(fields, 'pending'),
  oldestPendingAt: textOrNull(fields, 'oldestPendingAt'),
})

export const readPending = (fields: Fields): PendingView => ({
  seq: countOf(fields, 'seq'),
  epoch: textOf(fields, 'epoch'),
  at: textOf(fields, 'at'),
  expiresAt: textOrNull(fields, 'expiresAt'),
  dedupId: textOrNull(fields, 'dedupId'),
  contentType: textOf(fields, 'contentType'),
  attributes: textsOf(fields['attributes']),
  priority: textOf(fields, 'priority'),
  payload: payloadOf(fields),
})

export const readMessageState = (fields: Fields): MessageStateView => ({
  seq: countOf(fields, 'seq'),
  epoch: textOf(fields, 'epoch'),
  state: textOf(fields, 'state'),
  at: textOrNull(fields, 'at'),
  expiresAt: textOrNull(fields, 'expiresAt'),
})

export const readCancelled = (fields: Fields): CancelledView => ({
  state: textOf(fields, 'state'),
  maybeDelivered: flagOf(fields, 'maybeDelivered'),
})

export const readUplink = (fields: Fields): UplinkView => ({
  id: textOf(fields, 'id'),
  device: textOf(fields, 'device'),
  channel: textOf(fields, 'channel'),
  at: textOf(fields, 'at'),
  will: flagOf(fields, 'will'),
  contentType: textOrNull(fields, 'contentType'),
  payload: payloadOf(fields),
})

export const readToken = (fields: Fields): TokenView => ({
  token: textOf(fields, 'token'),
  expiresAt: textOf(fields, 'expiresAt'),
})
