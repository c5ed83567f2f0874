import type { Random } from '../platform.js'

/** What becomes of a message whose handler keeps throwing. */
export const POISON_POLICIES = ['stop', 'skip', 'park'] as const
export type PoisonPolicy = (typeof POISON_POLICIES)[number]

export interface RetrySettings {
  /** Runs of the handler for one message, after which the poison policy applies. */
  readonly attempts: number
  /** Milliseconds before the second run; doubles for each further one … */
  readonly minMs: number
  /** … up to this. */
  readonly maxMs: number
}

export const RETRY: RetrySettings = { attempts: 5, minMs: 200, maxMs: 30_000 }

/** Milliseconds before the next run, after `attempts` that failed: half of it fixed, half of it random. */
export function retryDelay({ minMs, maxMs }: RetrySettings, attempts: number, random: Random): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempts - 1, 30))
  return full * (0.5 + random() / 2)
}
