// Writing and reading of the binary forms: fixed-width big-endian integers, strings and bytes with a length in front.

/** A buffer that grows. `take` hands over what was written and starts anew. */
export class ByteWriter {
  #buffer: Buffer
  #length = 0

  constructor(capacity = 4096) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity)
  }

  get length(): number {
    return this.#length
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  u16(value: number): void {
    this.#reserve(2)
    this.#length = this.#buffer.writeUInt16BE(value, this.#length)
  }

  u32(value: number): void {
    this.#reserve(4)
    this.#length = this.#buffer.writeUInt32BE(value, this.#length)
  }

  /** Seqs, times and counters: 48 bits. */
  u48(value: number): void {
    this.#reserve(6)
    this.#length = this.#buffer.writeUIntBE(value, this.#length, 6)
  }

  /** Sets the 32 bits at `at`, written before as a placeholder. */
  patchU32(at: number, value: number): void {
    this.#buffer.writeUInt32BE(value, at)
  }

  patchU16(at: number, value: number): void {
    this.#buffer.writeUInt16BE(value, at)
  }

  patchU48(at: number, value: number): void {
    this.#buffer.writeUIntBE(value, at, 6)
  }

  /** UTF-8 with its length in 16 bits. */
  text(value: string): void {
    const most = value.length * 3
    this.#reserve(2 + most)
    const bytes = this.#buffer.write(value, this.#length + 2)
    if (bytes > 0xffff) throw new RangeError('a text field of more than 65535 bytes')
    this.#buffer.writeUInt16BE(bytes, this.#length)
    this.#length += 2 + bytes
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.byteLength)
    this.#buffer.set(value, this.#length)
    this.#length += value.byteLength
  }

  /** A copy of what was written, for small values; starts anew in the same buffer. */
  copy(): Buffer {
    const done = Buffer.allocUnsafe(this.#length)
    this.#buffer.copy(done, 0, 0, this.#length)
    this.#length = 0
    return done
  }

  /** What was written; the writer is not used again. */
  end(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** What was written, no longer touched by this writer. */
  take(): Buffer {
    const done = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(4096, Math.min(this.#length * 2, 1 << 20)))
    this.#length = 0
    return done
  }
}

/** Reads what ByteWriter wrote. Running off the end throws RangeError: the value is damaged. */
export class ByteReader {
  readonly #buffer: Buffer
  #at: number

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer
    this.#at = at
  }

  get position(): number {
    return this.#at
  }

  get done(): boolean {
    return this.#at >= this.#buffer.length
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#at++)
  }

  u16(): number {
    const value = this.#buffer.readUInt16BE(this.#at)
    this.#at += 2
    return value
  }

  u32(): number {
    const value = this.#buffer.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  u48(): number {
    const value = this.#buffer.readUIntBE(this.#at, 6)
    this.#at += 6
    return value
  }

  text(): string {
    const length = this.u16()
    return this.bytes(length).toString('utf8')
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#buffer.length) throw new RangeError('a stored value ends early')
    const value = this.#buffer.subarray(this.#at, end)
    this.#at = end
    return value
  }

  rest(): Buffer {
    return this.bytes(this.#buffer.length - this.#at)
  }
}
