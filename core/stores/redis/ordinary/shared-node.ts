// A node of ordinary pub/sub on Redis.

import { StoreUnavailable } from '../../../errors.js'
import type { Logger } from '../../../log.js'
import type { OrdinaryMessage } from '../../../model/ordinary-message.js'
import { ordinarySize } from '../../../model/ordinary-message.js'
import type { QueuedMessage, StoredSubscription } from '../../../ports/session-store.js'
import type {
  Delivery,
  HeldConnection,
  SharedConnection,
  SharedHandler,
  SharedNode,
  SharedOpening,
  SharedSession,
} from '../../../ports/shared-sessions.js'
import { ask, type StoreContext } from '../device-scripts.js'
import { ordinaryQueueKey, ordinaryStreamKey } from '../keys.js'
import { messageOf } from '../redis-errors.js'
import { bytesOf, listOf } from '../reply.js'
import { decodeMessage, decodeQueued } from '../session-codec.js'
import { OrdinaryCalls, type Publish, type Received } from './calls.js'
import { NodeLife } from './node-life.js'
import { PublishQueue } from './publish-queue.js'
import { retainedTopics } from './retained-topics.js'
import { StreamReader } from './stream-reader.js'

export interface SharedNodeOptions {
  readonly context: StoreContext
  readonly handler: SharedHandler
  readonly log: Logger
  readonly leaseMs: number
}

/** Reads of a queue go in pages of so many. */
const PAGE = 100
/** Retained messages that are sent in one step. */
const RETAINED_PAGE = 50
const AGAIN_MS = 500
/** What has not been stored so long after `stop` is left to the other nodes. */
const STOP_MS = 3_000

interface Leaving extends HeldConnection {
  readonly sent: number
  readonly publishesWill: boolean
}

export class RedisSharedNode implements SharedNode {
  readonly #context: StoreContext
  readonly #handler: SharedHandler
  readonly #log: Logger
  readonly #calls: OrdinaryCalls
  readonly #publishes: PublishQueue<Publish>
  readonly #life: NodeLife
  readonly #reader: StreamReader
  /** By connection. */
  readonly #leaving = new Map<string, Leaving>()
  /** Filters that nobody here wants any more, to be taken away. */
  readonly #forgotten = new Set<string>()
  #againTimer: NodeJS.Timeout | null = null
  #stopped: Promise<void> | null = null

  private constructor({ context, handler, log, leaseMs }: SharedNodeOptions) {
    this.#context = context
    this.#handler = handler
    this.#log = log
    const calls = new OrdinaryCalls(context)
    this.#calls = calls
    this.#publishes = new PublishQueue(async (publishes) => {
      const { outcomes, drops } = await calls.publish(publishes)
      handler.onDrops(drops)
      return outcomes
    })
    const { connections } = context
    this.#life = new NodeLife({
      calls,
      handler,
      log,
      leaving: () => this.#leaving.values(),
      generation: () => connections.generation,
      renamed: (to, done) => this.#reader.goOnWith(ordinaryStreamKey(to), done),
      say: () => this.#reader.say(),
      monotonic: () => performance.now(),
      leaseMs,
    })
    this.#reader = new StreamReader({
      stream: ordinaryStreamKey(this.#life.node),
      connect: (stream) => connections.subscriber(stream),
      onEntry: (fields) => {
        try {
          this.#entry(fields)
        } catch (error) {
          // Of a newer version. Its message is lost for this node, unless it is in a queue.
          log.warn({ reason: messageOf(error) }, 'ordinary_entry_unreadable')
        }
      },
      said: (stream, next, bytes) => calls.seen(stream.slice(ordinaryStreamKey('').length), next, bytes, false),
      log,
    })
  }

  static async join(options: SharedNodeOptions): Promise<RedisSharedNode> {
    const node = new RedisSharedNode(options)
    await node.#life.join()
    node.#reader.start()
    return node
  }

  get name(): string {
    return this.#life.node
  }

  open(opening: SharedOpening): Promise<SharedSession | null> {
    return this.#calls.open(this.#life.node, opening)
  }

  async leave(
    connection: SharedConnection,
    { sent, publishesWill }: { readonly sent: number; readonly publishesWill: boolean },
  ): Promise<void> {
    const { client, conn } = connection
    const leaving: Leaving = { client, conn, sent, publishesWill, hasWill: true }
    this.#leaving.set(conn, leaving)
    await this.#publishes.settled()
    await this.#leave(leaving)
  }

  async #leave(leaving: Leaving): Promise<void> {
    try {
      this.#handler.onDrops(await this.#calls.leave(this.#life.node, leaving, leaving))
      this.#leaving.delete(leaving.conn)
      // It may have been one to uplink.
      if (leaving.publishesWill) this.#life.soon()
    } catch (error) {
      this.#log.debug({ device: leaving.client, reason: messageOf(error) }, 'ordinary_connection_not_left')
      this.#planAgain()
    }
  }

  publish(message: OrdinaryMessage, received: Received | null): Promise<void> {
    if (!this.#calls.canSend) return Promise.reject(new StoreUnavailable('Redis cannot be reached'))
    return this.#publishes.add({ message, received }, ordinarySize(message))
  }

  async subscribe(
    connection: SharedConnection,
    stored: boolean,
    filters: readonly StoredSubscription[],
  ): Promise<{ readonly since: number }> {
    for (const { filter } of filters) if (!stored) this.#forgotten.delete(filter)
    return { since: await this.#calls.subscribe(this.#life.node, connection, stored, filters) }
  }

  unsubscribe(connection: SharedConnection, filters: readonly string[]): Promise<void> {
    return this.#calls.unsubscribe(this.#life.node, connection, filters)
  }

  async forgetFilters(filters: readonly string[]): Promise<void> {
    for (const filter of filters) this.#forgotten.add(filter)
    await this.#forgetFilters(filters)
  }

  async #forgetFilters(filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    try {
      await this.#calls.forgetFilters(this.#life.node, filters)
      for (const filter of filters) this.#forgotten.delete(filter)
    } catch (error) {
      this.#log.debug({ reason: messageOf(error) }, 'ordinary_filters_not_forgotten')
      this.#planAgain()
    }
  }

  #planAgain(): void {
    if (this.#stopped !== null) return
    this.#againTimer ??= setTimeout(() => {
      this.#againTimer = null
      for (const leaving of this.#leaving.values()) void this.#leave(leaving)
      void this.#forgetFilters([...this.#forgotten])
    }, AGAIN_MS)
  }

  async sendRetained(
    connection: SharedConnection,
    { filter, qos }: Pick<StoredSubscription, 'filter' | 'qos'>,
    since: number,
    signal: AbortSignal,
  ): Promise<{ readonly looked: number }> {
    let looked = 0
    for await (const { topics, looked: found } of retainedTopics(this.#context, filter)) {
      looked += found
      for (let at = 0; at < topics.length; at += RETAINED_PAGE) {
        if (signal.aborted) return { looked }
        const page = topics.slice(at, at + RETAINED_PAGE).map((topic) => [topic, qos] as const)
        this.#handler.onDrops(await this.#calls.retained(connection, since, page))
      }
    }
    return { looked }
  }

  async queue(client: string, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]> {
    const messages: QueuedMessage[] = []
    let bytes = 0
    for (let from = after; ;) {
      const want = Math.min(PAGE, limit - messages.length)
      const args = [ordinaryQueueKey(client), `(${from}`, '+inf', 'LIMIT', 0, want] as const
      const found = listOf(await ask(this.#context, 'zrangebyscore', args))
      for (const value of found) {
        const message = decodeQueued(bytesOf(value))
        messages.push(message)
        from = message.number
        bytes += ordinarySize(message)
        if (bytes >= maxBytes) return messages
      }
      if (found.length < want || messages.length >= limit) return messages
    }
  }

  remove(removals: ReadonlyArray<SharedConnection & { readonly numbers: readonly number[] }>): Promise<void> {
    return this.#calls.remove(removals)
  }

  release(connection: SharedConnection, number: number): Promise<void> {
    return this.#calls.handshake(connection, 'release', number)
  }

  forgetReceived(connection: SharedConnection, packetId: number): Promise<void> {
    return this.#calls.handshake(connection, 'forget', packetId)
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    if (this.#againTimer !== null) clearTimeout(this.#againTimer)
    await this.#publishes.settled()
    for (const end = performance.now() + STOP_MS; this.#leaving.size > 0 && performance.now() < end;) {
      await Promise.all([...this.#leaving.values()].map((leaving) => this.#leave(leaving)))
      if (this.#leaving.size > 0) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS / 5))
    }
    await this.#life.stop()
    await this.#reader.stop()
  }

  /** See lua/lib/ordinary.lua. */
  #entry(fields: readonly Buffer[]): void {
    const [first, body] = fields
    const kind = first?.toString() ?? ''
    switch (kind) {
      case 'p':
      case 'e': {
        if (body === undefined) return
        const deliveries: Delivery[] = []
        for (let i = 3; i < fields.length; i += 2) {
          const [conn = '', number, qos, retain] = (fields[i]?.toString() ?? '').split(' ')
          const level = Number(qos)
          deliveries.push({
            client: fields[i - 1]?.toString() ?? '',
            conn,
            number: Number(number),
            qos: level === 2 ? 2 : level === 1 ? 1 : 0,
            retain: retain === '1',
          })
        }
        this.#handler.onMessage(decodeMessage(body), deliveries, kind === 'e')
        return
      }
      case 'k':
        this.#handler.onKick({ client: fields[2]?.toString() ?? '', conn: body?.toString() ?? '' })
        return
      case 'g':
        this.#life.missed()
        return
      default:
        // Of a newer version; it knows that this one is here.
        this.#log.debug({ kind }, 'ordinary_entry_unknown')
    }
  }
}
