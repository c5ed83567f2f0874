/** At most `perSecond` CONNECTs a second, with a burst of as many; 0: no limit. */
export class ConnectRate {
  readonly #perSecond: number
  #tokens: number
  #at = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#tokens = perSecond
  }

  /** True: this CONNECT is within the rate. `now`: monotonic milliseconds. */
  take(now: number): boolean {
    if (this.#perSecond === 0) return true
    const earned = ((now - this.#at) / 1000) * this.#perSecond
    this.#at = now
    this.#tokens = Math.min(this.#perSecond, this.#tokens + earned)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
