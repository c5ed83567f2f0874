import type { Random } from '../platform.js'

/** How long to wait after a connection that nobody planned to end. Milliseconds. */
export interface BackoffSettings {
  /** The first delay is uniform between 0 and this … */
  readonly firstMs: number
  /** … the range doubles with every failure, up to this. */
  readonly maxMs: number
  /** A connection that stood this long makes the next failure a first one. */
  readonly stableMs: number
}

export const BACKOFF: BackoffSettings = { firstMs: 3_000, maxMs: 20_000, stableMs: 60_000 }

/**
 * The delay after the n-th failure in a row (1 is the first). Uniform over the whole range, and not around its middle:
 * thousands of clients that lost the same server come back spread as widely as the delay allows.
 */
export function backoffDelay(settings: BackoffSettings, failures: number, random: Random): number {
  const range = Math.min(settings.maxMs, settings.firstMs * 2 ** Math.min(failures - 1, 30))
  return uniform(0, range, random)
}

export function uniform(min: number, max: number, random: Random): number {
  return min + (max - min) * random()
}
