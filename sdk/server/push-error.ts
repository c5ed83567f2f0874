import { ERROR_CODES, type ErrorCode } from '../../protocol/codes.js'

/** Why a call failed that the server has no code for. */
export const LOCAL_CODES = {
  bad_option: 'An option or argument is not of the documented form',
  closed: 'The client is closed',
  queue_full: 'More messages wait to be sent than may',
  network: 'The server cannot be reached, or the connection broke',
  timeout: 'The server did not answer in time',
  bad_answer: 'What answered is not Postrider, or not a version that this client knows',
} as const
export type LocalCode = keyof typeof LOCAL_CODES

export interface PushErrorOptions {
  readonly cause?: unknown
  /** HTTP status; 0: there was no answer. */
  readonly status?: number
  /** Milliseconds that the server asks to wait. */
  readonly retryAfterMs?: number | null
  /** Other members of the problem document. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** A call that failed, with a stable code. Holds no key and no payload. */
export class PushError extends Error {
  readonly code: ErrorCode | LocalCode
  readonly status: number
  readonly retryAfterMs: number | null
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode | LocalCode, message: string, options: PushErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'PushError'
    this.code = code
    this.status = options.status ?? 0
    this.retryAfterMs = options.retryAfterMs ?? null
    this.details = options.details ?? {}
  }

  /** The same call may succeed later. With the same dedup id it makes no second message. */
  get retryable(): boolean {
    if (isErrorCode(this.code)) return ERROR_CODES[this.code].retryable
    return this.code === 'network' || this.code === 'timeout' || this.status >= 500
  }
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)
}

export const badOption = (text: string, cause?: unknown): PushError => new PushError('bad_option', text, { cause })
