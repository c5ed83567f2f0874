// The server's time, which all nodes share: asked for now and then, and carried on by this process's own monotonic clock.

import type { Clock } from '../../clock.js'

/** Older answers count for less: a clock that was set is followed within about so long. Milliseconds. */
const TRUSTED_MS = 60_000

interface Sample {
  /** What the server's clock says minus what the monotonic one does. */
  readonly offset: number
  readonly roundTrip: number
  readonly taken: number
}

export class StoreClock {
  readonly #clock: Clock
  #best: Sample | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The server said `time` in an answer to what was asked at `asked`, by the monotonic clock. */
  learn(time: number, asked: number): void {
    const taken = this.#clock.monotonic()
    const roundTrip = taken - asked
    const best = this.#best
    // A quick answer says it most exactly.
    if (best !== null && taken - best.taken < TRUSTED_MS && best.roundTrip < roundTrip) return
    this.#best = { offset: time - (asked + taken) / 2, roundTrip, taken }
  }

  /** Integer milliseconds UTC. */
  now(): number {
    return this.#best === null ? this.#clock.now() : Math.round(this.#clock.monotonic() + this.#best.offset)
  }
}
