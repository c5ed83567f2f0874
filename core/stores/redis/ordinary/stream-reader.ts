// A node's ear for ordinary pub/sub: reads the node's stream on a connection of its own, in order, and says how far it has read.
// A connection that ends or says nothing is made anew, and goes on behind the last entry: nothing is lost with it.

import type { Redis } from 'ioredis'
import { StoreUnavailable } from '../../../errors.js'
import type { Logger } from '../../../log.js'
import { bytesOf, listOf, textOf } from '../reply.js'
import { messageOf } from '../redis-errors.js'

/** Shorter than what a connection may stay silent. */
const BLOCK_MS = 700
const COUNT = 500
const RETRY_MS = { first: 50, most: 1_000 }
/** How far was read is said after so much, or so long. */
const SAY_BYTES = 256 * 1024
const SAY_MS = 200
/** As lua/lib/ordinary.lua counts an entry. */
const ENTRY_BYTES = 64

export interface StreamReaderOptions {
  readonly stream: string
  /** A new connection to the server that has the stream, not opened; null: nobody has it now. */
  readonly connect: (stream: string) => Redis | null
  /** The fields of an entry. Must not throw. */
  readonly onEntry: (fields: readonly Buffer[]) => void
  /** Everything before `next` was read, `bytes` of it since the last time that this resolved. Rejects: said again later. */
  readonly said: (stream: string, next: string, bytes: number) => Promise<void>
  readonly log: Logger
}

export class StreamReader {
  readonly #options: StreamReaderOptions
  #stream: string
  #last = '0-0'
  /** To be read when nothing is left in this one. */
  #following: { readonly stream: string; readonly begun: () => void } | null = null
  #client: Redis | null = null
  #failures = 0
  #stopped = false
  #running: Promise<void> | null = null
  #unsaid = 0
  #saying = false
  #sayTimer: NodeJS.Timeout | null = null

  constructor(options: StreamReaderOptions) {
    this.#options = options
    this.#stream = options.stream
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Nothing more comes into the stream that is read now: afterwards, this one. */
  goOnWith(stream: string, begun: () => void): void {
    this.#following = { stream, begun }
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#sayTimer !== null) clearTimeout(this.#sayTimer)
    this.#client?.disconnect()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#readOn()
        this.#failures = 0
      } catch (error) {
        if (this.#stopped) return
        this.#client?.disconnect()
        this.#client = null
        this.#failures++
        const reason = messageOf(error)
        if (this.#failures === 1) this.#options.log.warn({ reason }, 'ordinary_stream_lost')
        const ms = Math.min(RETRY_MS.first * 2 ** Math.min(this.#failures - 1, 10), RETRY_MS.most)
        await new Promise((resolve) => setTimeout(resolve, ms * (0.5 + Math.random() / 2)))
      }
    }
  }

  async #readOn(): Promise<void> {
    const client = await this.#connected()
    const waits = this.#following === null ? ['BLOCK', BLOCK_MS] : []
    const answer = await client.callBuffer('xread', ['COUNT', COUNT, ...waits, 'STREAMS', this.#stream, this.#last])
    const entries = answer === null ? [] : listOf(listOf(listOf(answer)[0])[1])
    for (const entry of entries) {
      const [id, values] = listOf(entry)
      const fields = listOf(values).map(bytesOf)
      this.#options.onEntry(fields)
      this.#last = textOf(id)
      if (fields.length > 2 || fields[0]?.toString() !== 'g') {
        this.#unsaid += fields.reduce((sum, field) => sum + field.length, ENTRY_BYTES)
      }
    }
    if (entries.length === 0 && this.#following !== null) {
      const { stream, begun } = this.#following
      this.#following = null
      this.#stream = stream
      begun()
      this.#last = '0-0'
      this.#unsaid = 0
    }
    if (this.#unsaid >= SAY_BYTES) void this.say()
    else if (this.#unsaid > 0) this.#sayTimer ??= setTimeout(() => void this.say(), SAY_MS)
    // What a full stream gives must not keep the rest of the process waiting.
    if (entries.length > 0) await new Promise((resolve) => setImmediate(resolve))
  }

  async #connected(): Promise<Redis> {
    if (this.#client !== null && this.#client.status === 'ready') return this.#client
    this.#client?.disconnect()
    const client = this.#options.connect(this.#stream)
    if (client === null) throw new StoreUnavailable('no server has the stream')
    this.#client = client
    const failure: { last: unknown } = { last: null }
    client.on('error', (error: unknown) => (failure.last = error))
    try {
      await client.connect()
    } catch (error) {
      throw failure.last ?? error
    }
    return client
  }

  /** Says how far was read, unless that is being said. Never rejects. */
  async say(): Promise<void> {
    if (this.#sayTimer !== null) clearTimeout(this.#sayTimer)
    this.#sayTimer = null
    if (this.#saying || this.#unsaid === 0 || this.#stopped) return
    this.#saying = true
    const stream = this.#stream
    const bytes = this.#unsaid
    const dash = this.#last.indexOf('-')
    const next = `${this.#last.slice(0, dash)}-${Number(this.#last.slice(dash + 1)) + 1}`
    try {
      await this.#options.said(stream, next, bytes)
      if (stream === this.#stream) this.#unsaid -= bytes
    } catch (error) {
      this.#options.log.debug({ reason: messageOf(error) }, 'ordinary_stream_not_trimmed')
    }
    this.#saying = false
    if (this.#unsaid > 0 && !this.#stopped) this.#sayTimer ??= setTimeout(() => void this.say(), SAY_MS)
  }
}
