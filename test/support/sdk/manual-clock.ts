import type { Clock } from '../../../sdk/device/platform.js'

interface Timer {
  readonly at: number
  readonly run: () => void
}

/** A clock of the SDK that stands still until it is moved. */
export class ManualClock implements Clock {
  #now = 1_000
  readonly #timers = new Set<Timer>()

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Milliseconds until the next timer; null: there is none. */
  get next(): number | null {
    const first = this.#first()
    return first === null ? null : first.at - this.#now
  }

  /** Moves on; every timer that is due runs at its time, in order. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const first = this.#first()
      if (first === null || first.at > until) break
      this.#now = Math.max(this.#now, first.at)
      this.#timers.delete(first)
      first.run()
    }
    this.#now = until
  }

  /** As after a sleep of the machine: the time has passed, and what was due meanwhile runs now. */
  jump(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers].toSorted((a, b) => a.at - b.at)) {
      if (timer.at <= this.#now && this.#timers.delete(timer)) timer.run()
    }
  }

  #first(): Timer | null {
    let first: Timer | null = null
    for (const timer of this.#timers) if (first === null || timer.at < first.at) first = timer
    return first
  }
}
