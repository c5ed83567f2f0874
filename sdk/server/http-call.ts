// One request and its answer. No retries here.

import type { Clock } from '../device/platform.js'
import { isErrorCode, PushError } from './push-error.js'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface HttpSettings {
  /** Without a slash at its end. */
  readonly url: string
  readonly apiKey: string
  readonly requestTimeoutMs: number
  readonly fetch: Fetch
  readonly clock: Clock
  /** Milliseconds UTC, for `Retry-After` that names a date. */
  readonly wallClock: () => number
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** JSON. */
  readonly body?: string
  readonly signal?: AbortSignal | undefined
}

/** The parsed body; null: there was none. Rejects with PushError, or with the reason of the signal. */
export async function httpCall(settings: HttpSettings, request: HttpRequest): Promise<unknown> {
  const { clock, requestTimeoutMs } = settings
  const { signal } = request
  signal?.throwIfAborted()
  const abort = new AbortController()
  const follow = (): void => abort.abort(signal?.reason)
  signal?.addEventListener('abort', follow, { once: true })
  let late = false
  const cancel = clock.after(requestTimeoutMs, () => {
    late = true
    abort.abort()
  })
  try {
    const response = await settings.fetch(settings.url + request.path, {
      method: request.method,
      headers: {
        authorization: `Bearer ${settings.apiKey}`,
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
      redirect: 'error', // the key is for this server
      signal: abort.signal,
    })
    const text = await response.text()
    if (!response.ok) throw problem(response, text, settings.wallClock)
    return text === '' ? null : parse(text)
  } catch (error) {
    if (error instanceof PushError) throw error
    signal?.throwIfAborted()
    if (late)
      throw new PushError('timeout', `no answer from ${settings.url} within ${requestTimeoutMs} ms`, { cause: error })
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const reason = cause instanceof Error ? cause.message || cause.name : String(cause)
    throw new PushError('network', `${settings.url}: ${reason}`, { cause: error })
  } finally {
    cancel()
    signal?.removeEventListener('abort', follow)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new PushError('bad_answer', 'the answer is not JSON', { cause: error })
  }
}

/** Problem details (RFC 9457); or whatever a proxy in between answers. */
function problem(response: Response, text: string, wallClock: () => number): PushError {
  const { status } = response
  const retryAfterMs = readRetryAfter(response.headers.get('retry-after'), () => {
    // The server's own clock, where it says: this machine's may be anything.
    const date = Date.parse(response.headers.get('date') ?? '')
    return Number.isNaN(date) ? wallClock() : date
  })
  const { code, title, detail, type: _type, status: _status, ...details } = membersOf(text)
  const message = typeof detail === 'string' ? detail : typeof title === 'string' ? title : `status ${status}`
  const known = isErrorCode(code) ? code : codeOfStatus(status)
  return new PushError(known, message, { status, retryAfterMs, details })
}

/** Of the problem document; none, when it is a page of a proxy: then the status says what can be said. */
function membersOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null ? { ...body } : {}
  } catch {
    return {}
  }
}

function codeOfStatus(status: number): ConstructorParameters<typeof PushError>[0] {
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'missing_scope'
  if (status === 429) return 'rate_limited'
  return status === 502 || status === 503 || status === 504 ? 'overloaded' : 'bad_answer'
}

/** Seconds or a date, RFC 9110 section 10.2.3. Null: there is none that can be read. */
export function readRetryAfter(value: string | null, wallClock: () => number): number | null {
  if (value === null) return null
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1_000
  const at = Date.parse(value)
  return Number.isNaN(at) ? null : Math.max(0, at - wallClock())
}
