import type { Logger } from '../core/log.js'
import type { AedesInternals } from './aedes-internals.js'
import type { Connection } from './connection.js'
import type { BrokerCounters } from './counters.js'
import type { DeadlineWheel } from './deadline-wheel.js'
import type { Doorway } from './doorway.js'
import type { InboundContext } from './inbound.js'
import type { BrokerLimits } from './limits.js'
import type { TurnFlusher } from './output.js'
import type { OrdinaryHub } from './pubsub/ordinary-hub.js'
import type { FramePackets } from './stream/frame-packets.js'
import type { UplinkWriter } from './uplink/uplink-writer.js'

/** What all connections of a node share. */
export interface ConnectionContext extends InboundContext {
  readonly internals: AedesInternals
  /** Ordinary pub/sub. */
  readonly hub: OrdinaryHub
  readonly uplink: UplinkWriter
  readonly flusher: TurnFlusher
  readonly limits: BrokerLimits
  readonly counters: BrokerCounters
  readonly log: Logger
  readonly door: Doorway
  readonly frames: FramePackets
  /** 0 ≤ x < 1. */
  readonly random: () => number
  /** Told whenever a deadline is new or has become an earlier one. */
  readonly deadlines: DeadlineWheel<Connection>
  /** The connection's wire has closed; the last thing that happens to it. */
  gone(connection: Connection): void
}
