/** A worker that ran for so long has done well: the next end of it is a first one. */
const STABLE_MS = 30_000
const FIRST_MS = 100
const MOST_MS = 10_000

/**
 * How long a worker that ended by itself is not started again: the first time hardly, then longer and longer, because what ends
 * it may be there for a while, and starting costs the others their processor.
 */
export class RestartDelay {
  #failures = 0

  /** Milliseconds; `ranMs`: from its start to its end. */
  next(ranMs: number): number {
    if (ranMs >= STABLE_MS) this.#failures = 0
    return Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(this.#failures++, 20))
  }
}
