import { EXIT } from '../core/exit-codes.js'
import { CommandFailure } from './command.js'

/** What the REST API answered, when it did not refuse. `body` is parsed JSON, or null when there was none. */
export interface RestAnswer {
  readonly status: number
  readonly body: unknown
}

export interface RestClient {
  /**
   * One call. Resolves for 2xx and for the statuses in `accept`. Rejects with a CommandFailure that says what the server
   * said and holds the exit code: no permission for 401 and 403, unavailable for 429, 503 and when nobody answers.
   */
  call(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    options?: { readonly body?: unknown; readonly accept?: readonly number[]; readonly signal?: AbortSignal },
  ): Promise<RestAnswer>
}

const TIMEOUT_MS = 30_000

/** The members of an object, or none: what the server sends is data from outside. */
export function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function parseJson(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    // Not from Postrider (a proxy's page): the status says what can be said.
    return null
  }
}

function exitCodeOf(status: number): number {
  if (status === 401 || status === 403) return EXIT.noPermission.code
  if (status === 429 || status >= 500) return EXIT.unavailable.code
  return EXIT.failed.code
}

/** `refused: detail (code inbox_full, status 429)` */
function refusal(status: number, body: unknown): CommandFailure {
  const { code, title, detail } = fields(body)
  const what = [detail, title].find((text) => typeof text === 'string' && text !== '')
  const named = typeof code === 'string' ? `code ${code}, status ${status}` : `status ${status}`
  const hint = code === 'outcome_unknown' ? '; send it again with the same --dedup-id' : ''
  return new CommandFailure(
    `the server refused: ${typeof what === 'string' ? what : 'without a reason'} (${named})${hint}`,
    exitCodeOf(status),
  )
}

export function createRestClient(options: { readonly url: string; readonly apiKey: string }): RestClient {
  const base = options.url.replace(/\/+$/, '')
  return {
    async call(method, path, { body, accept = [], signal } = {}) {
      const timeout = AbortSignal.timeout(TIMEOUT_MS)
      let response: Response
      let text: string
      try {
        response = await fetch(base + path, {
          method,
          headers: {
            authorization: `Bearer ${options.apiKey}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        })
        text = await response.text()
      } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
        const reason = cause instanceof Error ? cause.message || cause.name : String(cause)
        throw new CommandFailure(
          `${base} cannot be reached: ${reason} (is "postrider serve" running? --url says where)`,
          EXIT.unavailable.code,
          { cause: error },
        )
      }
      const answer: RestAnswer = { status: response.status, body: parseJson(text) }
      if (response.ok || accept.includes(response.status)) return answer
      throw refusal(answer.status, answer.body)
    },
  }
}

/** The path of a device; ids are data, so every character that has a meaning in a path is escaped. */
export const devicePath = (device: string): string => `/v1/devices/${encodeURIComponent(device)}`
