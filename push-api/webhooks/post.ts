// One attempt to hand an event to a receiver. What leads elsewhere than to an allowed address is refused: names are resolved for
// each connection and every address is looked at, as is the one that the connection has in the end. Redirects are not followed,
// and no more of an answer is read than is needed to use the connection again.

import { lookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import type { ReachableAddresses } from '../../core/net/public-address.js'
import type { AttemptFailure } from './counters.js'

export type Outcome =
  | { readonly ok: true }
  | {
      readonly ok: false
      readonly reason: AttemptFailure
      /** The receiver as a whole does not take events now. */
      readonly down: boolean
      /** How long it asks to be left alone. Milliseconds; 0: it does not say. */
      readonly waitMs: number
    }

/** As `dns.lookup` with `all`. */
export type LookUp = (
  hostname: string,
  options: LookupOptions & { readonly all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void

export interface PosterOptions {
  readonly reachable: ReachableAddresses
  /** Plain http is taken. */
  readonly allowHttp: boolean
  readonly timeoutMs: number
  readonly concurrency: number
  readonly userAgent: string
  /** Default: the system's resolver. */
  readonly lookUp?: LookUp
}

export interface Attempt {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Ends the attempt. */
  readonly signal: AbortSignal
}

/** Most bytes of an answer that are read. */
const ANSWER_MAX = 64 * 1024
/** Idle connections are closed before usual servers do (5 s). */
const IDLE_MS = 4_000
const WAIT_MAX_MS = 3_600_000

class Blocked extends Error {}

export class Poster {
  readonly #options: PosterOptions
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent }

  constructor(options: PosterOptions) {
    this.#options = options
    const agent = { keepAlive: true, maxSockets: options.concurrency, maxFreeSockets: 4, timeout: IDLE_MS }
    this.#agents = { http: new HttpAgent(agent), https: new HttpsAgent(agent) }
  }

  /** Never rejects. */
  async post(attempt: Attempt): Promise<Outcome> {
    const url = new URL(attempt.url)
    if (url.protocol !== 'https:' && !this.#options.allowHttp) return failure('blocked_address')
    const host = url.hostname.replace(/^\[|\]$/g, '')
    // No name, so nobody is asked for its addresses.
    if (isIP(host) !== 0 && !this.#options.reachable.has(host)) return failure('blocked_address')
    const outcome = await this.#send(url, attempt)
    // The receiver closed an idle connection at the moment that it was used: nothing of the request was looked at.
    return outcome === 'stale'
      ? this.#send(url, attempt).then((again) => (again === 'stale' ? failure('connect') : again))
      : outcome
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #send(url: URL, { headers, body, signal }: Attempt): Promise<Outcome | 'stale'> {
    return new Promise((resolve) => {
      const options = {
        method: 'POST',
        headers: {
          ...headers,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': this.#options.userAgent,
          accept: '*/*',
        },
        lookup: this.#lookup,
        signal,
      }
      const request: ClientRequest =
        url.protocol === 'https:'
          ? httpsRequest(url, { ...options, agent: this.#agents.https })
          : httpRequest(url, { ...options, agent: this.#agents.http })
      const late = { fired: false }
      const timer = setTimeout(() => {
        late.fired = true
        request.destroy()
      }, this.#options.timeoutMs)
      request.on('socket', (socket) => this.#guard(socket, request))
      request.on('response', (response) => {
        const outcome = outcomeOf(response)
        drop(response)
        response.on('close', () => clearTimeout(timer))
        resolve(outcome)
      })
      request.on('error', (error) => {
        clearTimeout(timer)
        if (late.fired) resolve(failure('timeout'))
        else if (request.reusedSocket && !signal.aborted) resolve('stale')
        else resolve(failure(reasonOf(error)))
      })
      request.end(body)
    })
  }

  /** What the connection has in the end is looked at once more, whoever made it. */
  #guard(socket: Socket, request: ClientRequest): void {
    if (!socket.connecting) return
    socket.once('connect', () => {
      if (!this.#options.reachable.has(socket.remoteAddress ?? '')) request.destroy(new Blocked())
    })
  }

  readonly #lookup: LookupFunction = (hostname, options, callback) => {
    const { lookUp = lookup, reachable } = this.#options
    lookUp(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      const addresses = found.filter(({ address }) => reachable.has(address))
      const [first] = addresses
      if (first === undefined) callback(new Blocked(), [])
      else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

function drop(response: IncomingMessage): void {
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength
    if (bytes > ANSWER_MAX) response.destroy()
  })
  response.on('error', () => undefined) // its status was all that was asked for
}

/** The receiver as a whole, not this event. */
const DOWN: ReadonlySet<AttemptFailure> = new Set(['connect', 'dns', 'tls', 'blocked_address', 'unavailable'])

function failure(reason: AttemptFailure, waitMs = 0): Outcome {
  return { ok: false, reason, down: DOWN.has(reason), waitMs }
}

function outcomeOf({ statusCode = 0, headers }: IncomingMessage): Outcome {
  if (statusCode >= 200 && statusCode < 300) return { ok: true }
  if (statusCode >= 300 && statusCode < 400) return failure('redirect')
  const waitMs = retryAfterMs(headers['retry-after'])
  if ([429, 502, 503, 504].includes(statusCode)) return failure('unavailable', waitMs)
  return failure(statusCode >= 500 ? 'status_5xx' : 'status_4xx', waitMs)
}

function retryAfterMs(header: string | undefined): number {
  if (header === undefined || !/^\d{1,9}$/.test(header)) return 0
  return Math.min(WAIT_MAX_MS, Number(header) * 1000)
}

function reasonOf(error: Error): AttemptFailure {
  if (error instanceof Blocked) return 'blocked_address'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (/^(?:ENOTFOUND|EAI_|ENODATA|ESERVFAIL)/.test(code)) return 'dns'
  if (/^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(code)) return 'tls'
  return code === 'ETIMEDOUT' ? 'timeout' : 'connect'
}
