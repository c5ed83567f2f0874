// One request of OTLP over HTTP, with the rules of that protocol on what is sent again.

export interface PostResult {
  /** `taken`: by the receiver, but for `rejected` spans. `later`: send the same again. `refused`: never send it again. */
  readonly kind: 'taken' | 'later' | 'refused'
  /** A word for the log: a status or the code of an error, never a text that somebody else chose. */
  readonly reason: string
  /** What a receiver that takes them wrote, at most 64 KiB. */
  readonly answer: string
  /** How long the receiver wants to be left alone, in milliseconds; 0: it does not say. */
  readonly retryAfterMs: number
}

export type Post = (body: string, signal: AbortSignal) => Promise<PostResult>

const TIMEOUT_MS = 10_000
const ANSWER_MAX_BYTES = 64 * 1024
const RETRY_AFTER_MAX_MS = 60_000

/** Statuses after which the same request is sent again; all others are for good. */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504])

const result = (kind: PostResult['kind'], reason: string, more: Partial<PostResult> = {}): PostResult => ({
  kind,
  reason,
  answer: '',
  retryAfterMs: 0,
  ...more,
})

/** `url`: with its path. `headers` may hold secrets, so no text of an error is passed on. Never rejects. */
export function otlpPost(url: string, headers: Headers): Post {
  const sent = new Headers(headers)
  sent.set('content-type', 'application/json')
  return async (body, signal) => {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: sent,
        body,
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      })
      const answer = await readSome(response)
      const reason = `status ${response.status}`
      if (response.ok) return result('taken', reason, { answer })
      if (!RETRIED.has(response.status)) return result('refused', reason)
      return result('later', reason, { retryAfterMs: retryAfter(response.headers.get('retry-after')) })
    } catch (error) {
      return result('later', codeOf(error))
    }
  }
}

/** The whole answer is read, so that its connection is used again; but not one without end. */
async function readSome(response: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  if (response.body === null) return ''
  const reader = response.body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    bytes += value.byteLength
    if (bytes > ANSWER_MAX_BYTES) {
      await reader.cancel()
      return ''
    }
    parts.push(value)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** In seconds; the other form, a date, is not looked at. */
function retryAfter(header: string | null): number {
  const seconds = /^[0-9]{1,6}$/.test(header ?? '') ? Number(header) : 0
  return Math.min(seconds * 1_000, RETRY_AFTER_MAX_MS)
}

/** `ECONNREFUSED`, `TimeoutError`: names, not messages. */
function codeOf(error: unknown): string {
  const cause: unknown = error instanceof Error && error.cause !== undefined ? error.cause : error
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string') return cause.code
  return cause instanceof Error ? cause.name : 'unknown'
}
