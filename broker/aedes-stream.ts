// What Aedes is given as its connection: not a stream, but all of one that Aedes 1.2 uses. A real Duplex with its states,
// buffers and listeners costs kilobytes for each idle connection.
//
// Aedes listens to 'readable' and reads, listens to 'end', writes, and destroys. It also registers 'error', and
// `stream.finished` registers some more: we never emit those. The end of the connection is told once, by 'end', which is
// Aedes' own `client.close`.

/** The other side of the stream: the connection. */
export interface StreamOwner {
  /** Bytes of a packet that Aedes sends. */
  writeFromAedes(bytes: Buffer): void
  /** Aedes ends the connection, because of `error` if there is one. */
  destroyedByAedes(error: Error | null): void
  /** False: Aedes must not be given the next packets yet. */
  mayRead(): boolean
  /** Aedes took everything that was waiting. */
  readByAedes(): void
}

type Listener = (...args: unknown[]) => void

/**
 * Pieces up to this size that wait behind others are copied together: a packet that comes byte by byte would otherwise cost
 * hundreds of bytes for each.
 */
const SMALL_BYTES = 512
const JOINED_BYTES = 4 * 1024

export class AedesStream<Owner extends StreamOwner = StreamOwner> {
  readonly owner: Owner
  /** Aedes sets it to its Client. */
  client: unknown = null
  destroyed = false
  /** Bytes that wait for Aedes. */
  waiting = 0
  #chunks: Uint8Array[] | null = null
  /** The last of `#chunks` is the first `#joinedLength` bytes of it. */
  #joined: Buffer | null = null
  #joinedLength = 0
  #onReadable: Listener | null = null
  #onEnd: Listener | null = null

  constructor(owner: Owner) {
    this.owner = owner
  }

  // --- our side

  push(bytes: Uint8Array): void {
    if (this.destroyed) return
    if (this.#chunks === null) this.#chunks = [bytes]
    else if (bytes.length <= SMALL_BYTES) this.#join(this.#chunks, bytes)
    else {
      this.#chunks.push(bytes)
      this.#joined = null
    }
    this.waiting += bytes.length
  }

  #join(chunks: Uint8Array[], bytes: Uint8Array): void {
    if (this.#joined === null || this.#joinedLength + bytes.length > this.#joined.length) {
      this.#joined = Buffer.allocUnsafeSlow(JOINED_BYTES)
      this.#joinedLength = 0
      chunks.push(this.#joined)
    }
    this.#joined.set(bytes, this.#joinedLength)
    this.#joinedLength += bytes.length
    chunks[chunks.length - 1] = this.#joined.subarray(0, this.#joinedLength)
  }

  /** Tells Aedes to read, if something waits. */
  wake(): void {
    if (this.waiting > 0 && this.#onReadable !== null) this.#onReadable()
  }

  /** The connection is over: Aedes closes its client, synchronously. */
  end(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.#chunks = null
    this.#joined = null
    this.waiting = 0
    const onEnd = this.#onEnd
    this.#onEnd = null
    this.#onReadable = null
    if (onEnd !== null) onEnd()
  }

  // --- Aedes' side

  /** Everything that waits, as one buffer: Aedes reads again only after a packet was complete in what it got. */
  read(): Uint8Array | null {
    const chunks = this.#chunks
    if (chunks === null || !this.owner.mayRead()) return null
    this.#chunks = null
    this.#joined = null
    const bytes = chunks.length === 1 ? (chunks[0] ?? null) : Buffer.concat(chunks, this.waiting)
    this.waiting = 0
    this.owner.readByAedes()
    return bytes
  }

  /** Always true: Aedes must not wait for a slow reader, because while it waits it reads nothing. */
  write(chunk: Buffer | string, encoding?: BufferEncoding): true {
    this.owner.writeFromAedes(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk)
    return true
  }

  destroy(error?: Error): this {
    if (!this.destroyed) this.owner.destroyedByAedes(error ?? null)
    return this
  }

  on(event: string, listener: Listener): this {
    if (event === 'readable') this.#onReadable ??= listener
    else if (event === 'end' && !this.destroyed) this.#onEnd ??= listener
    return this
  }

  once(event: string, listener: Listener): this {
    return this.on(event, listener)
  }

  removeListener(): this {
    return this
  }

  removeAllListeners(event: string): this {
    if (event === 'readable') this.#onReadable = null
    return this
  }

  emit(): boolean {
    return false
  }

  setMaxListeners(): this {
    return this
  }
}
