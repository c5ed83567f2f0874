// What is counted of one connection: for the node's counters, and for the one line that its end is.

import type { Logger } from '../core/log.js'
import type { BrokerCounters, CloseReason } from './counters.js'

export class ConnectionTally {
  readonly #counters: BrokerCounters
  /** Wall clock, milliseconds; 0: it was never let in. */
  #openedAt = 0
  #bytesIn = 0
  #pubacks = 0
  /** Messages of the inbox handed to it. */
  sent = 0

  constructor(counters: BrokerCounters) {
    this.#counters = counters
  }

  opened(now: number): void {
    this.#openedAt = now
    this.#counters.connects.accepted++
    this.#counters.connections++
  }

  took(bytes: number): void {
    this.#counters.bytesIn += bytes
    this.#bytesIn += bytes
  }

  acked(): void {
    this.#counters.pubacks++
    this.#pubacks++
  }

  /** Once. What was refused has a line of its own, and what never said who it is has none. */
  ended(
    { device, remote }: { readonly device: string | null; readonly remote: string },
    reason: CloseReason,
    now: number,
    log: Logger,
  ): void {
    this.#counters.closes[reason]++
    if (this.#openedAt === 0) return
    this.#counters.connections--
    const seconds = Math.round((now - this.#openedAt) / 1000)
    const counts = { bytesIn: this.#bytesIn, sent: this.sent, pubacks: this.#pubacks }
    log.info({ device, remote, reason, seconds, ...counts }, 'connection ended')
  }
}
