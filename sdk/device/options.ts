// What `connect` takes, and the check of it. Everything wrong is told at once, by the name of the option, before anything is done.

import { DEVICE_ID_RULE, isDeviceId } from '../../protocol/device-id.js'
import { FRAME_LIMITS } from '../../protocol/frames/frame-limits.js'
import { utf8Length } from '../../protocol/utf8-length.js'
import { BACKOFF, type BackoffSettings } from './connection/backoff.js'
import type { GetToken } from './connection/token-source.js'
import { PostriderError } from './errors.js'
import { POISON_POLICIES, RETRY, type PoisonPolicy, type RetrySettings } from './handling/retry.js'
import type { Message } from './message.js'
import { FIELD_MAX, REMAINING_MAX } from './mqtt/packets.js'
import { memoryStorage } from './storage/memory-storage.js'
import type { Storage } from './storage/storage.js'
import { UPLINK, UPLINK_OVERFLOW, type UplinkSettings } from './uplink/uplink-queue.js'

export interface HandlerContext {
  /** Aborted when the client has closed: what the handler does now is not recorded any more. */
  readonly signal: AbortSignal
}

/** Resolves when the message is handled. Runs for one message of a log at a time. */
export type Handler = (message: Message, context: HandlerContext) => unknown

export interface ConnectOptions {
  /** One or several of `mqtt://`, `mqtts://`, `ws://`, `wss://` (browsers: the last two). Tried in turn, the last that worked first. */
  readonly urls: string | readonly string[]
  readonly deviceId: string
  /** A fixed token, or null for a server that asks for none. Either this or `getToken`. */
  readonly token?: string | null
  /** Called for a token before the first connection, before one expires, and when one was refused. */
  readonly getToken?: GetToken
  /** Where is kept what must outlive the process. Default: `memoryStorage()`, which forgets. */
  readonly storage?: Storage
  /** Without one, messages wait for a `for await` over the client. */
  readonly handler?: Handler
  /** `auto`: the end of the handler acknowledges. `manual`: `message.ack()` does. Default auto. */
  readonly ack?: 'auto' | 'manual'
  /** How many logs may run a handler at once. Within a log it is always one. Default 8. */
  readonly concurrency?: number
  readonly retry?: Partial<RetrySettings>
  /** What becomes of a message whose handler failed `retry.attempts` times. Default `stop`. */
  readonly poison?: PoisonPolicy
  /** How many messages may be parked. Default 1,000. */
  readonly parkedMax?: number
  /** Messages that the server may send ahead of the acknowledgements; it may grant fewer. Default 256. */
  readonly window?: number
  /** Bytes of a frame with several messages. Default 256 KiB. */
  readonly maxFrameBytes?: number
  /** Bytes of the largest message that is taken; a larger one ends the connection. Default 64 MiB. */
  readonly maxMessageBytes?: number
  /** Default 60. */
  readonly keepAliveSeconds?: number
  /** For opening, and until the server has answered. Default 15,000. */
  readonly connectTimeoutMs?: number
  /** After a ping. Default 10,000. */
  readonly pingTimeoutMs?: number
  /** For what was sent to be confirmed. Default 15,000. */
  readonly ackTimeoutMs?: number
  /** For `getToken`. Default 30,000. */
  readonly tokenTimeoutMs?: number
  /** For the running handler when the client is closed, and for the storage after it. Default 10,000. */
  readonly closeTimeoutMs?: number
  readonly backoff?: Partial<BackoffSettings>
  readonly uplink?: Partial<UplinkSettings>
  /** Closes the client. */
  readonly signal?: AbortSignal
}

export interface Settings {
  readonly urls: readonly URL[]
  readonly deviceId: string
  readonly token: string | null
  readonly getToken: GetToken | null
  readonly storage: Storage
  readonly handler: Handler | null
  readonly ack: 'auto' | 'manual'
  readonly concurrency: number
  readonly retry: RetrySettings
  readonly poison: PoisonPolicy
  readonly parkedMax: number
  readonly window: number
  readonly maxFrameBytes: number
  readonly maxMessageBytes: number
  readonly keepAliveSeconds: number
  readonly connectTimeoutMs: number
  readonly pingTimeoutMs: number
  readonly ackTimeoutMs: number
  readonly tokenTimeoutMs: number
  readonly closeTimeoutMs: number
  readonly backoff: BackoffSettings
  readonly uplink: UplinkSettings
  readonly signal: AbortSignal | null
}

/** Room for what stands around the payload of a message in its packet. */
const ENVELOPE_BYTES = 64 * 1024
const MIB = 1024 * 1024
const DAY_MS = 86_400_000

const bad = (path: string, text: string, cause?: unknown): PostriderError =>
  new PostriderError('bad_option', `${path}: ${text}`, { cause })

type Fields = Readonly<Record<string, unknown>>

function fieldsOf(value: unknown, path: string, names: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(path, 'an object')
  const fields: Fields = { ...value }
  for (const name of Object.keys(fields)) {
    if (!names.includes(name)) throw bad(path === 'options' ? name : `${path}.${name}`, 'there is no such option')
  }
  return fields
}

function integer(value: unknown, path: string, min: number, max: number, preset: number): number {
  if (value === undefined) return preset
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw bad(path, `an integer from ${min} to ${max}`)
  }
  return value
}

function oneOf<T extends string>(value: unknown, path: string, allowed: readonly T[], preset: T): T {
  if (value === undefined) return preset
  const found = allowed.find((each) => each === value)
  if (found === undefined) throw bad(path, `one of ${allowed.join(', ')}`)
  return found
}

function readUrls(value: unknown, schemes: readonly string[]): readonly URL[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (list.length === 0) throw bad('urls', 'at least one')
  return list.map((each, i) => {
    const path = Array.isArray(value) ? `urls[${i}]` : 'urls'
    if (typeof each !== 'string' && !(each instanceof URL)) throw bad(path, 'a URL as a string')
    let url: URL
    try {
      url = new URL(String(each))
    } catch (error) {
      throw bad(path, 'a URL', error)
    }
    if (!schemes.includes(url.protocol))
      throw bad(path, `one of ${schemes.map((scheme) => `${scheme}//`).join(', ')} here`)
    if (url.hostname === '') throw bad(path, 'it names no host')
    // `new WebSocket` throws for it.
    if (url.hash !== '') throw bad(path, 'without a fragment')
    // They would end up in logs, and are not what authenticates.
    if (url.username !== '' || url.password !== '')
      throw bad(path, 'without a user name and password: use token or getToken')
    return url
  })
}

function readToken(fields: Fields): Pick<Settings, 'token' | 'getToken'> {
  const { token, getToken } = fields
  if (getToken !== undefined) {
    if (!isGetToken(getToken)) throw bad('getToken', 'a function')
    if (token !== undefined) throw bad('token', 'either this or getToken')
    return { token: null, getToken }
  }
  if (token === undefined) throw bad('token', 'this or getToken is needed; null for a server that asks for none')
  if (token === null) return { token, getToken: null }
  if (typeof token !== 'string' || token === '') throw bad('token', 'a string that is not empty')
  if (utf8Length(token) > FIELD_MAX) throw bad('token', `at most ${FIELD_MAX} bytes`)
  return { token, getToken: null }
}

const isGetToken = (value: unknown): value is GetToken => typeof value === 'function'
const isHandler = (value: unknown): value is Handler => typeof value === 'function'

function isStorage(value: unknown): value is Storage {
  if (typeof value !== 'object' || value === null) return false
  const has = (name: string): boolean => typeof Reflect.get(value, name) === 'function'
  return has('load') && has('write') && has('close')
}

function readRetry(value: unknown): RetrySettings {
  const fields = fieldsOf(value === undefined ? {} : value, 'retry', ['attempts', 'minMs', 'maxMs'])
  const minMs = integer(fields['minMs'], 'retry.minMs', 0, DAY_MS, RETRY.minMs)
  return {
    attempts: integer(fields['attempts'], 'retry.attempts', 1, 1_000_000, RETRY.attempts),
    minMs,
    maxMs: integer(fields['maxMs'], 'retry.maxMs', minMs, DAY_MS, Math.max(minMs, RETRY.maxMs)),
  }
}

function readBackoff(value: unknown): BackoffSettings {
  const fields = fieldsOf(value === undefined ? {} : value, 'backoff', ['firstMs', 'maxMs', 'stableMs'])
  const firstMs = integer(fields['firstMs'], 'backoff.firstMs', 0, DAY_MS, BACKOFF.firstMs)
  return {
    firstMs,
    maxMs: integer(fields['maxMs'], 'backoff.maxMs', firstMs, DAY_MS, Math.max(firstMs, BACKOFF.maxMs)),
    stableMs: integer(fields['stableMs'], 'backoff.stableMs', 0, DAY_MS, BACKOFF.stableMs),
  }
}

function readUplink(value: unknown): UplinkSettings {
  const fields = fieldsOf(value === undefined ? {} : value, 'uplink', [
    'max',
    'maxBytes',
    'maxPayloadBytes',
    'overflow',
  ])
  const maxPayloadBytes = integer(
    fields['maxPayloadBytes'],
    'uplink.maxPayloadBytes',
    1,
    REMAINING_MAX - ENVELOPE_BYTES,
    UPLINK.maxPayloadBytes,
  )
  return {
    max: integer(fields['max'], 'uplink.max', 1, 1_000_000, UPLINK.max),
    maxBytes: integer(
      fields['maxBytes'],
      'uplink.maxBytes',
      maxPayloadBytes,
      Number.MAX_SAFE_INTEGER,
      Math.max(maxPayloadBytes, UPLINK.maxBytes),
    ),
    maxPayloadBytes,
    overflow: oneOf(fields['overflow'], 'uplink.overflow', UPLINK_OVERFLOW, UPLINK.overflow),
  }
}

/** Every option there is. */
export const CONNECT_OPTIONS: ReadonlyArray<keyof ConnectOptions> = [
  'urls',
  'deviceId',
  'token',
  'getToken',
  'storage',
  'handler',
  'ack',
  'concurrency',
  'retry',
  'poison',
  'parkedMax',
  'window',
  'maxFrameBytes',
  'maxMessageBytes',
  'keepAliveSeconds',
  'connectTimeoutMs',
  'pingTimeoutMs',
  'ackTimeoutMs',
  'tokenTimeoutMs',
  'closeTimeoutMs',
  'backoff',
  'uplink',
  'signal',
]

/** Throws PostriderError `bad_option`. `schemes`: what the platform can open, with the colon. */
export function readOptions(options: unknown, schemes: readonly string[]): Settings {
  const fields = fieldsOf(options, 'options', CONNECT_OPTIONS)
  const urls = readUrls(fields['urls'], schemes)
  const { deviceId, storage, handler, signal } = fields
  if (typeof deviceId !== 'string' || !isDeviceId(deviceId)) throw bad('deviceId', DEVICE_ID_RULE)
  if (handler !== undefined && !isHandler(handler)) throw bad('handler', 'a function')
  if (storage !== undefined && !isStorage(storage)) throw bad('storage', 'an object with load, write and close')
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw bad('signal', 'an AbortSignal')
  const ms = (name: string, preset: number): number => integer(fields[name], name, 1, DAY_MS, preset)
  return {
    urls,
    deviceId,
    ...readToken(fields),
    storage: storage ?? memoryStorage(),
    handler: handler ?? null,
    ack: oneOf(fields['ack'], 'ack', ['auto', 'manual'] as const, 'auto'),
    concurrency: integer(fields['concurrency'], 'concurrency', 1, 1_000_000, 8),
    retry: readRetry(fields['retry']),
    poison: oneOf(fields['poison'], 'poison', POISON_POLICIES, 'stop'),
    parkedMax: integer(fields['parkedMax'], 'parkedMax', 0, 1_000_000, 1_000),
    window: integer(fields['window'], 'window', 1, FRAME_LIMITS.window, 256),
    maxFrameBytes: integer(
      fields['maxFrameBytes'],
      'maxFrameBytes',
      FRAME_LIMITS.minFrameBytes,
      REMAINING_MAX - ENVELOPE_BYTES,
      256 * 1024,
    ),
    maxMessageBytes: integer(
      fields['maxMessageBytes'],
      'maxMessageBytes',
      FRAME_LIMITS.minFrameBytes,
      REMAINING_MAX - ENVELOPE_BYTES,
      64 * MIB,
    ),
    keepAliveSeconds: integer(fields['keepAliveSeconds'], 'keepAliveSeconds', 1, 0xffff, 60),
    connectTimeoutMs: ms('connectTimeoutMs', 15_000),
    pingTimeoutMs: ms('pingTimeoutMs', 10_000),
    ackTimeoutMs: ms('ackTimeoutMs', 15_000),
    tokenTimeoutMs: ms('tokenTimeoutMs', 30_000),
    closeTimeoutMs: ms('closeTimeoutMs', 10_000),
    backoff: readBackoff(fields['backoff']),
    uplink: readUplink(fields['uplink']),
    signal: signal ?? null,
  }
}

/** Bytes of the largest packet that is taken. */
export const packetLimit = ({ maxFrameBytes, maxMessageBytes }: Settings): number =>
  Math.max(maxFrameBytes, maxMessageBytes) + ENVELOPE_BYTES
