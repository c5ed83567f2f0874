/** Pieces up to this size that come behind others are copied together. */
const SMALL_BYTES = 512
const JOINED_BYTES = 4 * 1024

/**
 * Bytes that come in pieces, kept until they are taken all at once. Small pieces are copied together: each would otherwise cost
 * hundreds of bytes for one, and who sends decides how small they are.
 */
export class ChunkList {
  #chunks: Uint8Array[] = []
  /** The last of `#chunks` is the first `#joinedLength` bytes of it. */
  #joined: Buffer | null = null
  #joinedLength = 0
  #length = 0

  /** Bytes. */
  get length(): number {
    return this.#length
  }

  push(bytes: Uint8Array): void {
    this.#length += bytes.length
    if (this.#chunks.length > 0 && bytes.length <= SMALL_BYTES) this.#join(bytes)
    else {
      this.#chunks.push(bytes)
      this.#joined = null
    }
  }

  /** All of it, as one piece. The list is of no use any more. */
  take(): Uint8Array {
    const [first] = this.#chunks
    return first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#length)
  }

  #join(bytes: Uint8Array): void {
    if (this.#joined === null || this.#joinedLength + bytes.length > this.#joined.length) {
      this.#joined = Buffer.allocUnsafeSlow(JOINED_BYTES)
      this.#joinedLength = 0
      this.#chunks.push(this.#joined)
    }
    this.#joined.set(bytes, this.#joinedLength)
    this.#joinedLength += bytes.length
    this.#chunks[this.#chunks.length - 1] = this.#joined.subarray(0, this.#joinedLength)
  }
}
