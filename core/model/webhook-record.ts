// The stored form of a webhook: JSON, the same in every store.

import type { KeptSecret, Webhook } from '../ports/webhook-store.js'
import { EVENT_TYPES, type EventType } from './event.js'

/** The next version may add fields to what it writes, and is read. */
const FORMAT = 1
const NEWEST_FORMAT = FORMAT + 1

export function encodeWebhook({ id, url, events, enabled, secrets, createdAt, updatedAt }: Webhook): string {
  return JSON.stringify({ format: FORMAT, id, url, events, enabled, secrets, createdAt, updatedAt })
}

const isEventType = (value: unknown): value is EventType => EVENT_TYPES.some((type) => type === value)

/** Throws RangeError: a newer version wrote it, or it is damaged. */
export function decodeWebhook(text: string): Webhook {
  const fields = fieldsOf(JSON.parse(text))
  const format = fields.get('format')
  if (typeof format !== 'number' || format < 1 || format > NEWEST_FORMAT)
    throw new RangeError(`a webhook has the unknown format ${String(format)}`)
  const [id, url] = ['id', 'url'].map((name) => fields.get(name))
  const [createdAt, updatedAt] = ['createdAt', 'updatedAt'].map((name) => fields.get(name))
  const events = fields.get('events')
  const secrets = fields.get('secrets')
  if (typeof id !== 'string' || typeof url !== 'string') return damaged()
  if (typeof createdAt !== 'number' || typeof updatedAt !== 'number') return damaged()
  if (!Array.isArray(events) || !Array.isArray(secrets)) return damaged()
  return {
    id,
    url,
    // A type that a newer version knows is of no use here.
    events: events.filter(isEventType),
    enabled: fields.get('enabled') === true,
    secrets: secrets.map(secretOf),
    createdAt,
    updatedAt,
  }
}

function secretOf(value: unknown): KeptSecret {
  const fields = fieldsOf(value)
  const [text, sealedBy, until] = ['text', 'sealedBy', 'until'].map((name) => fields.get(name))
  if (typeof text !== 'string') return damaged()
  if (sealedBy !== null && typeof sealedBy !== 'string') return damaged()
  if (until !== null && typeof until !== 'number') return damaged()
  return { text, sealedBy, until }
}

function fieldsOf(value: unknown): ReadonlyMap<string, unknown> {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : damaged()
}

function damaged(): never {
  throw new RangeError('a webhook in the store is damaged')
}
