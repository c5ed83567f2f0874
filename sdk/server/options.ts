import { systemClock } from '../device/system-clock.js'
import type { Fetch, HttpSettings } from './http-call.js'
import { badOption } from './push-error.js'
import type { PushQueueSettings } from './push-queue.js'

export interface PushClientOptions {
  /** Of the REST API, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly apiKey: string
  readonly batch?: {
    /** Messages of a request. Default 500, at most 1,000. */
    readonly count?: number
    /** Bytes of a request. Default 1 MiB; a larger message goes alone. */
    readonly bytes?: number
    /** Milliseconds that the first message of a request waits for others. Default 2. */
    readonly delayMs?: number
  }
  /** Requests with messages at once. Default 4. */
  readonly concurrency?: number
  readonly retry?: {
    /** Milliseconds for which a call is tried again. 0: never. Default 60,000. */
    readonly forMs?: number
    /** First delay, doubling … Default 100. */
    readonly minMs?: number
    /** … up to this. Default 10,000. */
    readonly maxMs?: number
    /** Try again when a device's inbox is full, too. Default false: `inbox_full` is told at once. */
    readonly inboxFull?: boolean
  }
  /** Milliseconds for the answer to one request. Default 30,000. */
  readonly requestTimeoutMs?: number
  /** Messages that may wait to be sent. Default 100,000. */
  readonly maxQueued?: number
  /** Bytes of them. Default 256 MiB. */
  readonly maxQueuedBytes?: number
  /** In place of the global one. */
  readonly fetch?: Fetch
}

export interface PushClientSettings {
  readonly http: HttpSettings
  readonly queue: PushQueueSettings
}

const BATCH_MAX = 1_000
const DAY_MS = 86_400_000

function integer(value: unknown, path: string, min: number, max: number, preset: number): number {
  if (value === undefined) return preset
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw badOption(`${path}: an integer from ${min} to ${max}`)
  }
  return value
}

function fieldsOf(value: unknown, path: string, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badOption(`${path}: an object`)
  for (const name of Object.keys(value)) {
    if (!names.includes(name))
      throw badOption(`${path === 'options' ? '' : `${path}.`}${name}: there is no such option`)
  }
  return { ...value }
}

const isFetch = (value: unknown): value is Fetch => typeof value === 'function'

function readUrl(value: unknown): string {
  if (typeof value !== 'string' || !URL.canParse(value)) throw badOption('url: a URL as a string')
  const { protocol, username, password, search, hash } = new URL(value)
  if (protocol !== 'http:' && protocol !== 'https:') throw badOption('url: http:// or https://')
  if (username !== '' || password !== '') throw badOption('url: without a user name and password')
  if (search !== '' || hash !== '') throw badOption('url: without a query or fragment')
  return value.replace(/\/+$/, '')
}

/** Every option there is. */
export const PUSH_CLIENT_OPTIONS: ReadonlyArray<keyof PushClientOptions> = [
  'url',
  'apiKey',
  'batch',
  'concurrency',
  'retry',
  'requestTimeoutMs',
  'maxQueued',
  'maxQueuedBytes',
  'fetch',
]

/** Throws PushError `bad_option`. */
export function readPushOptions(options: unknown): PushClientSettings {
  const fields = fieldsOf(options, 'options', PUSH_CLIENT_OPTIONS)
  const { apiKey, fetch: given } = fields
  if (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey))
    throw badOption('apiKey: a string of visible ASCII characters')
  if (given !== undefined && !isFetch(given)) throw badOption('fetch: a function')
  const { batch: givenBatch = {}, retry: givenRetry = {} } = fields
  const batch = fieldsOf(givenBatch, 'batch', ['count', 'bytes', 'delayMs'])
  const retry = fieldsOf(givenRetry, 'retry', ['forMs', 'minMs', 'maxMs', 'inboxFull'])
  const { inboxFull = false } = retry
  if (typeof inboxFull !== 'boolean') throw badOption('retry.inboxFull: true or false')
  const retryMinMs = integer(retry['minMs'], 'retry.minMs', 1, DAY_MS, 100)
  return {
    http: {
      url: readUrl(fields['url']),
      apiKey,
      requestTimeoutMs: integer(fields['requestTimeoutMs'], 'requestTimeoutMs', 1, DAY_MS, 30_000),
      fetch: given ?? ((url, init) => fetch(url, init)),
      clock: systemClock,
      wallClock: Date.now,
    },
    queue: {
      count: integer(batch['count'], 'batch.count', 1, BATCH_MAX, 500),
      bytes: integer(batch['bytes'], 'batch.bytes', 1, Number.MAX_SAFE_INTEGER, 1024 * 1024),
      delayMs: integer(batch['delayMs'], 'batch.delayMs', 0, DAY_MS, 2),
      concurrency: integer(fields['concurrency'], 'concurrency', 1, 1_000, 4),
      retryForMs: integer(retry['forMs'], 'retry.forMs', 0, DAY_MS, 60_000),
      retryMinMs,
      retryMaxMs: integer(retry['maxMs'], 'retry.maxMs', retryMinMs, DAY_MS, Math.max(retryMinMs, 10_000)),
      retryInboxFull: inboxFull,
      maxQueued: integer(fields['maxQueued'], 'maxQueued', 1, Number.MAX_SAFE_INTEGER, 100_000),
      maxQueuedBytes: integer(
        fields['maxQueuedBytes'],
        'maxQueuedBytes',
        1,
        Number.MAX_SAFE_INTEGER,
        256 * 1024 * 1024,
      ),
    },
  }
}

/**
 * What a call takes beside its arguments: `signal`, and the options named in `ranges`, each an integer in its range. Throws
 * PushError `bad_option`. Other options are the server's to judge.
 */
export function checkCall(options: unknown, ranges: Readonly<Record<string, readonly [number, number]>> = {}): void {
  if (typeof options !== 'object' || options === null) throw badOption('options: an object')
  if ('signal' in options && options.signal !== undefined && !(options.signal instanceof AbortSignal))
    throw badOption('signal: an AbortSignal')
  const fields: Readonly<Record<string, unknown>> = { ...options }
  for (const [name, [min, max]] of Object.entries(ranges)) integer(fields[name], name, min, max, min)
}

export const CALL_RANGES = { limit: [1, 1_000], pollMs: [1, DAY_MS], ttl: [1, Number.MAX_SAFE_INTEGER] } as const
