// Whole numbers of any size that JavaScript counts exactly, seven bits a byte, the low ones first.

export class VarintWriter {
  readonly #bytes: number[] = []

  put(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no whole number from 0 on`)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes.push((rest % 0x80) + 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes.push(rest)
    return this
  }

  done(): Buffer {
    return Buffer.from(this.#bytes)
  }
}

export class VarintReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Throws RangeError when the bytes end inside a number. */
  take(): number {
    let value = 0
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError('the packed numbers are cut short')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }
}
