// Ordinary pub/sub of a node: who gets a published message, what is stored of it, and the sessions that outlive a connection.
//
// Everything is decided in memory in one synchronous step, handed to the store in the same step, and goes on when it is stored:
//
//   publish ─▶ match subscriptions ─▶ write (queues of durable sessions, retained message, received id)
//                  │                      └─ stored ─▶ QoS 1 and 2 to sessions, PUBACK or PUBREC to the publisher
//                  └─ QoS 0 to sessions at once
//
// So a PUBACK means that every session that outlives its connection has the message (Aedes alone acknowledges first and stores
// later), and the order is that of the publishes: what needs no write waits for the writes before it.
//
// When a write fails, memory may be ahead of the store: all durable sessions lose their connections and everything is read
// again. Clients come back and find what is stored; publishers without a PUBACK send again.

import type { Clock } from '../../core/clock.js'
import type { Logger } from '../../core/log.js'
import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { QueuedMessage, SessionChange, SessionStore, StoredSubscription } from '../../core/ports/session-store.js'
import type { PubSubCounters } from './counters.js'
import { Handshakes } from './handshakes.js'
import type { PubSubLimits } from './limits.js'
import type { OrdinaryHub, OrdinaryOpening, PublishExtras } from './ordinary-hub.js'
import { OrderedWriter } from './ordered-writer.js'
import { reload } from './reload.js'
import { Removals } from './removals.js'
import { Retained } from './retained.js'
import { SessionTable } from './session-table.js'
import { OrdinarySession, type SessionKeeper, type SessionLink } from './session.js'
import { StallWatch } from './stall-watch.js'
import { Wills, type WillsOptions } from './wills.js'

export interface PubSubOptions extends Pick<WillsOptions, 'uplinkWill'> {
  readonly store: SessionStore
  readonly clock: Clock
  readonly log: Logger
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
}

/** More of what a publish stores, in the same step. `willOf`: the message is the stored will of this client. */
type Extras = PublishExtras & { readonly willOf?: string }

type Addition = readonly [session: OrdinarySession, message: QueuedMessage]

const DAY_MS = 86_400_000
/** Sessions are looked at for expiry this often. */
const TICK_MS = 60_000

export class PubSub implements OrdinaryHub, SessionKeeper {
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
  readonly handshakes: Handshakes
  readonly wills: Wills
  /** The durable sessions, and those of connected clients that have something to remember. */
  readonly sessions: SessionTable
  readonly retained: Retained
  readonly writer: OrderedWriter
  readonly #store: SessionStore
  readonly #clock: Clock
  readonly #log: Logger
  readonly #removals = new Removals(() => this.#flushRemovals())
  readonly #stalls: StallWatch
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | null = null
  #reloading: Promise<void> | null = null

  private constructor({ store, clock, log, limits, counters, uplinkWill }: PubSubOptions) {
    this.limits = limits
    this.counters = counters
    this.#store = store
    this.#clock = clock
    this.#log = log
    this.sessions = new SessionTable(counters)
    this.retained = new Retained(counters)
    this.#stalls = new StallWatch(limits.stallMs, () => clock.monotonic())
    const writer = new OrderedWriter(store, log, (error) => this.#failed(error))
    this.writer = writer
    this.handshakes = new Handshakes(this.sessions, writer)
    const publish = (message: OrdinaryMessage, willOf: string | null): Promise<void> | null =>
      this.publish(message, willOf === null ? {} : { willOf })
    this.wills = new Wills({ store, writer, log, counters, publish, uplinkWill })
  }

  /** Reads what is stored. Rejects when that cannot be done. */
  static async open(options: PubSubOptions): Promise<PubSub> {
    const hub = new PubSub(options)
    await hub.#load()
    hub.#tick()
    hub.#timer = setInterval(() => hub.#tick(), TICK_MS).unref()
    return hub
  }

  /** Waits for what is under way. Sessions that are still connected are let go. Idempotent. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const session of this.sessions.values()) if (session.link !== null) this.detach(session)
    this.#flushRemovals()
    this.#stalls.stop()
    this.#stopping.abort()
    await this.wills.settled()
    await this.writer.settled()
    await this.#reloading
    this.writer.block('the broker has stopped')
  }

  // --- publishing

  /**
   * Delivers a message to every session with a matching subscription. Null: done. The promise resolves when what must be
   * stored is stored, and rejects when it is not. Throws StoreUnavailable: no session has it with QoS 1 or 2.
   */
  publish(message: OrdinaryMessage, { received, willOf }: Extras = {}): Promise<void> | null {
    this.counters.published++
    if (message.qos > 0) this.writer.mustServe()
    const changes: SessionChange[] = []
    if (received !== undefined && received.session.durable) {
      changes.push({ kind: 'received', client: received.session.client, packetId: received.packetId })
    }
    if (willOf !== undefined) changes.push({ kind: 'forgetWill', client: willOf })
    const targets = this.sessions.match(message.topic)
    // What is kept must not keep the whole packet that it came in.
    const kept = {
      ...message,
      payload: message.qos > 0 || message.retain ? new Uint8Array(message.payload) : message.payload,
    }
    const retains = message.retain && this.retained.admits(kept, this.limits)
    if (message.retain && !retains) this.counters.dropped.retained_full++
    if (retains) changes.push({ kind: 'retain', message: kept })
    const added: Addition[] = []
    for (const [session, granted] of targets) {
      const qos = Math.min(message.qos, granted) // [MQTT-3.8.4-6]
      if (qos === 0)
        session.offer({ ...kept, qos: 0, retain: false }) // [MQTT-3.3.1-9]
      else this.#enqueue(session, session.reserve(kept, qos === 2 ? 2 : 1, false), changes, added)
    }
    return this.#commit(changes, added, () => {
      if (retains) this.retained.set(kept)
      received?.session.received.add(received.packetId)
    })
  }

  #enqueue(session: OrdinarySession, message: QueuedMessage | null, changes: SessionChange[], added: Addition[]): void {
    if (message === null) return
    added.push([session, message])
    if (session.durable) changes.push({ kind: 'enqueue', client: session.client, message })
  }

  // --- connections

  open(opening: OrdinaryOpening): Promise<OrdinarySession | null> | OrdinarySession | null {
    const { client, clean, link, will, isGranted } = opening
    const ended = clean ? this.end(client) : null
    const session = clean ? null : this.resume(client, link, isGranted)
    if (will === null) return ended === null ? session : ended.then(() => session)
    return Promise.all([ended, this.wills.keep(client, link, will)]).then(() => session)
  }

  leave(client: string, link: SessionLink, publishesWill: boolean): void {
    const session = this.sessions.get(client)
    if (session?.link === link) this.detach(session)
    this.wills.leave(client, link, publishesWill)
  }

  // --- sessions

  /** The session of a client, if there is one. */
  find(client: string): OrdinarySession | undefined {
    return this.sessions.get(client)
  }

  /**
   * The stored session of a client that connects with clean session 0, now on `link`; null: there is none. Subscriptions
   * that the client's grants do not cover any more are taken away. Throws StoreUnavailable.
   */
  resume(client: string, link: SessionLink, isGranted: (filter: string) => boolean): OrdinarySession | null {
    this.writer.mustServe()
    const session = this.sessions.get(client)
    if (session === undefined) return null
    session.link?.close('taken_over')
    if (!session.durable) {
      this.#forget(session)
      return null
    }
    const lost = [...session.subscriptions.keys()].filter((filter) => !isGranted(filter))
    this.unsubscribe(session, lost)?.catch(() => {
      // Everything is read again, and the connection ends.
    })
    session.attach(link)
    this.#noteUse(session)
    return session
  }

  /** The session of a connected client that needs one now; made if there is none. Throws StoreUnavailable. */
  obtain(client: string, durable: boolean, link: SessionLink): OrdinarySession {
    this.writer.mustServe()
    const existing = this.sessions.get(client)
    if (existing?.link === link) return existing
    if (existing !== undefined) {
      existing.link?.close('taken_over')
      this.#forget(existing)
    }
    const session = new OrdinarySession(client, durable, this)
    this.sessions.add(session)
    session.usedAt = this.#clock.now()
    session.attach(link)
    session.begin()
    return session
  }

  /** The connection of a session has ended. */
  detach(session: OrdinarySession): void {
    session.detach()
    if (!this.sessions.has(session)) return
    if (!session.durable) this.#forget(session)
    else if (!session.empty) this.#noteUse(session)
    else {
      this.#forget(session)
      this.writer.writeQuietly([{ kind: 'endSession', client: session.client }])
    }
  }

  /** Ends the client's session, stored or not [MQTT-3.1.2-6]. Null: done. Throws StoreUnavailable. */
  end(client: string): Promise<void> | null {
    this.writer.mustServe()
    const session = this.sessions.get(client)
    if (session === undefined) return null
    const stored = session.durable ? this.writer.write([{ kind: 'endSession', client }]) : null
    const { link } = session
    this.#forget(session)
    link?.close('taken_over')
    return stored
  }

  /**
   * Adds or replaces subscriptions, and puts the matching retained messages into the queue [MQTT-3.3.1-6], [MQTT-3.8.4-3].
   * In effect at once. Null or the promise: stored. Throws StoreUnavailable.
   */
  subscribe(session: OrdinarySession, filters: readonly StoredSubscription[]): Promise<void> | null {
    this.writer.mustServe()
    const { client, durable } = session
    const changes: SessionChange[] = []
    const added: Addition[] = []
    const atMostOnce: OrdinaryMessage[] = []
    let looked = 0
    for (const { filter, qos } of filters) {
      if (durable) changes.push({ kind: 'subscribe', client, filter, qos })
      const retained = this.retained.match(filter)
      looked += retained.length
      for (const message of retained) {
        const granted = Math.min(qos, message.qos)
        const level = granted === 2 ? 2 : 1
        if (granted === 0)
          atMostOnce.push(message) // with RETAIN, which it has [MQTT-3.3.1-8]
        else this.#enqueue(session, session.reserve(message, level, true), changes, added)
      }
    }
    session.link?.lookedAt(looked)
    return this.#commit(changes, added, () => {
      for (const filter of filters) this.sessions.subscribe(session, filter)
      for (const message of atMostOnce) session.offer(message, true)
      session.pump()
    })
  }

  /** [MQTT-3.10.4-2]. As `subscribe`. */
  unsubscribe(session: OrdinarySession, filters: readonly string[]): Promise<void> | null {
    const { client, durable } = session
    const known = filters.filter((filter) => session.subscriptions.has(filter))
    const changes = durable ? known.map((filter): SessionChange => ({ kind: 'unsubscribe', client, filter })) : []
    return this.#commit(changes, [], () => {
      for (const filter of known) this.sessions.unsubscribe(session, filter)
    })
  }

  // --- for sessions

  async read(session: OrdinarySession, after: number, limit: number, most: number): Promise<readonly QueuedMessage[]> {
    // What was acknowledged on an earlier connection must not come again.
    this.#flushRemovals()
    await this.writer.settled()
    return this.#removals.read(this.#store, session.client, after, limit, most)
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

  // --- memory and store

  /** Hands over `changes`, does `apply` at once, and adds the messages to their queues when they are stored, in turn. */
  #commit(changes: readonly SessionChange[], added: readonly Addition[], apply: () => void): Promise<void> | null {
    const add = (): void => {
      for (const [session, message] of added) session.add(message)
    }
    if (changes.length === 0) {
      apply()
      return added.length === 0 ? null : this.writer.inTurn(add)
    }
    let stored: Promise<void>
    try {
      stored = this.writer.write(changes, add)
    } catch (error) {
      for (const [session, message] of added.toReversed()) session.takeBack(message)
      throw error
    }
    apply()
    return stored
  }

  #flushRemovals(): void {
    const changes = this.#removals.take()
    if (changes.length > 0 && this.#reloading === null && !this.writer.writeQuietly(changes))
      this.#removals.putBack(changes)
  }

  #noteUse(session: OrdinarySession): void {
    session.usedAt = this.#clock.now()
    this.writer.writeQuietly([{ kind: 'used', client: session.client, at: session.usedAt, sent: session.sent }])
  }

  /** Takes a session out of memory. */
  #forget(session: OrdinarySession): void {
    if (this.sessions.remove(session)) this.#removals.forget(session.client)
  }

  /** Ends sessions that nobody used for long; says of those in use that they are. */
  #tick(): void {
    const now = this.#clock.now()
    for (const session of this.sessions.values()) {
      if (!session.durable || this.#reloading !== null) continue
      if (session.link !== null) {
        if (now - session.usedAt > DAY_MS) this.#noteUse(session)
      } else if (now - session.usedAt > this.limits.sessionIdleMs) {
        if (!this.writer.writeQuietly([{ kind: 'endSession', client: session.client }])) return
        this.#forget(session)
        this.counters.sessionsExpired++
      }
    }
  }

  async #load(): Promise<void> {
    for await (const stored of this.#store.sessions()) {
      const session = new OrdinarySession(stored.client, true, this)
      session.restore(stored)
      this.sessions.add(session)
    }
    for await (const message of this.#store.retained()) this.retained.set(message)
  }

  /** A write was lost, perhaps with others. */
  #failed(error: unknown): void {
    if (this.#reloading !== null) return
    this.#log.error({ err: error }, 'a write of sessions failed: they are read again')
    this.counters.reloads++
    this.writer.block('the sessions are being read again')
    this.#reloading = this.#reload()
  }

  /** Never rejects. */
  async #reload(): Promise<void> {
    const done = await reload({
      forget: () => this.#forgetDurable(),
      settled: () => this.writer.settled(),
      read: () => this.#load(),
      signal: this.#stopping.signal,
      log: this.#log,
    })
    if (!done) return
    this.#reloading = null
    this.writer.block(null)
    this.wills.retry()
  }

  #forgetDurable(): void {
    this.#removals.take()
    this.retained.clear()
    for (const session of this.sessions.values()) {
      if (!session.durable) continue
      const { link } = session
      this.#forget(session)
      link?.close('overload')
    }
  }
}
