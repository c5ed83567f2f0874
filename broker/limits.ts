import { rateOf, UNLIMITED, type Rate } from '../core/limits/token-bucket.js'
import { DEFAULT_UPLINK_LIMITS } from '../core/ports/uplink.js'
import { uplinkShare } from './uplink/uplink-shares.js'

/** What a broker node bears. Counts, bytes and milliseconds as named. */
export interface BrokerLimits {
  /** Connections with an accepted CONNECT; one more is answered CONNACK 3. */
  readonly maxConnections: number
  /** The same from one address. 0: no limit. */
  readonly maxConnectionsPerAddress: number
  /** Sockets on top of that which have not sent their whole CONNECT; of more, the one that waits longest is closed. */
  readonly maxStrangers: number
  /** Bytes of theirs that are kept, all together; over it, those that wait longest are closed. */
  readonly maxStrangerBytes: number
  /** TLS handshakes at a time. Of more, the oldest is ended if it had `handshakePatienceMs`; else the new one. */
  readonly maxHandshakes: number
  readonly handshakePatienceMs: number
  /** Sockets that we have closed and whose other side has not; of more, the oldest is ended at once. */
  readonly maxLingering: number
  /** CONNECTs that are looked at; more are answered CONNACK 3. */
  readonly connects: Rate
  /** The same for the CONNECTs from one address. */
  readonly connectsPerAddress: Rate
  /** The same for one device, counted once its credentials were found good: nobody else can use it up. */
  readonly connectsPerDevice: Rate
  /** PUBLISH packets that are read from one device; more wait unread. */
  readonly publishesPerDevice: Rate
  /** The same for all devices of one address. */
  readonly publishesPerAddress: Rate
  /** SUBSCRIBE, UNSUBSCRIBE and PINGREQ packets; other packets that are not a courier's PUBACK count `ACK_COST`. */
  readonly packetsPerDevice: Rate
  readonly bytesPerDevice: Rate
  /** A socket that is not through with its handshakes by then, or then has not sent its whole CONNECT, is closed. */
  readonly connectTimeoutMs: number
  /** A packet that has begun must be whole by then, and `SLOWEST_BYTES_PER_SECOND` more for long ones. */
  readonly packetTimeoutMs: number
  /** How long a socket that we closed may take to read the last bytes and close its side. */
  readonly lingerMs: number
  /** Largest remaining length of a CONNECT, a SUBSCRIBE or an UNSUBSCRIBE. */
  readonly maxControlBytes: number
  /** Largest remaining length of a PUBLISH: `--payload-max` and the longest topic. */
  readonly maxPublishBytes: number
  /** Bytes of the payload of a PUBLISH: `--payload-max`. */
  readonly maxPayloadBytes: number
  /** Filters of one SUBSCRIBE or UNSUBSCRIBE; in a SUBSCRIBE those beyond are answered 0x80. */
  readonly maxFilters: number
  /** Subscriptions of one device; a filter beyond is answered 0x80. */
  readonly maxSubscriptions: number
  /** UTF-8 bytes of a topic or filter. */
  readonly maxTopicBytes: number
  /** Levels of a topic or filter. */
  readonly maxTopicLevels: number
  /** An uplink that is not stored by then is refused. */
  readonly uplinkTimeoutMs: number
  /** Bytes of uplink on their way to the store, of all connections; over it, those that have some are not read from. */
  readonly maxUplinkBytes: number
  /** Bytes of uplink that one device stores; see `uplinkShare`. */
  readonly uplinkPerDevice: Rate
  /** Bytes that wait for a device which does not read, the courier's and all others: more close the connection. */
  readonly maxUnsentBytes: number
}

/** Seconds whose worth of a rate may come at once. */
export const BURST_SECONDS = { connects: 1, connectsPerPeer: 10, publishes: 2, packets: 2, bytes: 4 } as const

/** What an acknowledgement counts against the rate of packets: a busy subscriber sends many. */
export const ACK_COST = 1 / 20

/** So many retained messages that are looked at for a subscription count as one packet more. */
export const RETAINED_OF_ONE_PACKET = 1_000

/** Packets of one connection that are looked at in one turn; then the others have theirs. */
export const PACKETS_PER_TURN = 100

/** A long packet may take as long as it takes at this speed. */
export const SLOWEST_BYTES_PER_SECOND = 4 * 1024

export const DEFAULT_BROKER_LIMITS: BrokerLimits = {
  maxConnections: 250_000,
  maxConnectionsPerAddress: 0,
  maxStrangers: 4_096,
  maxStrangerBytes: 32 * 1024 * 1024,
  maxHandshakes: 1_024,
  handshakePatienceMs: 2_000,
  maxLingering: 1_024,
  connects: UNLIMITED,
  connectsPerAddress: UNLIMITED,
  connectsPerDevice: rateOf(2, BURST_SECONDS.connectsPerPeer),
  publishesPerDevice: rateOf(100, BURST_SECONDS.publishes),
  publishesPerAddress: UNLIMITED,
  packetsPerDevice: rateOf(50, BURST_SECONDS.packets),
  bytesPerDevice: rateOf(1024 * 1024, BURST_SECONDS.bytes),
  connectTimeoutMs: 10_000,
  packetTimeoutMs: 30_000,
  lingerMs: 1_000,
  maxControlBytes: 64 * 1024,
  maxPublishBytes: 256 * 1024 + 65_535 + 64,
  maxPayloadBytes: 256 * 1024,
  maxFilters: 100,
  maxSubscriptions: 100,
  maxTopicBytes: 1024,
  maxTopicLevels: 32,
  uplinkTimeoutMs: 5_000,
  maxUplinkBytes: 64 * 1024 * 1024,
  uplinkPerDevice: uplinkShare(DEFAULT_UPLINK_LIMITS.maxBytes / 4, DEFAULT_UPLINK_LIMITS.retentionSeconds),
  maxUnsentBytes: 4 * 1024 * 1024,
}

/** How often the host looks for deadlines that have passed; so one may be noticed by twice as much too late. */
export const TICK_MS = 500
