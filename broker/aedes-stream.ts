// What Aedes is given as its connection: not a stream, but all of one that Aedes 1.2 uses. A real Duplex with its states,
// buffers and listeners costs kilobytes for each idle connection.
//
// Aedes listens to 'readable' and reads, listens to 'end', writes, and destroys. It also registers 'error', and
// `stream.finished` registers some more: we never emit those. The end of the connection is told once, by 'end', which is
// Aedes' own `client.close`.

import { ChunkList } from '../core/chunk-list.js'

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

export class AedesStream<Owner extends StreamOwner = StreamOwner> {
  readonly owner: Owner
  /** Aedes sets it to its Client. */
  client: unknown = null
  destroyed = false
  /** Bytes that wait for Aedes. */
  waiting = 0
  #chunks: ChunkList | null = null
  #onReadable: Listener | null = null
  #onEnd: Listener | null = null

  constructor(owner: Owner) {
    this.owner = owner
  }

  // --- our side

  push(bytes: Uint8Array): void {
    if (this.destroyed) return
    this.#chunks ??= new ChunkList()
    this.#chunks.push(bytes)
    this.waiting += bytes.length
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
    const bytes = chunks.take()
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
