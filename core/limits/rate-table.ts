import { refillMs, TokenBucket, type Rate } from './token-bucket.js'

/** Keys that one generation remembers. Two generations of short keys are about 20 MB. */
const KEYS_MAX = 50_000

/**
 * One token bucket for each key (an address, a device), in bounded memory.
 *
 * A bucket that nobody touched for as long as it takes to fill is as good as none, and is forgotten: there are two
 * generations of buckets, the older one goes when the younger one is that old. A flood of more different keys than a
 * generation holds makes it go earlier: then a key may get a full bucket too soon, but the table never grows over its bound.
 * What bounds such a flood is a limit over all keys, not this table.
 */
export class RateTable {
  readonly #rate: Rate
  readonly #keysMax: number
  readonly #lifeMs: number
  #young = new Map<string, TokenBucket>()
  #old = new Map<string, TokenBucket>()
  #since: number | null = null

  constructor(rate: Rate, keysMax = KEYS_MAX) {
    this.#rate = rate
    this.#keysMax = keysMax
    this.#lifeMs = refillMs(rate)
  }

  /** False: nothing is ever refused. */
  get limits(): boolean {
    return this.#rate.perSecond > 0
  }

  /** Buckets remembered now. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** Takes one token of the key. False: there is none. `now`: monotonic milliseconds. */
  take(key: string, now: number): boolean {
    return !this.limits || this.#bucketOf(key, now).take(this.#rate, now)
  }

  /** One token that was taken for nothing. */
  giveBack(key: string, now: number): void {
    if (this.limits) this.#bucketOf(key, now).spend(this.#rate, -1, now)
  }

  /** Takes so many tokens of the key, also more than there are: see TokenBucket. */
  spend(key: string, cost: number, now: number): void {
    if (this.limits) this.#bucketOf(key, now).spend(this.#rate, cost, now)
  }

  /** Milliseconds until the key has `need` tokens; 0: it has. A `need` over the burst is the burst. */
  wait(key: string, now: number, need = 1): number {
    return this.limits ? this.#bucketOf(key, now).wait(this.#rate, now, need) : 0
  }

  #bucketOf(key: string, now: number): TokenBucket {
    this.#since ??= now
    // A bucket touched at the very end of a generation lives through the whole of the next one: long enough to be full.
    if (now - this.#since >= this.#lifeMs || this.#young.size >= this.#keysMax) {
      this.#old = this.#young
      this.#young = new Map()
      this.#since = now
    }
    let bucket = this.#young.get(key)
    if (bucket === undefined) {
      bucket = this.#old.get(key) ?? new TokenBucket(this.#rate, now)
      this.#old.delete(key)
      this.#young.set(key, bucket)
    }
    return bucket
  }
}
