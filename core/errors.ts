import { ERROR_CODES, type ErrorCode } from '../protocol/codes.js'

/** An error with a stable code of the error table; `message` says what would be right. Never holds a secret. */
export class PostriderError extends Error {
  readonly code: ErrorCode
  /** More members of the problem document, such as `expected`. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'PostriderError'
    this.code = code
    this.details = options.details ?? {}
  }

  get status(): number {
    return ERROR_CODES[this.code].status
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable
  }
}

/** The store cannot serve; nothing was changed. */
export class StoreUnavailable extends PostriderError {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super('store_unavailable', message, options)
    this.name = 'StoreUnavailable'
  }
}

/** The change may or may not have been stored; repeating it with the same dedup id (or any idempotent call) tells. */
export class OutcomeUnknown extends PostriderError {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super('outcome_unknown', message, options)
    this.name = 'OutcomeUnknown'
  }
}

/** The program cannot start as configured: printed without a stack, exit code 78 (EX_CONFIG) or as given. */
export class StartupError extends Error {
  readonly exitCode: number

  constructor(message: string, options: { readonly cause?: unknown; readonly exitCode?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'StartupError'
    this.exitCode = options.exitCode ?? 78
  }
}
