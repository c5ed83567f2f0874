// Lets the connections of a node go, so many a second: those first on which nothing is on its way. Of the others, one whose turn
// has come is sent nothing more, and has a moment in which the device may acknowledge what it has; then it goes too.

import type { Clock } from '../core/clock.js'
import { TokenBucket, UNLIMITED, type Rate } from '../core/limits/token-bucket.js'
import type { DrainCounters } from './counters.js'

/** A connection, as far as its end is concerned. */
export interface Leaver {
  /** It is a device's, and has not ended. */
  readonly standing: boolean
  /** Nothing is on its way that is not acknowledged. */
  readonly rests: boolean
  /** Nothing more is sent. */
  letGo(): void
  /** It ends, in good order. */
  leave(): void
}

export interface DrainCrewOptions {
  /** The connections of the node, as they come and go. */
  readonly connections: Iterable<Leaver>
  /** Connections a second; 0: all at once. */
  readonly perSecond: number
  readonly counters: DrainCounters
  readonly clock: Pick<Clock, 'monotonic'>
}

const TICK_MS = 50
/** A process that did not run for longer does not make up for it: who takes the devices shall not see more than the rate. */
const BURST_SECONDS = 0.5
/** What a device gets to acknowledge what is in flight; and what it gets of that in a hurry. */
export const MOMENT_MS = 2_000
export const SHORT_MOMENT_MS = 300

export class DrainCrew {
  readonly #options: DrainCrewOptions
  readonly #rate: Rate
  readonly #bucket: TokenBucket
  /** Connections that were let go of, and until when they are waited for; monotonic. */
  readonly #leaving = new Map<Leaver, { readonly until: number; readonly which: 'busy' | 'rest' }>()
  /** Those that were told to end: they stand until their acks are stored. */
  readonly #ended = new WeakSet<Leaver>()

  constructor(options: DrainCrewOptions) {
    const { perSecond, clock } = options
    this.#options = options
    // At least two: what a tick earns beyond a whole one is kept for the next.
    this.#rate = perSecond === 0 ? UNLIMITED : { perSecond, burst: Math.max(2, perSecond * BURST_SECONDS) }
    this.#bucket = new TokenBucket(this.#rate, clock.monotonic())
    this.#bucket.spend(this.#rate, this.#rate.burst - 1, clock.monotonic())
  }

  /** Resolves when no connection stands. Once `hurry` is aborted nothing is paced, and the moment is short. */
  run(hurry: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        this.tick(hurry.aborted)
        if (this.#anyStands()) return
        clearInterval(timer)
        hurry.removeEventListener('abort', look)
        resolve()
      }
      const timer = setInterval(look, TICK_MS)
      hurry.addEventListener('abort', look)
      look()
    })
  }

  /** Does what is due now. */
  tick(hurried = false): void {
    const now = this.#options.clock.monotonic()
    if (hurried) this.#letAllGo(now + SHORT_MOMENT_MS)
    else {
      this.#letIdleGo(now)
      this.#letOthersGo(now)
    }
    for (const [connection, { until, which }] of this.#leaving) {
      if (connection.standing && !connection.rests && now < until) continue
      this.#leaving.delete(connection)
      if (connection.standing) this.#end(connection, which)
    }
    this.#options.counters.leaving = this.#leaving.size
  }

  /** Whoever is left, and no longer than until then. */
  #letAllGo(until: number): void {
    for (const [connection, moment] of this.#leaving) {
      if (moment.until > until) this.#leaving.set(connection, { ...moment, until })
    }
    for (const connection of this.#options.connections) {
      if (this.#isLeft(connection)) this.#letGo(connection, until, 'rest')
    }
  }

  #letIdleGo(now: number): void {
    for (const connection of this.#options.connections) {
      if (!connection.rests || !this.#isLeft(connection)) continue
      if (!this.#bucket.take(this.#rate, now)) return
      this.#end(connection, 'idle')
    }
  }

  #letOthersGo(now: number): void {
    for (const connection of this.#options.connections) {
      if (!this.#isLeft(connection)) continue
      if (!this.#bucket.take(this.#rate, now)) return
      this.#letGo(connection, now + MOMENT_MS, 'busy')
    }
  }

  #letGo(connection: Leaver, until: number, which: 'busy' | 'rest'): void {
    connection.letGo()
    this.#leaving.set(connection, { until, which })
  }

  #isLeft(connection: Leaver): boolean {
    return connection.standing && !this.#ended.has(connection) && !this.#leaving.has(connection)
  }

  #end(connection: Leaver, which: 'idle' | 'busy' | 'rest'): void {
    this.#ended.add(connection)
    this.#options.counters.ended[which]++
    connection.leave()
  }

  #anyStands(): boolean {
    for (const connection of this.#options.connections) if (connection.standing) return true
    return false
  }
}
