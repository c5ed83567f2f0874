// Sockets that are no device's connection: not yet, because no whole CONNECT has come, or no longer, because we have closed
// them. They are cheap to make for anybody, so they are few, and a newcomer finds room: the oldest of them goes.

import { WaitingRoom } from '../core/limits/waiting-room.js'
import type { SocketBudget } from '../core/limits/socket-budget.js'
import type { BrokerLimits } from './limits.js'

/** A socket, or a connection, that can be ended at once. */
export interface Guest {
  evict(): void
}

/** A guest who sends bytes that have to be kept. */
export interface Stranger extends Guest {
  strangerBytes: number
}

export type DoorLimits = Pick<BrokerLimits, 'maxStrangers' | 'maxStrangerBytes' | 'maxLingering'>

const evict = (guest: Guest): void => guest.evict()

export class Doorway {
  readonly #strangers: WaitingRoom<Guest>
  readonly #lingering: WaitingRoom<Guest>
  readonly #budget: SocketBudget
  readonly #maxBytes: number
  #bytes = 0

  constructor(limits: DoorLimits, budget: SocketBudget) {
    this.#strangers = new WaitingRoom(limits.maxStrangers, evict)
    this.#lingering = new WaitingRoom(limits.maxLingering, evict)
    this.#budget = budget
    this.#maxBytes = limits.maxStrangerBytes
    budget.addRoom(this.#strangers)
    budget.addRoom(this.#lingering)
  }

  /** Sockets without a whole CONNECT. */
  get strangers(): number {
    return this.#strangers.size
  }

  /** Bytes kept for them. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * A listener has accepted a socket; whoever it belongs to has come by `comes`. False: the process may not have so many, and
   * nobody makes room; end it. `socketClosed` once in either case.
   */
  socketOpened(): boolean {
    return this.#budget.enter()
  }

  socketClosed(): void {
    this.#budget.leave()
  }

  comes(guest: Guest): void {
    this.#strangers.enter(guest)
  }

  /** Bytes of a stranger are kept. May evict it, or others. */
  keeps(stranger: Stranger, bytes: number): void {
    stranger.strangerBytes += bytes
    this.#bytes += bytes
    while (this.#bytes > this.#maxBytes && this.#strangers.putOutOldest());
  }

  /** It has said what it wants, or never will. Idempotent. */
  isKnown(guest: Guest): void {
    this.#strangers.leave(guest)
  }

  /** Nothing more is kept of it. Idempotent. */
  keepsNothing(stranger: Stranger): void {
    this.#bytes -= stranger.strangerBytes
    stranger.strangerBytes = 0
  }

  /** We have closed it, and its other side may read the last bytes. */
  lingers(guest: Guest): void {
    this.#lingering.enter(guest)
  }

  /** Its socket has closed. */
  isGone(guest: Guest): void {
    this.#strangers.leave(guest)
    this.#lingering.leave(guest)
  }
}
