// Every bound of the REST interface. The first table is fixed, part of the interface and stated in the OpenAPI document; the
// second one is set by the operator.

import { UNLIMITED, type Rate } from '../core/limits/token-bucket.js'

/** Characters are Unicode code points, as in JSON schema. */
export const FIELD_LIMITS = {
  /** Characters of a dedup id (and of an Idempotency-Key); at least 1. */
  dedupIdMax: 256,
  /** Characters of a content type, printable ASCII; at least 1. Two restricted names of RFC 6838 and a slash. */
  contentTypeMax: 255,
  /** Attributes of one message. */
  attributesMax: 16,
  /** Characters of an attribute's key; at least 1. */
  attributeKeyMax: 128,
  /** Characters of an attribute's value; it may be empty. */
  attributeValueMax: 1024,
  /** Seconds: a year. At least 1. */
  ttlMax: 31_536_000,
  /** Messages of one request, counted after `devices` was expanded. */
  batchMax: 1000,
  /** Entries of one page, and how many there are when `limit` is absent. */
  pageMax: 1000,
  pageDefault: 100,
  /** Bytes of the messages on one page of a peek, and of the uplinks on one page; the first one always fits. */
  peekMaxBytes: 4 * 1024 * 1024,
  /** Characters of the `after` and `epoch` query parameters. */
  cursorMax: 512,
  /** Characters of a webhook's URL, and of its secret. */
  urlMax: 2048,
  webhookSecretMax: 128,
  /** Seconds: a week. */
  previousSecretTtlMax: 604_800,
  /** Characters of an API key's name; at least 1. */
  keyNameMax: 128,
} as const

export interface ApiLimits {
  /** Bytes of one payload, as the device receives it. */
  readonly payloadMax: number
  /** Bytes of one request body. */
  readonly bodyMax: number
  /** The append queue: messages handed to the store and not answered yet, by count, bytes and the age of the oldest. */
  readonly queueMax: number
  readonly queueMaxBytes: number
  readonly queueMaxAgeMs: number
  /** A push that the store has not answered after so many milliseconds is answered `outcome_unknown`. */
  readonly appendTimeoutMs: number
  /** Bytes of request bodies that are being received, over all connections. */
  readonly receivingMaxBytes: number
  /** Connections at one time, and requests of one connection that wait for their answers. */
  readonly connectionsMax: number
  readonly pipelineMax: number
  /** A connection with a request under way from which and to which no byte has gone for so many milliseconds is closed. */
  readonly stalledTimeoutMs: number
  /** Requests from one address; more are answered `rate_limited`. */
  readonly requestsPerAddress: Rate
  /** Bytes of a request's line and headers. */
  readonly headerMaxBytes: number
  /** They must have arrived after so many milliseconds; on a TLS connection the handshake has as many for itself. */
  readonly headerTimeoutMs: number
  /** A request must have arrived whole after so many milliseconds. */
  readonly requestTimeoutMs: number
  /** An idle connection is closed after so many milliseconds: longer than the idle timeout of usual load balancers (60 s). */
  readonly keepAliveTimeoutMs: number
  /** How long `stop` waits for requests under way before it cuts their connections. */
  readonly stopTimeoutMs: number
}

/** Seconds whose worth of requests may come at once from one address. */
export const REQUEST_BURST_SECONDS = 2

export const DEFAULT_API_LIMITS: ApiLimits = {
  payloadMax: 256 * 1024,
  bodyMax: 16 * 1024 * 1024,
  queueMax: 50_000,
  queueMaxBytes: 64 * 1024 * 1024,
  queueMaxAgeMs: 2_000,
  appendTimeoutMs: 10_000,
  receivingMaxBytes: 256 * 1024 * 1024,
  connectionsMax: 4_096,
  pipelineMax: 64,
  stalledTimeoutMs: 60_000,
  requestsPerAddress: UNLIMITED,
  headerMaxBytes: 16 * 1024,
  headerTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 72_000,
  stopTimeoutMs: 10_000,
}

/** The bounds that Node's own servers hold. */
export function httpServerOptions(limits: ApiLimits): {
  readonly maxHeaderSize: number
  readonly requestTimeout: number
  readonly headersTimeout: number
  readonly keepAliveTimeout: number
  readonly connectionsCheckingInterval: number
  readonly requireHostHeader: boolean
} {
  return {
    maxHeaderSize: limits.headerMaxBytes,
    requestTimeout: limits.requestTimeoutMs,
    headersTimeout: Math.min(limits.headerTimeoutMs, limits.requestTimeoutMs),
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    // Node looks for late requests every 30 s by default.
    connectionsCheckingInterval: Math.min(1_000, limits.requestTimeoutMs),
    // Node's own answer has no body; see `refuseMalformed`.
    requireHostHeader: false,
  }
}
