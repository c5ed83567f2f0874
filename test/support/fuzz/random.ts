// Numbers from a seed: the same seed, the same numbers, on every machine.

/** A 32-bit generator of the xorshift kind over three words and a counter; good enough to look for faults with. */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `stream`: another sequence of the same seed. */
  constructor(seed: number, stream = 0) {
    this.#a = mix(seed)
    this.#b = mix(seed ^ 0x9e3779b9)
    this.#c = mix(stream + 0x85ebca6b)
    for (let i = 0; i < 12; i++) this.#next()
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return sum >>> 0
  }

  /** 0 ≤ x < 1. */
  fraction(): number {
    return this.#next() / 2 ** 32
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    return Math.floor(this.fraction() * below)
  }

  /** A whole number from `from` to `to`. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)]
    if (picked === undefined && list.length === 0) throw new RangeError('nothing to pick from')
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- within the list; its items may be undefined themselves
    return picked as T
  }

  bytes(length: number): Buffer {
    return Buffer.from(Uint8Array.from({ length }, () => this.below(256)))
  }

  /** Mostly small, sometimes large: up to `most`. */
  size(most: number): number {
    return Math.floor(most * this.fraction() ** 6)
  }
}

function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return x ^ (x >>> 16)
}
