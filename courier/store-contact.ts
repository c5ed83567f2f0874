// G7: a node that could not confirm its claims for some seconds, because it was frozen or cut off from the store, writes
// nothing more to any device until it has. Here is only the clockwork: when contact was lost, and when it is back.

import type { Clock } from '../core/clock.js'

export interface StoreContactOptions {
  readonly clock: Clock
  /** Milliseconds without an answer of the store after which claims are in doubt. */
  readonly limitMs: number
  /** Hold every courier. */
  onLost(): void
  /** The store answers again: sweep, so that claims are confirmed one by one. */
  onBack(): void
}

export class StoreContact {
  /** Which loss of contact was the last; a sweep confirms claims only against a loss that was before its question. */
  losses = 0
  private readonly options: StoreContactOptions
  private lastAt: number
  private lost = false

  constructor(options: StoreContactOptions) {
    this.options = options
    this.lastAt = options.clock.monotonic()
  }

  /** The store has answered a question that was asked at `askedAt` (monotonic). */
  answered(askedAt: number): void {
    if (askedAt > this.lastAt) this.lastAt = askedAt
    if (!this.lost || this.options.clock.monotonic() - askedAt > this.options.limitMs) return
    this.lost = false
    this.options.onBack()
  }

  /**
   * To be called before anything that may write to devices, once for many: a frozen process learns here, and not from a
   * timer that may come too late, that it has slept. False: in doubt.
   */
  check(): boolean {
    if (this.lost) return false
    if (this.options.clock.monotonic() - this.lastAt <= this.options.limitMs) return true
    this.lost = true
    this.losses++
    this.options.onLost()
    return false
  }
}
