import type { Clock } from '../../core/clock.js'

/** A clock that stands still until it is moved. Wall and monotonic time move together; `setWall` moves the wall alone. */
export class FakeClock implements Clock {
  #wall: number
  #monotonic = 1_000

  constructor(wall = Date.UTC(2030, 0, 1)) {
    this.#wall = wall
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  advance(ms: number): void {
    this.#wall += ms
    this.#monotonic += ms
  }

  /** An operator or NTP sets the wall clock. */
  setWall(wall: number): void {
    this.#wall = wall
  }
}
