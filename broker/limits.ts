/** What a broker node bears. Counts, bytes and milliseconds as named. */
export interface BrokerLimits {
  /** Connections with an accepted CONNECT; one more is answered CONNACK 3. */
  readonly maxConnections: number
  /** Sockets on top of that which may wait for their CONNECT or linger after a refusal; further ones are closed unread. */
  readonly maxStrangers: number
  /** CONNECTs a second that are looked at, with a burst of as many; more are answered CONNACK 3. 0: no limit. */
  readonly connectsPerSecond: number
  /** A socket that has not sent its whole CONNECT by then is closed. */
  readonly connectTimeoutMs: number
  /** How long a socket that we closed may take to read the last bytes and close its side. */
  readonly lingerMs: number
  /** Largest remaining length of a CONNECT, a SUBSCRIBE or an UNSUBSCRIBE. */
  readonly maxControlBytes: number
  /** Largest remaining length of a PUBLISH: `--payload-max` and the longest topic. */
  readonly maxPublishBytes: number
}

export const DEFAULT_BROKER_LIMITS: BrokerLimits = {
  maxConnections: 250_000,
  maxStrangers: 4_096,
  connectsPerSecond: 0,
  connectTimeoutMs: 10_000,
  lingerMs: 1_000,
  maxControlBytes: 64 * 1024,
  maxPublishBytes: 256 * 1024 + 65_535 + 64,
}

/** Longest time by which a deadline of a connection may be late: the host looks at all of them this often. */
export const TICK_MS = 500
