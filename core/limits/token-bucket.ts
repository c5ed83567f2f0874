// How often somebody may do something. A bucket holds `burst` tokens at most and earns `perSecond` of them a second; doing it
// costs tokens. Time is passed in: monotonic milliseconds, never going back.

export interface Rate {
  /** 0: no limit. */
  readonly perSecond: number
  /** What may be spent at once by somebody who has been quiet; at least 1. */
  readonly burst: number
}

export const UNLIMITED: Rate = { perSecond: 0, burst: 1 }

/** `perSecond` with a burst of what `seconds` earn. */
export function rateOf(perSecond: number, seconds: number): Rate {
  return { perSecond, burst: Math.max(1, perSecond * seconds) }
}

/** How long a bucket takes to be full again, whatever was taken out of it (not counting debts). Milliseconds. */
export function refillMs({ perSecond, burst }: Rate): number {
  return perSecond === 0 ? 0 : (burst / perSecond) * 1000
}

/** Costs are fractions: twenty times a twentieth is not quite one. */
const ROUNDING = 1e-9

/** The rate is passed in with every call: many buckets share one. */
export class TokenBucket {
  #tokens: number
  #at: number

  /** A full one. */
  constructor(rate: Rate, now: number) {
    this.#tokens = rate.burst
    this.#at = now
  }

  /** Takes one token if there is a whole one. False: there is none. */
  take(rate: Rate, now: number): boolean {
    if (rate.perSecond === 0) return true
    this.#earn(rate, now)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Takes `cost` tokens, also more than there are: what is missing is a debt that has to be earned first. */
  spend(rate: Rate, cost: number, now: number): void {
    if (rate.perSecond === 0) return
    this.#earn(rate, now)
    this.#tokens -= cost
  }

  /** Milliseconds until there is `need` again; 0: now. A `need` over the burst is the burst. */
  wait(rate: Rate, now: number, need = 0): number {
    if (rate.perSecond === 0) return 0
    this.#earn(rate, now)
    const missing = Math.min(need, rate.burst) - this.#tokens
    return missing <= ROUNDING ? 0 : (missing / rate.perSecond) * 1000
  }

  #earn(rate: Rate, now: number): void {
    this.#tokens = Math.min(rate.burst, this.#tokens + ((now - this.#at) / 1000) * rate.perSecond)
    this.#at = now
  }
}
