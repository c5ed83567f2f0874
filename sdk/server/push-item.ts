// A message as it goes over HTTP: written once, so that its size is known and a retry is the same bytes.

import { DEVICE_ID_RULE, isDeviceId } from '../../protocol/device-id.js'
import { utf8Length } from '../../protocol/utf8-length.js'
import { badOption } from './push-error.js'

export interface PushOptions {
  /** Names the message for the backend: the same id within the dedup window is the same message. Default: a random one. */
  readonly dedupId?: string
  readonly contentType?: string
  /** Seconds after which an unhandled message expires. */
  readonly ttl?: number
  readonly priority?: 'normal' | 'high'
  readonly attributes?: Readonly<Record<string, string>> | ReadonlyMap<string, string>
  /** Takes it back if it has not left; the promise rejects with the reason either way. */
  readonly signal?: AbortSignal
}

export interface PushItem extends Omit<PushOptions, 'signal'> {
  readonly device: string
  /** Bytes as they are, a string as its UTF-8, anything else as JSON. */
  readonly payload: unknown
}

const NAMES: ReadonlySet<string> = new Set([
  'device',
  'payload',
  'dedupId',
  'contentType',
  'ttl',
  'priority',
  'attributes',
])

export interface EncodedItem {
  readonly device: string
  readonly dedupId: string
  /** JSON. */
  readonly text: string
  readonly bytes: number
}

/** Throws PushError `bad_option` for what cannot be said in JSON; what the values may be is the server's to say. */
export function encodeItem(item: PushItem, newId: () => string): EncodedItem {
  const { device, payload, dedupId = newId(), attributes, ...rest } = item
  if (typeof device !== 'string' || !isDeviceId(device)) throw badOption(`device: ${DEVICE_ID_RULE}`)
  if (typeof dedupId !== 'string' || dedupId === '') throw badOption('dedupId: a string that is not empty')
  for (const name of Object.keys(item)) if (!NAMES.has(name)) throw badOption(`${name}: there is no such field`)
  const fields = {
    device,
    ...encodePayload(payload),
    ...rest,
    ...(attributes === undefined ? {} : { attributes: Object.fromEntries(entriesOf(attributes)) }),
    dedupId,
  }
  const text = JSON.stringify(fields)
  return { device, dedupId, text, bytes: utf8Length(text) }
}

function entriesOf(attributes: NonNullable<PushItem['attributes']>): Iterable<readonly [string, string]> {
  if (attributes instanceof Map) return attributes
  if (typeof attributes !== 'object' || attributes === null)
    throw badOption('attributes: an object or a Map of strings')
  return Object.entries(attributes)
}

function encodePayload(payload: unknown): object {
  if (payload instanceof Uint8Array) return { payloadBase64: toBase64(payload) }
  let text: unknown
  try {
    text = JSON.stringify(payload)
  } catch (error) {
    throw badOption(`payload: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  if (typeof text !== 'string') throw badOption(`payload: a ${typeof payload} has no JSON form`)
  return { payload }
}

/** In pieces: a call has a limited number of arguments. */
const PIECE = 0x6000

function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += PIECE) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + PIECE)))
  }
  return text
}
