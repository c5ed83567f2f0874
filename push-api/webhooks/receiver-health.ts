// Whether a receiver is up, as far as its answers tell. Pure: time is passed in.
//
//   up ── it is down, or too many failures in a row ──▶ paused ── its time is over ──▶ probing ── a success ──▶ up
//                                                          ▲──────────── a failure ────────┘

import { type BackoffLimits, backoffMs } from './backoff.js'

export interface HealthLimits {
  readonly pause: BackoffLimits
  readonly strikes: number
}

export class ReceiverHealth {
  readonly #limits: HealthLimits
  readonly #random: () => number
  /** Pauses since the last success. */
  #pauses = 0
  #pausedUntil = 0
  #strikes = 0

  constructor(limits: HealthLimits, random: () => number) {
    this.#limits = limits
    this.#random = random
  }

  /** How many requests may be under way now, of `most`. */
  allowed(now: number, most: number): number {
    if (now < this.#pausedUntil) return 0
    return this.#pauses > 0 ? 1 : most
  }

  /** When sending may go on; null: it may now. */
  resumesAt(now: number): number | null {
    return now < this.#pausedUntil ? this.#pausedUntil : null
  }

  succeeded(): void {
    this.#pauses = 0
    this.#strikes = 0
    this.#pausedUntil = 0
  }

  /** It cannot be reached. `waitMs`: what it asks for. True: sending pauses because of this. */
  down(now: number, waitMs: number): boolean {
    // Those that were under way together fail together.
    if (now < this.#pausedUntil) return false
    this.#pausedUntil = now + Math.max(waitMs, backoffMs(++this.#pauses, this.#limits.pause, this.#random))
    return true
  }

  /** It refused one event. True: sending pauses because of this. */
  refused(now: number): boolean {
    this.#strikes++
    return this.#pauses > 0 || this.#strikes >= this.#limits.strikes ? this.down(now, 0) : false
  }
}
