// How long requests wait for the store. One timer for all of them: they wait equally long, so the first that came is the first
// whose time is over.

import type { Clock } from '../core/clock.js'

export interface Waiting {
  readonly until: number
  readonly giveUp: () => void
}

export class AnswerDeadlines {
  readonly #timeoutMs: number
  readonly #clock: Pick<Clock, 'monotonic'>
  /** In order of arrival, which is the order of their ends. */
  readonly #waiting = new Set<Waiting>()
  #armed = false

  constructor(timeoutMs: number, clock: Pick<Clock, 'monotonic'>) {
    this.#timeoutMs = timeoutMs
    this.#clock = clock
  }

  /** Calls `giveUp` once when the time is over, if `leave` was not called before. */
  enter(giveUp: () => void): Waiting {
    const waiting = { until: this.#clock.monotonic() + this.#timeoutMs, giveUp }
    this.#waiting.add(waiting)
    if (!this.#armed) this.#arm(this.#timeoutMs)
    return waiting
  }

  leave(waiting: Waiting): void {
    this.#waiting.delete(waiting)
  }

  #arm(ms: number): void {
    this.#armed = true
    setTimeout(() => {
      this.#armed = false
      this.#expire()
    }, ms).unref()
  }

  #expire(): void {
    const now = this.#clock.monotonic()
    for (const waiting of this.#waiting) {
      if (waiting.until > now) {
        if (!this.#armed) this.#arm(Math.ceil(waiting.until - now))
        return
      }
      this.#waiting.delete(waiting)
      waiting.giveUp()
    }
  }
}
