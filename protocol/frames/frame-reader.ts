// Reads MessagePack straight into what a frame expects at that place. No value is built that nobody asked for: unknown keys
// are stepped over, an integer that a double cannot hold is an error and never rounded, extension types fit nowhere, and no
// key becomes the name of a property.

import { FrameError, type FrameErrorCode } from './frame-error.js'
import { FRAME_LIMITS } from './frame-limits.js'

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Up to this many bytes a loop over ASCII beats the decoder. */
const SHORT = 48
/** Longest part of a map key that an error's path shows. */
const SHOWN_KEY = 64

export class FrameReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  // Where in the frame the reader is, for errors only.
  #field = ''
  #key: string | null = null
  #index = -1
  #element = -1

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Makes the error; the caller throws it. */
  error(code: FrameErrorCode): FrameError {
    const key = this.#key === null ? '' : `[${JSON.stringify(this.#key.slice(0, SHOWN_KEY))}]`
    const index = this.#index < 0 ? '' : `[${this.#index}]`
    const element = this.#element < 0 ? '' : `[${this.#element}]`
    return new FrameError(code, `${this.#field}${key}${index}${element}`)
  }

  /** The next value belongs to this entry of a map in the present field. */
  atKey(key: string): void {
    this.#key = key
    this.#element = -1
  }

  /** The next value is this item of a list in the present field. */
  atIndex(index: number): void {
    this.#index = index
    this.#element = -1
  }

  /** The next value is this element of a tuple. */
  atElement(element: number): void {
    this.#element = element
  }

  #enter(field: string): void {
    this.#field = field
    this.#key = null
    this.#index = this.#element = -1
  }

  // --- the frame as a whole

  /** Looks over the whole frame: where each field begins. Everything is well-formed afterwards, nothing is read. */
  fields(): Fields {
    const count = this.mapHeader(FRAME_LIMITS.keys)
    const offsets = new Map<string, number>()
    for (let i = 0; i < count; i++) {
      this.#enter('')
      const key = this.string(0, FRAME_LIMITS.keyBytes)
      this.#enter(key)
      if (offsets.has(key)) throw this.error('duplicate_key')
      offsets.set(key, this.#at)
      this.skip(FRAME_LIMITS.depth - 1)
    }
    this.#enter('')
    if (this.#at < this.#bytes.length) throw this.error('trailing_bytes')
    return new Fields(this, offsets, (field, offset) => {
      this.#enter(field)
      this.#at = offset
    })
  }

  /** Steps over one value. */
  skip(depth: number = FRAME_LIMITS.depth): void {
    /** Values still to come on each open level. */
    const open: number[] = []
    let left = 1
    for (;;) {
      while (left === 0) {
        const outer = open.pop()
        if (outer === undefined) return
        left = outer
      }
      left--
      const inner = this.#skipHeader()
      if (inner < 0) continue
      if (open.length >= depth) throw this.error('too_deep')
      open.push(left)
      left = inner
    }
  }

  /** Steps over a scalar and answers -1, or over the header of an array or a map and answers how many values are in it. */
  #skipHeader(): number {
    const byte = this.#byte()
    if (byte < 0x80 || byte >= 0xe0) return -1
    if (byte < 0x90) return (byte & 0x0f) * 2
    if (byte < 0xa0) return byte & 0x0f
    if (byte < 0xc0) return this.#jump(byte & 0x1f)
    switch (byte) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return -1
      case 0xc4:
      case 0xd9:
        return this.#jump(this.#uint(1))
      case 0xc5:
      case 0xda:
        return this.#jump(this.#uint(2))
      case 0xc6:
      case 0xdb:
        return this.#jump(this.#uint(4))
      case 0xc7:
        return this.#jump(this.#uint(1) + 1)
      case 0xc8:
        return this.#jump(this.#uint(2) + 1)
      case 0xc9:
        return this.#jump(this.#uint(4) + 1)
      case 0xca:
      case 0xce:
      case 0xd2:
        return this.#jump(4)
      case 0xcb:
      case 0xcf:
      case 0xd3:
        return this.#jump(8)
      case 0xcc:
      case 0xd0:
        return this.#jump(1)
      case 0xcd:
      case 0xd1:
        return this.#jump(2)
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#jump(1 + (1 << (byte - 0xd4)))
      case 0xdc:
        return this.#uint(2)
      case 0xdd:
        return this.#uint(4)
      case 0xde:
        return this.#uint(2) * 2
      case 0xdf:
        return this.#uint(4) * 2
      default:
        throw this.error('not_msgpack')
    }
  }

  // --- single values

  /** Consumes a nil; false, and nothing is consumed, when something else stands there. */
  nil(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false
    this.#at++
    return true
  }

  /** An integer of any width between the two, both at most 2^53 - 1. Floats are no integers, also not 1.0. */
  integer(min: number, max: number): number {
    const value = this.#integer()
    if (value < min || value > max) throw this.error('out_of_range')
    return value
  }

  #integer(): number {
    const byte = this.#byte()
    if (byte < 0x80) return byte
    if (byte >= 0xe0) return byte - 0x100
    switch (byte) {
      case 0xcc:
        return this.#uint(1)
      case 0xcd:
        return this.#uint(2)
      case 0xce:
        return this.#uint(4)
      case 0xcf: {
        const high = this.#uint(4)
        if (high > 0x1f_ffff) throw this.error('out_of_range')
        return high * 0x1_0000_0000 + this.#uint(4)
      }
      case 0xd0:
        return (this.#uint(1) << 24) >> 24
      case 0xd1:
        return (this.#uint(2) << 16) >> 16
      case 0xd2:
        return this.#uint(4) | 0
      case 0xd3: {
        const high = this.#uint(4) | 0
        if (high > 0x1f_ffff || high < -0x20_0000) throw this.error('out_of_range')
        return high * 0x1_0000_0000 + this.#uint(4)
      }
      default:
        throw this.error(byte === 0xc1 ? 'not_msgpack' : 'wrong_type')
    }
  }

  /** A string whose UTF-8 form has between `min` and `max` bytes. */
  string(min: number, max: number): string {
    const byte = this.#byte()
    let size: number
    if (byte >= 0xa0 && byte < 0xc0) size = byte & 0x1f
    else if (byte === 0xd9) size = this.#uint(1)
    else if (byte === 0xda) size = this.#uint(2)
    else if (byte === 0xdb) size = this.#uint(4)
    else throw this.error(byte === 0xc1 ? 'not_msgpack' : 'wrong_type')
    if (size < min || size > max) throw this.error('out_of_range')
    return this.#text(size)
  }

  /** Binary of at most `max` bytes. Shares the frame's memory. */
  binary(max: number): Uint8Array {
    const byte = this.#byte()
    let size: number
    if (byte === 0xc4) size = this.#uint(1)
    else if (byte === 0xc5) size = this.#uint(2)
    else if (byte === 0xc6) size = this.#uint(4)
    else throw this.error(byte === 0xc1 ? 'not_msgpack' : 'wrong_type')
    if (size > max) throw this.error('out_of_range')
    const start = this.#at
    this.#jump(size)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, size)
  }

  /** How many entries follow, at most `max`. */
  mapHeader(max: number): number {
    const byte = this.#byte()
    let count: number
    if (byte >= 0x80 && byte < 0x90) count = byte & 0x0f
    else if (byte === 0xde) count = this.#uint(2)
    else if (byte === 0xdf) count = this.#uint(4)
    else throw this.error(byte === 0xc1 ? 'not_msgpack' : 'wrong_type')
    if (count > max) throw this.error('out_of_range')
    return count
  }

  /** How many items follow, at most `max`. */
  arrayHeader(max: number): number {
    const byte = this.#byte()
    let count: number
    if (byte >= 0x90 && byte < 0xa0) count = byte & 0x0f
    else if (byte === 0xdc) count = this.#uint(2)
    else if (byte === 0xdd) count = this.#uint(4)
    else throw this.error(byte === 0xc1 ? 'not_msgpack' : 'wrong_type')
    if (count > max) throw this.error('out_of_range')
    return count
  }

  /** The header of a tuple of `length` elements; answers how many more follow, which a later version has added. */
  tupleHeader(length: number): number {
    const count = this.arrayHeader(Number.MAX_SAFE_INTEGER)
    if (count < length) throw this.error('missing_field')
    return count - length
  }

  // --- bytes

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw this.error('truncated')
    this.#at++
    return byte
  }

  #uint(size: 1 | 2 | 4): number {
    const at = this.#at
    if (at + size > this.#bytes.length) throw this.error('truncated')
    this.#at = at + size
    if (size === 1) return this.#view.getUint8(at)
    return size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #jump(size: number): -1 {
    if (size > this.#bytes.length - this.#at) throw this.error('truncated')
    this.#at += size
    return -1
  }

  #text(size: number): string {
    const start = this.#at
    this.#jump(size)
    const bytes = this.#bytes
    if (size <= SHORT) {
      let text = ''
      let at = start
      for (; at < this.#at; at++) {
        const byte = bytes[at] ?? 0x80
        if (byte >= 0x80) break
        text += String.fromCharCode(byte)
      }
      if (at === this.#at) return text
    }
    try {
      return UTF8.decode(bytes.subarray(start, this.#at))
    } catch {
      throw this.error('bad_utf8') // the only thing that a fatal decoder throws
    }
  }
}

/** The fields of a frame whose bytes were looked over. */
export class Fields {
  readonly #reader: FrameReader
  readonly #offsets: ReadonlyMap<string, number>
  readonly #enter: (field: string, offset: number) => void

  constructor(
    reader: FrameReader,
    offsets: ReadonlyMap<string, number>,
    enter: (field: string, offset: number) => void,
  ) {
    this.#reader = reader
    this.#offsets = offsets
    this.#enter = enter
  }

  /** The reader, standing at this field's value. */
  at(field: string): FrameReader {
    const offset = this.#offsets.get(field)
    if (offset === undefined) throw new FrameError('missing_field', field)
    this.#enter(field, offset)
    return this.#reader
  }
}
