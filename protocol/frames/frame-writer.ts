// Writes MessagePack in its shortest form into one growing buffer, which may be used again and again.

import { utf8Length } from '../utf8-length.js'
import { FrameError } from './frame-error.js'

const UTF8 = new TextEncoder()
/** Up to this many characters a loop over ASCII beats the encoder. */
const SHORT = 48

export class FrameWriter {
  #bytes: Uint8Array
  #view: DataView
  #at = 0

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** Bytes written. */
  get size(): number {
    return this.#at
  }

  /** Forgets what was written after the first `size` bytes. */
  cut(size: number): void {
    this.#at = size
  }

  /** What was written; valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }

  /** A copy of what was written. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#at)
  }

  map(count: number): void {
    this.#header(count, 0x80, 0xde)
  }

  array(count: number): void {
    this.#header(count, 0x90, 0xdc)
  }

  nil(): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = 0xc0
  }

  /** An integer from 0 to 2^53 - 1; anything else is `out_of_range`. */
  uint(value: number): void {
    this.#reserve(9)
    if (value < 0x80 && value >= 0 && Number.isInteger(value)) this.#bytes[this.#at++] = value
    else if (!Number.isSafeInteger(value) || value < 0) throw new FrameError('out_of_range', '')
    else if (value < 0x1_0000_0000) this.#sized(value, 0xcc)
    else {
      this.#bytes[this.#at] = 0xcf
      this.#view.setUint32(this.#at + 1, Math.floor(value / 0x1_0000_0000))
      this.#view.setUint32(this.#at + 5, value % 0x1_0000_0000)
      this.#at += 9
    }
  }

  string(text: string): void {
    const size = utf8Length(text)
    this.#reserve(size + 5)
    if (size < 32) this.#bytes[this.#at++] = 0xa0 | size
    else this.#sized(size, 0xd9)
    if (size > SHORT || size !== text.length) {
      UTF8.encodeInto(text, this.#bytes.subarray(this.#at))
      this.#at += size
    } else {
      for (let i = 0; i < size; i++) this.#bytes[this.#at++] = text.charCodeAt(i)
    }
  }

  binary(bytes: Uint8Array): void {
    this.#reserve(bytes.length + 5)
    this.#sized(bytes.length, 0xc4)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #header(count: number, short: number, long: number): void {
    this.#reserve(5)
    if (count < 16) this.#bytes[this.#at++] = short | count
    else if (count < 0x1_0000) {
      this.#bytes[this.#at] = long
      this.#view.setUint16(this.#at + 1, count)
      this.#at += 3
    } else {
      this.#bytes[this.#at] = long + 1
      this.#view.setUint32(this.#at + 1, count)
      this.#at += 5
    }
  }

  /** `tag` and one byte, the next tag and two, the one after it and four: whichever is shortest. */
  #sized(value: number, tag: number): void {
    const at = this.#at
    if (value < 0x100) {
      this.#bytes[at] = tag
      this.#bytes[at + 1] = value
      this.#at = at + 2
    } else if (value < 0x1_0000) {
      this.#bytes[at] = tag + 1
      this.#view.setUint16(at + 1, value)
      this.#at = at + 3
    } else {
      this.#bytes[at] = tag + 2
      this.#view.setUint32(at + 1, value)
      this.#at = at + 5
    }
  }

  #reserve(more: number): void {
    const needed = this.#at + more
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}
