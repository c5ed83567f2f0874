import type { Clock } from '../core/clock.js'
import type { Logger } from '../core/log.js'
import type { Mailbox } from '../core/ports/mailbox.js'
import type { Tracer } from '../core/tracing/tracer.js'
import type { AckFlusher } from './ack-flusher.js'
import type { CourierCounters } from './courier-counters.js'
import type { HostedCourier } from './hosted-courier.js'
import type { MachineContext } from './machine-types.js'
import type { ReadPump } from './read-pump.js'
import type { StoreContact } from './store-contact.js'
import type { Sweeper } from './sweeper.js'

/** What all couriers of a node share; one object, so that a courier needs one reference. */
export interface NodeServices {
  readonly node: string
  readonly mailbox: Mailbox
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly counters: CourierCounters
  /** Whether the time that each message takes is measured. */
  readonly measures: boolean
  /** Null: no traces are exported. */
  readonly tracer: Tracer | null
  readonly machine: MachineContext
  readonly contact: StoreContact
  readonly flusher: AckFlusher
  readonly reads: ReadPump
  readonly sweeper: Sweeper
  /** Milliseconds that a closing connection may wait for its flush and release before its socket is closed. */
  readonly closeGraceMs: number
  /** A courier has closed: notices and the sweep pass it by. Its kick is still answered. */
  leaving(courier: HostedCourier): void
  /** It has flushed and released. */
  left(courier: HostedCourier): void
}
