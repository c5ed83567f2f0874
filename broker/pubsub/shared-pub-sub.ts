// Ordinary pub/sub of a node among others. What is decided about a message is decided in the store, in one step for all nodes
// (see core/ports/shared-sessions.ts); here is what becomes of it on the connections of this node:
//
//   publish ─▶ store: match, queues, retained ─▶ PUBACK or PUBREC
//                └─▶ to each node that has somebody for it ─▶ sessions here ─▶ PUBLISH
//
// A stored session's queue is in the store; its messages come with their numbers. One that does not follow the last is a sign
// that something was missed: then the queue is read. Sessions of clean session 1 are here alone; the other nodes know only which
// filters there are.

import type { Logger } from '../../core/log.js'
import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { QueuedMessage, StoredSubscription } from '../../core/ports/session-store.js'
import type {
  Delivery,
  HeldConnection,
  SharedConnection,
  SharedDrops,
  SharedHandler,
  SharedNode,
  SharedSessions,
} from '../../core/ports/shared-sessions.js'
import { randomId } from '../../core/random-id.js'
import { StoreUnavailable } from '../../core/errors.js'
import { classifyTopic } from '../../protocol/topics.js'
import type { PubSubCounters } from './counters.js'
import type { PubSubLimits } from './limits.js'
import { LocalFilters } from './local-filters.js'
import type { OrdinaryHub, OrdinaryOpening, PublishExtras } from './ordinary-hub.js'
import { Removals } from './removals.js'
import { OrdinarySession, type SessionKeeper, type SessionLink } from './session.js'
import { StallWatch } from './stall-watch.js'
import type { UplinkWill } from './wills.js'

export interface SharedPubSubOptions {
  readonly sessions: SharedSessions
  readonly log: Logger
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
  readonly uplinkWill: UplinkWill
  readonly monotonic: () => number
}

/** A client that is connected here. */
interface Member extends HeldConnection {
  readonly link: SessionLink
  /** Resolves when the store has answered its opening. */
  opening: Promise<unknown>
  session: OrdinarySession | null
  /** The number of a message that came before the answer. */
  early: number
  readonly gone: AbortController
}

/** With more retained messages than that, SUBACK does not wait until all that match have been sent. */
const RETAINED_BEFORE_SUBACK = 10_000

export class SharedPubSub implements OrdinaryHub, SessionKeeper, SharedHandler {
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
  readonly #sessions: SharedSessions
  readonly #log: Logger
  readonly #uplinkWill: UplinkWill
  readonly #members = new Map<string, Member>()
  readonly #local: LocalFilters
  readonly #removals = new Removals(() => void this.#flushRemovals())
  #flushing: Promise<void> = Promise.resolve()
  readonly #stalls: StallWatch
  #node: SharedNode | null = null
  #closed: Promise<void> | null = null

  private constructor({ sessions, log, limits, counters, uplinkWill, monotonic }: SharedPubSubOptions) {
    this.limits = limits
    this.counters = counters
    this.#sessions = sessions
    this.#log = log
    this.#uplinkWill = uplinkWill
    this.#local = new LocalFilters(counters)
    this.#stalls = new StallWatch(limits.stallMs, monotonic)
  }

  /** Becomes a node. Rejects with StoreUnavailable. */
  static async open(options: SharedPubSubOptions): Promise<SharedPubSub> {
    const hub = new SharedPubSub(options)
    hub.#node = await options.sessions.join(hub)
    return hub
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    for (const { client, link } of this.#members.values()) this.leave(client, link, true)
    this.#stalls.stop()
    await this.#flushRemovals()
    await this.#node?.stop()
  }

  get #shared(): SharedNode {
    if (this.#node === null) throw new StoreUnavailable('the broker is starting')
    return this.#node
  }

  // --- connections

  async open({ client, clean, link, uses, will, isGranted }: OrdinaryOpening): Promise<OrdinarySession | null> {
    this.#members.get(client)?.link.close('taken_over')
    const conn = randomId()
    const shared = this.#shared
    const member: Member = {
      client,
      conn,
      link,
      hasWill: will !== null,
      opening: Promise.resolve(),
      session: null,
      early: 0,
      gone: new AbortController(),
    }
    this.#members.set(client, member)
    const opened = shared.open({ client, conn, clean, uses: uses || will !== null, will })
    member.opening = opened.catch(() => undefined)
    const stored = await opened
    if (stored === null || this.#members.get(client) !== member) return null
    const session = new OrdinarySession(client, true, this)
    session.restore({ client, usedAt: 0, ...stored })
    this.#local.restored(session)
    session.attach(link)
    member.session = session
    if (member.early >= session.next) session.catchUp(member.early + 1)
    const lost = [...session.subscriptions.keys()].filter((filter) => !isGranted(filter))
    if (lost.length > 0) await this.unsubscribe(session, lost)
    return session
  }

  obtain(client: string, durable: boolean, link: SessionLink): OrdinarySession {
    const member = this.#members.get(client)
    if (member === undefined || member.link !== link) throw new StoreUnavailable('the client has another connection')
    if (member.session !== null) return member.session
    const session = new OrdinarySession(client, durable, this)
    member.session = session
    session.attach(link)
    session.begin()
    return session
  }

  leave(client: string, link: SessionLink, publishesWill: boolean): void {
    const member = this.#members.get(client)
    if (member === undefined || member.link !== link) return
    void this.#flushRemovals()
    this.#members.delete(client)
    member.gone.abort()
    const publishes = publishesWill && member.hasWill
    if (publishes) this.counters.willsPublished++
    void this.#leave(member, publishes)
  }

  async #leave({ client, conn, session, opening }: Member, publishesWill: boolean): Promise<void> {
    const sent = session?.sent ?? 0
    if (session !== null) {
      session.detach()
      const unused = this.#local.removeAll(session)
      if (unused.length > 0) void this.#shared.forgetFilters(unused)
    }
    await opening
    await this.#shared.leave({ client, conn }, { sent, publishesWill })
  }

  end(client: string): Promise<void> {
    return this.#sessions.end(client)
  }

  /** The session of a client that is connected here, if it has one. */
  find(client: string): OrdinarySession | undefined {
    return this.#members.get(client)?.session ?? undefined
  }

  #memberOf(session: OrdinarySession): Member {
    const member = this.#members.get(session.client)
    if (member?.session !== session) throw new StoreUnavailable('the client has another connection')
    return member
  }

  // --- subscriptions and publishes

  async subscribe(session: OrdinarySession, filters: readonly StoredSubscription[]): Promise<void> {
    const member = this.#memberOf(session)
    for (const filter of filters) this.#local.add(session, filter)
    const { since } = await this.#shared.subscribe(member, session.durable, filters)
    const sent = this.#sendRetained(member, filters, since)
    if (this.counters.retained <= RETAINED_BEFORE_SUBACK) await sent
    else {
      sent.catch((err: unknown) => {
        this.#log.warn({ device: session.client, err }, 'retained messages could not be sent')
        member.link.close('overload')
      })
    }
  }

  async #sendRetained(member: Member, filters: readonly StoredSubscription[], since: number): Promise<void> {
    for (const filter of filters) {
      const { looked } = await this.#shared.sendRetained(member, filter, since, member.gone.signal)
      member.link.lookedAt(looked)
    }
  }

  async unsubscribe(session: OrdinarySession, filters: readonly string[]): Promise<void> {
    const member = this.#memberOf(session)
    const known = filters.filter((filter) => session.subscriptions.has(filter))
    const unused = known.filter((filter) => this.#local.remove(session, filter))
    if (known.length === 0) return
    if (session.durable) await this.#shared.unsubscribe(member, known)
    else if (unused.length > 0) await this.#shared.forgetFilters(unused)
  }

  publish(message: OrdinaryMessage, { received }: PublishExtras = {}): Promise<void> {
    this.counters.published++
    if (received === undefined) return this.#shared.publish(message, null)
    const { session, packetId } = received
    const { client, conn } = this.#memberOf(session)
    if (!session.durable) {
      session.received.add(packetId)
      return this.#shared.publish(message, null)
    }
    return this.#shared.publish(message, { client, conn, packetId }).then(() => {
      session.received.add(packetId)
    })
  }

  // --- handshakes

  /** PUBACK (`qos` 1) or PUBCOMP (2). False: nothing waited for it. */
  acked(client: string, packetId: number, qos: 1 | 2): boolean {
    return this.find(client)?.acked(packetId, qos) ?? false
  }

  /** PUBREC: PUBREL may leave when it is stored that the client has the message. */
  async release(client: string, packetId: number): Promise<void> {
    const session = this.find(client)
    const message = session?.toRelease(packetId) ?? null
    if (session === undefined || message === null) return
    if (session.durable) await this.#shared.release(this.#memberOf(session), message.number)
    session.release(message)
  }

  /** PUBREL: PUBCOMP may leave when the packet id is forgotten, because the client may use it again. */
  async forgetReceived(client: string, packetId: number): Promise<void> {
    const session = this.find(client)
    if (session === undefined || !session.received.has(packetId)) return
    if (session.durable) await this.#shared.forgetReceived(this.#memberOf(session), packetId)
    session.received.delete(packetId)
  }

  // --- for sessions

  async read(session: OrdinarySession, after: number, limit: number, most: number): Promise<readonly QueuedMessage[]> {
    // What was acknowledged must not come again.
    await this.#flushRemovals()
    return this.#removals.read(this.#shared, session.client, after, limit, most)
  }

  removed(session: OrdinarySession, number: number, bytes: number): void {
    this.#removals.add(session.client, number, bytes)
  }

  blocked(session: OrdinarySession): void {
    this.#stalls.blocked(session)
  }

  unreadable(session: OrdinarySession, error: unknown): void {
    this.#log.warn({ device: session.client, err: error }, 'the queue of a session could not be read')
    session.link?.close('overload')
  }

  /** Never rejects. */
  #flushRemovals(): Promise<void> {
    const changes = this.#removals.take()
    if (changes.length === 0) return this.#flushing
    const removals: Array<SharedConnection & { readonly numbers: readonly number[]; readonly bytes: number }> = []
    for (const change of changes) {
      const member = change.kind === 'remove' ? this.#members.get(change.client) : undefined
      if (change.kind !== 'remove' || member === undefined) continue
      removals.push({ client: member.client, conn: member.conn, numbers: change.numbers, bytes: change.bytes })
    }
    const flushed = this.#shared.remove(removals).catch((err: unknown) => {
      this.#log.debug({ err, sessions: removals.length }, 'acknowledged messages could not be removed')
      for (const { client, conn, numbers, bytes } of removals) {
        // Those of connections that have ended meanwhile come again.
        if (this.#members.get(client)?.conn === conn)
          this.#removals.putBack([{ kind: 'remove', client, numbers, bytes }])
      }
    })
    this.#flushing = Promise.all([this.#flushing, flushed]).then(() => {})
    return this.#flushing
  }

  // --- from the other nodes

  onMessage(message: OrdinaryMessage, deliveries: readonly Delivery[], others: boolean): void {
    // What is kept must not keep the whole answer that it came in.
    const kept = { ...message, payload: new Uint8Array(message.payload), retain: false }
    for (const delivery of deliveries) {
      const member = this.#members.get(delivery.client)
      if (member?.conn === delivery.conn) this.#deliver(member, kept, delivery)
    }
    if (!others) return
    for (const [session, granted] of this.#local.match(message.topic)) {
      give(session, kept, lower(message.qos, granted), false) // [MQTT-3.8.4-6], [MQTT-3.3.1-9]
    }
  }

  #deliver(member: Member, message: OrdinaryMessage, { number, qos, retain }: Delivery): void {
    const { session } = member
    if (session === null) member.early = Math.max(member.early, number)
    else if (number === 0) give(session, message, qos, retain)
    else {
      const { topic, payload } = message
      session.arrive({ number, topic, payload, qos: qos === 2 ? 2 : 1, retain, released: false })
    }
  }

  onKick({ client, conn }: SharedConnection): void {
    const member = this.#members.get(client)
    if (member?.conn === conn) member.link.close('taken_over')
  }

  held(): Iterable<HeldConnection> {
    return this.#members.values()
  }

  filters(): Iterable<string> {
    return this.#local.filters()
  }

  onChecked({ client, conn }: SharedConnection, next: number | null): void {
    const member = this.#members.get(client)
    if (member?.conn !== conn) return
    const { session, link } = member
    if (next === null) {
      // Nothing is noted of a client that uses nothing.
      if (session !== null || member.hasWill) link.close('resync')
    } else if (session?.durable === true) {
      // The store has lost what the session has seen.
      if (next < session.next) link.close('resync')
      else session.catchUp(next)
    }
  }

  onMissed(): void {
    this.counters.reloads++
    this.#log.warn({}, 'messages of ordinary pub/sub were missed: stored sessions are read, others have lost them')
  }

  async onUplinkWill({ topic, payload }: OrdinaryMessage): Promise<void> {
    const uplink = classifyTopic(topic)
    if (uplink.kind === 'uplink') await this.#uplinkWill(uplink.device, uplink.channel, payload)
  }

  onDrops({ queue, retained, node }: SharedDrops): void {
    const { dropped } = this.counters
    dropped.queue_full += queue
    dropped.retained_full += retained
    dropped.slow_node += node
  }

  onTotals(totals: {
    readonly sessions: number
    readonly retained: number
    readonly retainedBytes: number
    readonly expired: number
  }): void {
    this.counters.storedSessions = totals.sessions
    this.counters.retained = totals.retained
    this.counters.retainedBytes = totals.retainedBytes
    this.counters.sessionsExpired += totals.expired
  }
}

const lower = (a: 0 | 1 | 2, b: 0 | 1 | 2): 0 | 1 | 2 => (a < b ? a : b)

/** A message that is in no stored queue. */
function give(session: OrdinarySession, message: OrdinaryMessage, qos: 0 | 1 | 2, retain: boolean): void {
  if (qos === 0) session.offer({ ...message, qos: 0, retain }, retain)
  else {
    const queued = session.reserve(message, qos, retain)
    if (queued !== null) session.add(queued)
  }
}
