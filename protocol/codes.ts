// Every code that crosses a wire, in two tables: why a request was refused, and why a connection was closed.

/** One row of the error table: what a REST client is told. `retryable`: the same request may succeed later. */
export interface ErrorCodeInfo {
  readonly status: number
  readonly retryable: boolean
  readonly title: string
}

/** Codes of refused requests (RFC 9457 `code`). `docs/errors.md` lists the same rows; a test holds them together. */
export const ERROR_CODES = {
  bad_request: { status: 400, retryable: false, title: 'The request is not of the documented form' },
  invalid_device_id: { status: 400, retryable: false, title: 'The device id is outside the allowed pattern' },
  unknown_field: { status: 400, retryable: false, title: 'The request has a field that does not exist' },
  not_supported: { status: 400, retryable: false, title: 'This call or field is not built in this version' },
  unauthorized: { status: 401, retryable: false, title: 'No valid API key was given' },
  missing_scope: { status: 403, retryable: false, title: 'The API key lacks the scope for this call' },
  device_not_found: { status: 404, retryable: false, title: 'No such device' },
  message_gone: { status: 404, retryable: false, title: 'The message is not known (any more)' },
  not_found: { status: 404, retryable: false, title: 'No such resource' },
  dedup_conflict: { status: 409, retryable: false, title: 'The dedup id was used for another message' },
  already_handled: { status: 409, retryable: false, title: 'The message is handled already' },
  out_of_order: { status: 409, retryable: false, title: 'The producer sequence number is not the next one' },
  body_too_large: { status: 413, retryable: false, title: 'The request body is over the limit' },
  payload_too_large: { status: 413, retryable: false, title: 'The payload is over the limit' },
  too_many_messages: { status: 413, retryable: false, title: 'More messages in one request than allowed' },
  inbox_full: { status: 429, retryable: true, title: "The device's inbox is full" },
  rate_limited: { status: 429, retryable: true, title: 'Too many requests' },
  overloaded: { status: 503, retryable: true, title: 'The node is overloaded' },
  store_unavailable: { status: 503, retryable: true, title: 'The store cannot be written or read; nothing was stored' },
  outcome_unknown: {
    status: 503,
    retryable: true,
    title: 'Whether the message was stored is not known; retry with the same dedupId',
  },
} as const satisfies Record<string, ErrorCodeInfo>

export type ErrorCode = keyof typeof ERROR_CODES

/** What a device is told to do after a close by the server. */
export interface CloseCodeInfo {
  readonly reconnect: 'never' | 'after'
  /** Milliseconds; the device waits a random time between the two. */
  readonly minMs: number
  readonly maxMs: number
  readonly title: string
}

/** Reasons for which the server ends a connection. In plain mode the device sees only the end of the socket. */
export const CLOSE_CODES = {
  taken_over: { reconnect: 'never', minMs: 0, maxMs: 0, title: 'Another connection of the device took its place' },
  resync: {
    reconnect: 'after',
    minMs: 0,
    maxMs: 500,
    title: "The connection's place in the log is not valid any more",
  },
  revoked: { reconnect: 'never', minMs: 0, maxMs: 0, title: 'The device or its token was revoked' },
  token_expired: { reconnect: 'after', minMs: 0, maxMs: 0, title: 'The token has expired; reconnect with a new one' },
  draining: { reconnect: 'after', minMs: 0, maxMs: 500, title: 'The node is shutting down' },
  overload: { reconnect: 'after', minMs: 1_000, maxMs: 20_000, title: 'The node or the store cannot serve now' },
  protocol_error: { reconnect: 'never', minMs: 0, maxMs: 0, title: 'The device broke the protocol' },
  slow_consumer: { reconnect: 'after', minMs: 0, maxMs: 3_000, title: 'The device stopped reading or acknowledging' },
} as const satisfies Record<string, CloseCodeInfo>

export type CloseCode = keyof typeof CLOSE_CODES

/** Why a message will not be delivered: the reasons of an exception. */
export const EXCEPTION_REASONS = ['expired', 'cancelled', 'collapsed', 'overflow', 'retention'] as const
export type ExceptionReason = (typeof EXCEPTION_REASONS)[number]

/** MQTT 3.1.1 CONNACK return codes, [MQTT-3.2.2.3]. */
export const CONNACK = {
  accepted: 0,
  unacceptableProtocol: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badCredentials: 4,
  notAuthorized: 5,
} as const
export type ConnackCode = (typeof CONNACK)[keyof typeof CONNACK]
