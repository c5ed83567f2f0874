// A node's ear: one connection, subscribed to one channel. TCP may say nothing when the other end is gone, so the node sends
// itself a beat through the channel; a connection on which nothing came for too long is ended and made anew. Time counts only
// while the process runs: one that was frozen finds what came meanwhile in its socket.

import type { Redis } from 'ioredis'
import { StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import { messageOf } from '../../stores/redis/redis-errors.js'
import type { RedisBusCounters } from './counters.js'

/** How often is looked, and how often the node hears itself (G9: a dead connection is noticed within 3 s). */
const TICK_MS = 400
const BEAT_MS = 800
const SILENCE_MS = 2_400
const RETRY_MS = { first: 50, most: 1_000 }

export interface SubscriptionOptions {
  readonly channel: string
  /** A new connection, not opened, that does not connect again by itself; null: there is no server for it now. */
  readonly connect: () => Redis | null
  /** Publishes the beat. Must not throw; may fail. */
  readonly beat: () => void
  readonly onPacket: (bytes: Buffer) => void
  /** Subscribed again: what came between is lost. */
  readonly onAgain: () => void
  readonly monotonic: () => number
  readonly counters: RedisBusCounters
  readonly log: Logger
}

export class Subscription {
  readonly #options: SubscriptionOptions
  #client: Redis | null = null
  #subscribed = false
  #ticker: NodeJS.Timeout | undefined
  #retry: NodeJS.Timeout | undefined
  #closed = false
  #failures = 0
  #tickedAt = 0
  /** Milliseconds during which this process ran. */
  #awake = 0
  #heardAt = 0
  #beatAt = 0

  private constructor(options: SubscriptionOptions) {
    this.#options = options
  }

  /** Resolves when the channel is heard. Rejects with StoreUnavailable. */
  static async open(options: SubscriptionOptions): Promise<Subscription> {
    const subscription = new Subscription(options)
    try {
      await subscription.#subscribe()
    } catch (error) {
      subscription.close()
      throw new StoreUnavailable(`the bus cannot be reached: ${messageOf(error)}`, { cause: error })
    }
    subscription.#tickedAt = options.monotonic()
    subscription.#ticker = setInterval(() => subscription.#tick(), TICK_MS)
    return subscription
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
    clearInterval(this.#ticker)
    clearTimeout(this.#retry)
    this.#client?.disconnect()
    this.#client = null
  }

  async #subscribe(): Promise<void> {
    const { channel, connect, onPacket } = this.#options
    const client = connect()
    if (client === null) throw new StoreUnavailable('no server has the channel')
    const failure: { last: unknown } = { last: null }
    client.on('error', (error: unknown) => (failure.last = error))
    client.on('moved', () => client.disconnect()) // a cluster gave the channel to another server
    client.on('smessageBuffer', (_channel: Buffer, bytes: Buffer) => {
      if (this.#client !== client) return
      this.#heardAt = this.#awake
      onPacket(bytes)
    })
    this.#client = client
    try {
      await client.connect()
      await client.ssubscribe(channel)
    } catch (error) {
      client.disconnect()
      if (this.#client === client) this.#client = null
      throw failure.last ?? error
    }
    if (this.#closed) return client.disconnect()
    this.#heardAt = this.#awake
    this.#failures = 0
    this.#subscribed = true
    const lost = (): void => {
      if (this.#client === client) this.#lost(failure.last)
    }
    client.once('close', lost)
    if (client.status !== 'ready') lost() // it ended before anybody listened
  }

  #lost(cause: unknown): void {
    const { counters, log, channel } = this.#options
    counters.subscriptionsLost++
    log.warn({ channel, reason: cause === null ? 'closed' : messageOf(cause) }, 'bus_subscription_lost')
    this.#subscribed = false
    this.#client?.disconnect()
    this.#client = null
    void this.#again()
  }

  async #again(): Promise<void> {
    if (this.#closed) return
    try {
      await this.#subscribe()
    } catch (error) {
      if (this.#closed) return
      this.#failures++
      const { log, channel } = this.#options
      if (this.#failures === 1) log.warn({ channel, reason: messageOf(error) }, 'bus_subscription_failed')
      const ms = Math.min(RETRY_MS.first * 2 ** Math.min(this.#failures - 1, 10), RETRY_MS.most)
      this.#retry = setTimeout(() => void this.#again(), ms * (0.5 + Math.random() / 2))
      return
    }
    if (!this.#closed) this.#options.onAgain()
  }

  #tick(): void {
    const now = this.#options.monotonic()
    this.#awake += Math.min(now - this.#tickedAt, 2 * TICK_MS)
    this.#tickedAt = now
    if (this.#subscribed && this.#awake - this.#heardAt >= SILENCE_MS) {
      this.#options.counters.subscriptionsSilent++
      this.#lost(new StoreUnavailable('nothing was heard'))
    }
    if (this.#awake - this.#beatAt >= BEAT_MS) {
      this.#beatAt = this.#awake
      this.#options.beat()
    }
  }
}
