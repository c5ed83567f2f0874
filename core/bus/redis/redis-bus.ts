// The bus over Redis: sharded pub/sub, which a Redis Cluster keeps to the one shard that has the channel. A node has one
// channel, so a packet touches its sender, one server and its receiver. Nodes of this process are reached without Redis.
//
// Pub/sub delivers at most once, in order per connection. What makes a hint of it that can be relied upon: packets are
// numbered (outbox.ts, streams.ts), and whoever was not listening for a moment is told so (subscription.ts).

import { PostriderError, StartupError, StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { Bus, BusHandler, Kick, Notice } from '../../ports/bus.js'
import { randomId } from '../../random-id.js'
import { RedisConnections } from '../../stores/redis/connections.js'
import { busChannel } from '../../stores/redis/keys.js'
import { messageOf } from '../../stores/redis/redis-errors.js'
import { parseRedisUrl, REDIS_URL_RULE } from '../../config/redis-location.js'
import { createLocalBus } from '../local/local-bus.js'
import { RedisBusCounters } from './counters.js'
import { Membership } from './membership.js'
import { Outbox } from './outbox.js'
import { decodePacket, encodePacket, type Packet } from './packet.js'
import { Streams } from './streams.js'
import { Subscription } from './subscription.js'

const LIFE_MS = 2_000
const TICK_MS = 500
const FORGET_STREAMS_MS = 1_200_000
/** Kicks of others that are being carried out. */
const MOST_KICKS = 20_000

export interface RedisBusOptions {
  /** Of the store, or of a Redis of its own; the caller's to close. */
  readonly connections: RedisConnections
  readonly log: Logger
  readonly counters?: RedisBusCounters
  /** Milliseconds. Default: the process's. */
  readonly monotonic?: () => number
  /** Told of every handler that broke its contract. Must not throw. */
  readonly onHandlerError: (error: Error) => void
}

interface Member {
  readonly handler: BusHandler | null
  readonly subscription: Subscription
  readonly streams: Streams
}

const BEAT = encodePacket(Buffer.alloc(8), 0, { kind: 'beat' })

export function createRedisBus(options: RedisBusOptions): Bus {
  return new RedisBus(options)
}

/** A bus on a Redis that is not the store's. Rejects with StartupError. */
export async function openRedisBus(
  options: Omit<RedisBusOptions, 'connections'> & { readonly url: string },
): Promise<Bus> {
  const location = parseRedisUrl(options.url)
  if (location === null) throw new StartupError(`the URL of the bus is not of the form ${REDIS_URL_RULE}`)
  const { log } = options
  const connections = await RedisConnections.open({ location, log, wait: 0, allowNoAof: true, keepsMessages: false })
  const bus = new RedisBus({ ...options, connections })
  return {
    join: (node, handler) => bus.join(node, handler),
    leave: (node) => bus.leave(node),
    notify: (node, notices) => bus.notify(node, notices),
    kick: (node, kick, timeoutMs) => bus.kick(node, kick, timeoutMs),
    nodes: () => bus.nodes(),
    async close() {
      await bus.close()
      await connections.close()
    },
  }
}

class RedisBus implements Bus {
  readonly #options: RedisBusOptions
  readonly #counters: RedisBusCounters
  readonly #monotonic: () => number
  readonly #id = randomId()
  readonly #local: Bus
  readonly #membership: Membership
  readonly #outbox: Outbox
  readonly #members = new Map<string, Member>()
  /** Names that are joining. */
  readonly #joining = new Set<string>()
  /** What answers to kicks come to when no node has joined here. */
  #answers: Promise<Member> | null = null
  readonly #kicks = new Map<number, (done: boolean) => void>()
  #lastKick = 0
  #kicksHere = 0
  readonly #timers: readonly NodeJS.Timeout[]
  #closed = false

  constructor(options: RedisBusOptions) {
    const { connections, onHandlerError } = options
    this.#options = options
    this.#counters = options.counters ?? new RedisBusCounters()
    this.#monotonic = options.monotonic ?? (() => performance.now())
    this.#local = createLocalBus({ counters: this.#counters.local, onHandlerError })
    this.#membership = new Membership(connections, this.#id)
    this.#outbox = new Outbox({
      counters: this.#counters,
      monotonic: this.#monotonic,
      publish: async (node, packet) => Number(await this.#publish(node, packet)),
    })
    this.#timers = [setInterval(() => this.#tick(), TICK_MS), setInterval(() => this.#live(), LIFE_MS)]
    for (const timer of this.#timers) timer.unref()
  }

  // ----- membership ----------------------------------------------------------------------------------------------------

  async join(node: string, handler: BusHandler): Promise<void> {
    if (this.#closed) throw new StoreUnavailable('the bus is closed')
    const taken = (): Error => new Error(`a live node is named "${node}" already; give every node its own name`)
    if (this.#members.has(node) || this.#joining.has(node)) throw taken()
    this.#joining.add(node)
    try {
      if (!(await this.#membership.live(node))) throw taken()
      const member = await this.#listen(node, handler)
      if (this.#closed) {
        member.subscription.close()
        throw new StoreUnavailable('the bus is closed')
      }
      this.#members.set(node, member)
      await this.#local.join(node, handler)
    } catch (error) {
      if (error instanceof PostriderError) await this.#membership.leave(node).catch(() => undefined) // it ends by itself
      throw error
    } finally {
      this.#joining.delete(node)
    }
  }

  async leave(node: string): Promise<void> {
    const member = this.#members.get(node)
    if (member === undefined) return
    this.#members.delete(node)
    member.subscription.close()
    await this.#local.leave(node)
    try {
      await this.#membership.leave(node)
    } catch (error) {
      // Others forget the node when it says nothing more.
      this.#options.log.debug({ node, reason: messageOf(error) }, 'bus_leave_failed')
    }
  }

  async nodes(): Promise<readonly string[]> {
    return this.#closed ? [] : this.#membership.nodes()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#outbox.close()
    this.#closed = true
    for (const timer of this.#timers) clearInterval(timer)
    for (const done of this.#kicks.values()) done(false)
    const answers = await this.#answers?.catch(() => null)
    answers?.subscription.close()
    await Promise.all([...this.#members.keys()].map((node) => this.leave(node)))
    await this.#local.close()
  }

  // ----- sending -------------------------------------------------------------------------------------------------------

  notify(node: string, notices: readonly Notice[]): void {
    if (this.#members.has(node)) this.#local.notify(node, notices)
    else this.#outbox.notify(node, notices)
  }

  async kick(node: string, kick: Kick, timeoutMs: number): Promise<boolean> {
    if (this.#closed) return false
    if (this.#members.has(node)) return this.#local.kick(node, kick, timeoutMs)
    this.#counters.kicksSent++
    const confirmed = await this.#kickThere(node, kick, timeoutMs)
    if (!confirmed) this.#counters.kicksUnconfirmed++
    return confirmed
  }

  #kickThere(node: string, kick: Kick, timeoutMs: number): Promise<boolean> {
    const id = (this.#lastKick = (this.#lastKick + 1) % 2 ** 32)
    return new Promise((resolve) => {
      const settle = (done: boolean): void => {
        clearTimeout(timer)
        this.#kicks.delete(id)
        resolve(done)
      }
      const timer = setTimeout(() => settle(false), timeoutMs)
      this.#kicks.set(id, settle)
      const send = async (): Promise<void> => {
        const from = await this.#earNode()
        if (!this.#kicks.has(id)) return
        const receivers = await this.#outbox.send(node, { kind: 'kick', id, timeoutMs, kick, from })
        if (receivers === 0) settle(false) // nobody is there
      }
      send().catch((error: unknown) => {
        this.#options.log.debug({ node, reason: messageOf(error) }, 'bus_kick_failed')
        settle(false)
      })
    })
  }

  /** The name under which answers reach this process. */
  async #earNode(): Promise<string> {
    for (const node of this.#members.keys()) return node
    const name = `~${this.#id}`
    this.#answers ??= this.#listen(name, null)
    try {
      const member = await this.#answers
      if (this.#closed) member.subscription.close()
      return name
    } catch (error) {
      this.#answers = null // the next one tries again
      throw error
    }
  }

  // ----- receiving -----------------------------------------------------------------------------------------------------

  async #listen(node: string, handler: BusHandler | null): Promise<Member> {
    const { connections, log } = this.#options
    const channel = busChannel(connections.database, node)
    const streams = new Streams()
    const subscription = await Subscription.open({
      channel,
      connect: () => connections.subscriber(channel),
      beat: () => {
        this.#publish(node, BEAT).catch(() => this.#counters.beatsFailed++)
      },
      onPacket: (bytes) => this.#received(node, handler, streams, bytes),
      onAgain: () => {
        streams.restart()
        this.#gap(handler)
      },
      monotonic: this.#monotonic,
      counters: this.#counters,
      log,
    })
    return { handler, subscription, streams }
  }

  #received(node: string, handler: BusHandler | null, streams: Streams, bytes: Buffer): void {
    const packet = this.#decode(bytes)
    if (packet === null || packet.kind === 'beat') return
    const { kind, stream, number } = packet
    const now = this.#monotonic()
    this.#counters.packetsReceived++
    const verdict = kind === 'mark' ? streams.mark(stream, number, now) : streams.packet(stream, number, now)
    if (verdict === 'repeated') {
      if (kind !== 'mark') this.#counters.packetsRepeated++
      return
    }
    if (verdict === 'gap') {
      this.#counters.gaps++
      this.#gap(handler)
    }
    switch (kind) {
      case 'notices':
        for (const notices of packet.frames) this.#local.notify(node, notices)
        return
      case 'kick':
        void this.#carryOut(node, packet)
        return
      case 'answer':
        this.#kicks.get(packet.id)?.(packet.done)
        return
      case 'mark':
        return
      default:
        throw packet satisfies never
    }
  }

  #decode(bytes: Buffer): Packet | null {
    try {
      const packet = decodePacket(bytes)
      if (packet !== 'newer') return packet
      this.#counters.packetsNewer++
    } catch (error) {
      this.#counters.packetsMalformed++
      this.#options.log.debug({ reason: messageOf(error) }, 'bus_packet_malformed')
    }
    return null
  }

  async #carryOut(node: string, packet: Packet & { readonly kind: 'kick' }): Promise<void> {
    if (this.#kicksHere >= MOST_KICKS) {
      this.#counters.kicksRefused++
      return
    }
    this.#kicksHere++
    const done = await this.#local.kick(node, packet.kick, packet.timeoutMs)
    this.#kicksHere--
    try {
      await this.#outbox.send(packet.from, { kind: 'answer', id: packet.id, done })
    } catch (error) {
      // Counted. Who asked goes on without the answer.
      this.#options.log.debug({ node, reason: messageOf(error) }, 'bus_answer_failed')
    }
  }

  #gap(handler: BusHandler | null): void {
    try {
      handler?.onGap()
    } catch (error) {
      this.#counters.local.handlerErrors++
      this.#options.onHandlerError(new Error('a bus handler failed', { cause: error }))
    }
  }

  // ----- time ----------------------------------------------------------------------------------------------------------

  #publish(node: string, packet: Buffer): Promise<unknown> {
    const { connections } = this.#options
    return connections.command('spublish', [busChannel(connections.database, node), packet])
  }

  #tick(): void {
    this.#outbox.tick()
    const before = this.#monotonic() - FORGET_STREAMS_MS
    for (const { streams } of this.#members.values()) streams.forget(before)
  }

  #live(): void {
    for (const node of this.#members.keys()) {
      this.#membership.live(node).then(
        (alive) => {
          if (alive || !this.#members.has(node)) return
          this.#counters.beatsFailed++
          this.#options.log.error({ node }, 'bus_name_taken')
        },
        () => this.#counters.beatsFailed++,
      )
    }
  }
}
