import type { ErrorCode } from '../protocol/codes.js'

/** Counts by error code; a code that was never counted is absent. */
export class CodeCounter {
  readonly byCode = new Map<ErrorCode, number>()

  count(code: ErrorCode): void {
    this.byCode.set(code, (this.byCode.get(code) ?? 0) + 1)
  }
}

/** Plain numbers, incremented in place; the composition exposes them as metrics. */
export class ApiCounters {
  /** Requests to a route that asks for a key, whatever became of them. */
  requests = 0
  /** Messages that were stored. */
  accepted = 0
  /** Messages that were answered with an earlier answer. */
  duplicates = 0
  /** Notices given to the bus. */
  notices = 0
  /** Connections ended: to make room, because there was none, or for too many requests at one time, for not reading. */
  readonly connectionsEnded = { evicted: 0, refused: 0, pipelining: 0, stalled: 0 }
  /** Bytes that became no request. */
  readonly requestsUnread = { malformed: 0, headers_too_large: 0, too_slow: 0, tls_failed: 0 }
  /** Errors of the program: each one is logged too. */
  internalErrors = 0
  /** Problem documents. */
  readonly problems = new CodeCounter()
  /** Messages and items refused inside a batch that was answered with 200. */
  readonly refusedItems = new CodeCounter()
}
