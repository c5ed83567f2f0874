/** What ordinary pub/sub bears. Counts, bytes (sizes: see `ordinarySize`) and milliseconds as named. */
export interface PubSubLimits {
  /** Messages that may wait in one session, with or without a connection; newer ones are dropped and counted. */
  readonly queueMax: number
  readonly queueMaxBytes: number
  /** Retained messages of the node; a new topic over it is delivered, but not retained, and counted. */
  readonly retainedMax: number
  readonly retainedMaxBytes: number
  /** Stored sessions; a client over it gets 0x80 for its filters. */
  readonly sessionsMax: number
  /** A stored session that no connection used for so long is ended. */
  readonly sessionIdleMs: number
  /** Messages in flight to one client, and their bytes; one message always fits. */
  readonly window: number
  readonly windowBytes: number
  /** Bytes buffered for one connection, above which nothing more is written. */
  readonly bufferMax: number
  /** A full buffer from which nothing leaves for so long ends the connection. */
  readonly stallMs: number
  /** QoS 2 messages of one client that wait for their PUBREL; one more closes the connection. */
  readonly receivedMax: number
}

export const DEFAULT_PUBSUB_LIMITS: PubSubLimits = {
  queueMax: 1_000,
  queueMaxBytes: 16 * 1024 * 1024,
  retainedMax: 100_000,
  retainedMaxBytes: 64 * 1024 * 1024,
  sessionsMax: 250_000,
  sessionIdleMs: 90 * 86_400_000,
  window: 64,
  windowBytes: 1024 * 1024,
  bufferMax: 256 * 1024,
  stallMs: 10_000,
  receivedMax: 1_000,
}
