// Whether this process may say of others that their leases are over: only after it could renew its own for a whole lease without a
// break. When Redis was away, or this process frozen, everybody gets the time to come back first.

export class LeaseWatch {
  readonly #leaseMs: number
  readonly #monotonic: () => number
  /** Since when leases could be renewed without a break; when one was last, and what Redis said then that the time was. */
  #since = 0
  #renewedAt = -Infinity
  #redisNow = 0

  constructor(leaseMs: number, monotonic: () => number) {
    this.#leaseMs = leaseMs
    this.#monotonic = monotonic
  }

  /** A call begins. `declaresAt`: what time it is for Redis, if the call may declare others dead, else 0. */
  begin(): { readonly begun: number; readonly declaresAt: number } {
    const begun = this.#monotonic()
    if (begun - this.#renewedAt > this.#leaseMs / 2) this.#since = begun
    const declares = begun - this.#since >= this.#leaseMs
    return { begun, declaresAt: declares ? Math.round(this.#redisNow + begun - this.#renewedAt) : 0 }
  }

  /** It was answered. */
  done(begun: number, redisNow: number): void {
    this.#renewedAt = begun
    this.#redisNow = redisNow
  }
}
