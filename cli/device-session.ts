// The device of the `listen` command: a client of the SDK, and what its end means to somebody at a terminal.

import { isUtf8 } from 'node:buffer'
import {
  connect,
  PostriderError,
  type GapEvent,
  type GetToken,
  type Message,
  type SdkErrorCode,
  type Storage,
} from '../sdk/node.js'

export interface Received {
  readonly seq: number
  /** It may have been sent before. */
  readonly redelivered: boolean
  readonly payload: Uint8Array
}

export type SessionEnd =
  /** `signal` was aborted: what had been handled is acknowledged, and the connection was closed in good order. */
  | { readonly kind: 'stopped' }
  /** The server would not take the connection, or not any more; trying again would not help. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Another connection of the device took its place. */
  | { readonly kind: 'taken' }
  /** The connection could not be made, or ended, and `goOn` did not want the client to reconnect. */
  | { readonly kind: 'lost'; readonly reason: string }

export interface DeviceSession {
  readonly url: string
  readonly device: string
  readonly getToken: GetToken
  /** PEM: the authorities to trust over TLS; null: those that Node knows. */
  readonly ca: string | null
  /** Handed from one session to the next, so that nothing is printed twice. */
  readonly storage: Storage
  readonly signal: AbortSignal
  /** Connected, the first time and again. */
  readonly onListening: () => void
  /** Told of the loss of a connection: true lets the client make the next one by itself. */
  readonly goOn: (reason: string) => boolean
  /** Something that will not come. */
  readonly onMissing: (what: string) => void
  readonly handle: (message: Received) => Promise<void>
}

const REFUSALS: Partial<Readonly<Record<SdkErrorCode, string>>> = {
  unsupported_server: 'it does not speak MQTT 3.1.1 with stream mode',
  invalid_device_id: 'it does not take the device id',
  unauthorized: 'the token is not valid there (is it made with the secret of that server?)',
  forbidden: 'the token is not for this device',
}

/** A message that is being printed is waited for, however long the reader takes: a second signal ends the command at once. */
const CLOSE_TIMEOUT_MS = 86_400_000

/** A message as a JSON line: text as it is, other bytes as base64. */
export function receivedAsJson(device: string, { seq, redelivered, payload }: Received): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const content = isUtf8(bytes) ? { payload: bytes.toString('utf8') } : { payloadBase64: bytes.toString('base64') }
  return JSON.stringify({ device, seq, redelivered, ...content })
}

/** The system's own words, where there are some: `connect ECONNREFUSED …`. */
function reasonOf(error: PostriderError | null): string {
  if (error === null) return 'the server closed it'
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  // Node tries several addresses of a name, and tells of all of them in an error without a text.
  if (cause instanceof AggregateError && cause.message === '') return cause.errors.map(String).join('; ')
  return cause.message || error.message
}

/**
 * Connects as the device and calls `handle` for one message after the other; each is acknowledged when `handle` resolved, and none
 * after it rejected. Rejects with what `handle` or `getToken` rejected with for good.
 */
export async function runDeviceSession(session: DeviceSession): Promise<SessionEnd> {
  const { url, device, getToken, ca, storage, signal, handle } = session
  let lost: string | null = null
  const client = connect({
    urls: url,
    deviceId: device,
    getToken,
    storage,
    signal,
    handler: ({ seq, redelivered, payload }: Message) => handle({ seq, redelivered, payload }),
    // What cannot be printed now cannot be printed later.
    retry: { attempts: 1 },
    poison: 'stop',
    closeTimeoutMs: CLOSE_TIMEOUT_MS,
    connectTimeoutMs: 10_000,
    ...(ca === null ? {} : { tls: { ca } }),
  })
  client.on('state', ({ state, error }) => {
    if (state === 'catching-up') session.onListening()
    else if (state === 'waiting') {
      const reason = reasonOf(error)
      if (session.goOn(reason)) return
      lost = reason
      void client.close()
    }
  })
  client.on('gap', (gap) => {
    if (isNews(gap)) session.onMissing(`the messages ${gap.from} to ${gap.to} will not come (${gap.reason})`)
  })
  client.on('reset', () => session.onMissing('the server has less than it had, or the device was deleted there'))
  const error = await client.closed
  if (error !== null) return endOf(error)
  return lost === null || signal.aborted ? { kind: 'stopped' } : { kind: 'lost', reason: lost }
}

/** What others of this device handled before is none. */
const isNews = ({ reason }: GapEvent): boolean => reason !== 'handled-elsewhere'

function endOf(error: PostriderError): SessionEnd {
  if (error.code === 'taken_over') return { kind: 'taken' }
  // The handler's error, or that of getToken, is the caller's own.
  if (error.cause instanceof Error && !(error.cause instanceof PostriderError)) throw error.cause
  return { kind: 'refused', reason: REFUSALS[error.code] ?? error.message }
}
