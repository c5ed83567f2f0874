import { EXIT } from '../core/exit-codes.js'
import { trustHint } from './authorities.js'
import { CommandFailure } from './command.js'
import { httpCall } from './http-call.js'

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

/** A name with several addresses fails with all of their errors, and no words of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  return error instanceof Error ? error.message || error.name : String(error)
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

export function createRestClient(options: {
  readonly url: string
  readonly apiKey: string
  /** PEM: the authorities to trust; null: those that Node knows. */
  readonly ca: string | null
}): RestClient {
  const base = options.url.replace(/\/+$/, '')
  return {
    async call(method, path, { body, accept = [], signal } = {}) {
      const timeout = AbortSignal.timeout(TIMEOUT_MS)
      let response: Awaited<ReturnType<typeof httpCall>>
      try {
        response = await httpCall(new URL(base + path), {
          method,
          headers: {
            authorization: `Bearer ${options.apiKey}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          body: body === undefined ? null : JSON.stringify(body),
          ca: options.ca,
          signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        })
      } catch (error) {
        const reason = reasonOf(error)
        throw new CommandFailure(
          `${base} cannot be reached: ${reason} (is "postrider serve" running? --url says where${trustHint(reason)})`,
          EXIT.unavailable.code,
          { cause: error },
        )
      }
      const answer: RestAnswer = { status: response.status, body: parseJson(response.text) }
      const ok = answer.status >= 200 && answer.status < 300
      if (ok || accept.includes(answer.status)) return answer
      throw refusal(answer.status, answer.body)
    },
  }
}

/** The path of a device; ids are data, so every character that has a meaning in a path is escaped. */
export const devicePath = (device: string): string => `/v1/devices/${encodeURIComponent(device)}`
