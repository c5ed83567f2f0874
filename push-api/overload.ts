// G12: what was handed to the store and is not answered yet is bounded. A request over the limit is refused before any of it
// reaches the store, so that it can be repeated.

import type { Clock } from '../core/clock.js'
import { PostriderError } from '../core/errors.js'

export interface AppendQueueLimits {
  readonly queueMax: number
  readonly queueMaxBytes: number
  readonly queueMaxAgeMs: number
}

/** A request's place in the queue. */
export interface Ticket {
  readonly count: number
  readonly bytes: number
  readonly since: number
  left: boolean
}

export class AppendQueue {
  readonly #limits: AppendQueueLimits
  readonly #clock: Pick<Clock, 'monotonic'>
  /** In order of arrival; those before `#oldest` have left. */
  #tickets: Ticket[] = []
  #oldest = 0
  #count = 0
  #bytes = 0

  constructor(limits: AppendQueueLimits, clock: Pick<Clock, 'monotonic'>) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Messages in the queue. */
  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Milliseconds that the oldest request has waited for the store; 0 when there is none. */
  age(): number {
    const oldest = this.#tickets[this.#oldest]
    return oldest === undefined ? 0 : this.#clock.monotonic() - oldest.since
  }

  /** Throws `overloaded` when the queue takes nothing now: for asking before a body is read. */
  check(): void {
    this.#admit(1, 1)
  }

  /**
   * Takes a place for `count` messages of `bytes` bytes; throws `overloaded`. An empty queue takes any request. Every
   * ticket must be given back with `leave`, also when the store failed.
   */
  enter(count: number, bytes: number): Ticket {
    this.#admit(count, bytes)
    const ticket = { count, bytes, since: this.#clock.monotonic(), left: false }
    this.#tickets.push(ticket)
    this.#count += count
    this.#bytes += bytes
    return ticket
  }

  leave(ticket: Ticket): void {
    if (ticket.left) return
    ticket.left = true
    this.#count -= ticket.count
    this.#bytes -= ticket.bytes
    while (this.#tickets[this.#oldest]?.left === true) this.#oldest++
    if (this.#oldest === this.#tickets.length) {
      this.#tickets = []
      this.#oldest = 0
    } else if (this.#oldest > 1024 && this.#oldest * 2 > this.#tickets.length) {
      this.#tickets = this.#tickets.slice(this.#oldest)
      this.#oldest = 0
    }
  }

  #admit(count: number, bytes: number): void {
    if (this.#count === 0) return
    const { queueMax, queueMaxBytes, queueMaxAgeMs } = this.#limits
    if (this.#count + count > queueMax || this.#bytes + bytes > queueMaxBytes) {
      throw new PostriderError('overloaded', 'too many messages wait for the store; nothing of this request was stored')
    }
    if (this.age() > queueMaxAgeMs) {
      throw new PostriderError('overloaded', 'the store takes too long to answer; nothing of this request was stored')
    }
  }
}
