// One client's ordinary session: its subscriptions, its queue, and what is in flight on its connection.
//
// Messages with QoS 1 and 2 wait in the queue in the order of their numbers and leave in that order, whether they came before
// the connection or during it: catching up and live are one loop (`pump`), so nothing overtakes [MQTT-4.6.0-6]. The packet id
// follows from the number, so a redelivery has its first id [MQTT-4.4.0-1] and nothing need be stored when a message is sent.
//
// The queue of a durable session (clean session 0) is in the store; here is only the part that comes next. A message is sent
// after it is stored.

import { ordinarySize, type OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { QueuedMessage, StoredSession } from '../../core/ports/session-store.js'
import type { CloseReason } from '../counters.js'
import { COURIER_IDS_FROM } from '../frame-scanner.js'
import type { OrdinaryDrop, PubSubCounters } from './counters.js'
import { encodePublish, encodePubrel } from './encode.js'
import { Fifo } from './fifo.js'
import type { PubSubLimits } from './limits.js'
import { RetainedWaiting } from './retained-waiting.js'

type Qos = 0 | 1 | 2

/** The connection that a session has. */
export interface SessionLink {
  /** Bytes written that have not left. */
  readonly buffered: number
  write(bytes: Buffer): void
  close(reason: CloseReason): void
  /** Whether the client's grants cover the topic. */
  mayReceive(topic: string): boolean
  /** So many retained messages were looked at for its subscriptions. */
  lookedAt(retained: number): void
}

/** What a session needs of who keeps it. */
export interface SessionKeeper {
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
  /** Reads the stored queue on; see SessionStore. Rejects when it cannot. */
  read(session: OrdinarySession, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]>
  /** A message of a durable session is done with; `bytes` as in SessionChange. */
  removed(session: OrdinarySession, number: number, bytes: number): void
  /** It has something to send, and the connection's buffer is full. */
  blocked(session: OrdinarySession): void
  /** The stored queue could not be read: the connection is of no use. */
  unreadable(session: OrdinarySession, error: unknown): void
}

/** Couriers have the ids above. */
const IDS = COURIER_IDS_FROM - 1
/** Messages of a durable session that are kept in memory to be sent next; further ones are read when their turn comes. */
const LOADED_MAX = 256
const LOADED_MAX_BYTES = 1024 * 1024

const packetIdOf = (number: number): number => ((number - 1) % IDS) + 1

interface InFlight {
  readonly message: QueuedMessage
  /** PUBREC came: PUBREL is repeated, not PUBLISH. */
  released: boolean
}

export class OrdinarySession {
  readonly client: string
  readonly durable: boolean
  readonly subscriptions = new Map<string, Qos>()
  /** Options of subscriptions that have some; see StoredSubscription. */
  options: Map<string, string> | null = null
  /** Packet ids of received QoS 2 messages that wait for their PUBREL. */
  readonly received = new Set<number>()
  /** The number that the next message of the queue gets. */
  next = 1
  /** Messages of the queue that are not done with, and their sizes together. */
  count = 0
  bytes = 0
  /** Messages up to this number may have been sent before: DUP [MQTT-3.3.1-1]. */
  sent = 0
  /** When it was last connected, milliseconds UTC. */
  usedAt = 0
  readonly #keeper: SessionKeeper
  #link: SessionLink | null = null
  /** Delivery has begun on this connection. */
  #open = false
  /** What comes next, in order. */
  readonly #waiting = new Fifo<QueuedMessage>()
  #waitingBytes = 0
  /** Messages up to this number were read into `#waiting` on this connection. */
  #loaded = 0
  /** Messages up to this number are stored. */
  #stored = 0
  #loading = false
  /** By packet id, in the order of sending. */
  #inFlight = new Map<number, InFlight>()
  #inFlightBytes = 0
  /** QoS 0 messages that found the buffer full, or belong to a new subscription's retained ones. */
  readonly #atMostOnce = new Fifo<OrdinaryMessage>()
  readonly #retained = new RetainedWaiting()

  constructor(client: string, durable: boolean, keeper: SessionKeeper) {
    this.client = client
    this.durable = durable
    this.#keeper = keeper
  }

  get link(): SessionLink | null {
    return this.#link
  }

  /** Something waits for a buffer that is full. */
  get isBlocked(): boolean {
    const full = this.#link !== null && this.#link.buffered >= this.#keeper.limits.bufferMax
    return full && (this.#atMostOnce.length > 0 || this.#waiting.length > 0 || this.#loaded < this.#stored)
  }

  /** Nothing is lost with it. */
  get empty(): boolean {
    return this.subscriptions.size === 0 && this.received.size === 0 && this.count === 0
  }

  /** What the store knows of it; before it is added to the table. */
  restore({ next, count, bytes, sent, usedAt, received, subscriptions }: StoredSession): void {
    this.next = next
    this.count = count
    this.bytes = bytes
    this.sent = sent
    this.usedAt = usedAt
    for (const packetId of received) this.received.add(packetId)
    for (const { filter, qos, options } of subscriptions) {
      this.subscriptions.set(filter, qos)
      this.setOptions(filter, options)
    }
    this.#stored = next - 1
  }

  setOptions(filter: string, options: string | undefined): void {
    if (options === undefined) this.options?.delete(filter)
    else (this.options ??= new Map()).set(filter, options)
  }

  // --- connection

  /** The new connection; delivery begins with `begin`. */
  attach(link: SessionLink): void {
    this.#link = link
    this.#open = false
  }

  begin(): void {
    this.#open = true
    this.pump()
  }

  detach(): void {
    this.#link = null
    this.#open = false
    this.#waiting.clear()
    this.#waitingBytes = 0
    this.#loaded = 0
    this.#loading = false
    this.#inFlight = new Map()
    this.#inFlightBytes = 0
    this.#atMostOnce.clear()
    this.#retained.clear()
  }

  // --- messages for it

  /** QoS 0. `late`: after those that wait, however many they are. */
  offer(message: OrdinaryMessage, late = false): void {
    if (this.#link === null) return
    const { limits } = this.#keeper
    if (!late && this.#atMostOnce.length === 0 && this.#link.buffered < limits.bufferMax && this.#open) {
      this.#sendAtMostOnce(this.#link, message)
      return
    }
    if (late && !this.#retained.add(0, message)) return
    if (!late && this.#atMostOnce.length >= limits.queueMax) this.#drop('slow_reader')
    else this.#atMostOnce.push(message)
    if (this.#atMostOnce.length === 1) this.pump()
  }

  /** What the store gives up: a message that no connection has in flight. */
  discard(message: QueuedMessage): void {
    this.#done(message, message.released)
  }

  /** A place in the queue, or null: dropped, because it is full, or a retained one that waits already. The message is not in the queue before `add`. */
  reserve(message: OrdinaryMessage, qos: 1 | 2, retain: boolean): QueuedMessage | null {
    if (retain && !this.durable && !this.#retained.add(qos, message)) return null
    const { limits } = this.#keeper
    const full = this.count >= limits.queueMax || this.bytes + ordinarySize(message) > limits.queueMaxBytes
    if (full && (this.durable || !retain)) {
      this.#drop('queue_full')
      return null
    }
    const { topic, payload } = message
    const queued = { number: this.next++, topic, payload, qos, retain, released: false }
    this.#count(queued, 1)
    return queued
  }

  /** The place was not used after all; the last one that was given. */
  takeBack(message: QueuedMessage): void {
    this.next = message.number
    if (message.retain) this.#retained.remove(message.qos, message)
    this.#count(message, -1)
  }

  /**
   * Whether a message counts against the limits. A retained one for a session in memory is but one reference more to what is
   * there anyway, and a subscription must get them all [MQTT-3.3.1-6].
   */
  #counts(message: QueuedMessage): boolean {
    return this.durable || !message.retain
  }

  #count(message: QueuedMessage, sign: 1 | -1): void {
    if (!this.#counts(message)) return
    this.count += sign
    this.bytes += sign * ordinarySize(message)
  }

  /** The message is in the queue, stored where it must be. Called in the order of the numbers. */
  add(message: QueuedMessage): void {
    const caughtUp = this.#loaded === this.#stored
    this.#stored = message.number
    if (this.#link !== null && caughtUp && (!this.durable || this.#hasRoom)) {
      this.#load(message)
    }
    this.pump()
  }

  /**
   * A message of a durable session whose queue others write: it is stored. One that does not follow the last is only noted, and
   * the queue is read; one that was read already is not looked at.
   */
  arrive(message: QueuedMessage): void {
    if (message.number < this.next) return
    if (message.number > this.next) return this.catchUp(message.number + 1)
    this.next = message.number + 1
    this.#count(message, 1)
    this.add(message)
  }

  /** The queue has messages up to `next`, which others wrote. */
  catchUp(next: number): void {
    if (next <= this.next) return
    this.next = next
    this.#stored = next - 1
    this.pump()
  }

  // --- acknowledgements

  /** PUBACK (`qos` 1) [MQTT-4.3.2-1] or PUBCOMP (2) [MQTT-4.3.3-1]. False: nothing waited for it. */
  acked(packetId: number, qos: 1 | 2): boolean {
    const entry = this.#inFlight.get(packetId)
    if (entry === undefined || entry.message.qos !== qos) return false
    this.#inFlight.delete(packetId)
    this.#inFlightBytes -= ordinarySize(entry.message)
    this.#done(entry.message, entry.released)
    this.pump()
    return true
  }

  /** The QoS 2 message in flight with this id that PUBREC is about; null: none, or it was released before. */
  toRelease(packetId: number): QueuedMessage | null {
    const entry = this.#inFlight.get(packetId)
    return entry === undefined || entry.released || entry.message.qos !== 2 ? null : entry.message
  }

  /** PUBREC has been taken note of: from now on it is PUBREL that is repeated. */
  release(message: QueuedMessage): void {
    const entry = this.#inFlight.get(packetIdOf(message.number))
    if (entry === undefined || entry.message !== message || entry.released) return
    entry.released = true
    if (this.#counts(message)) this.bytes -= ordinarySize(message)
  }

  // --- sending

  /** Sends what may be sent now. */
  pump(): void {
    const link = this.#link
    if (link === null || !this.#open) return
    const { limits } = this.#keeper
    while (this.#atMostOnce.length > 0 && link.buffered < limits.bufferMax) {
      const message = this.#atMostOnce.shift()
      if (message === undefined) break
      if (message.retain) this.#retained.remove(0, message)
      this.#sendAtMostOnce(link, message)
    }
    while (this.#link === link) {
      if (link.buffered >= limits.bufferMax) {
        if (this.isBlocked) this.#keeper.blocked(this)
        return
      }
      const message = this.#waiting.first
      if (message === undefined) {
        if (this.#loaded < this.#stored) void this.#read(link)
        return
      }
      if (!this.#fits(message)) return
      this.#waiting.shift()
      this.#waitingBytes -= ordinarySize(message)
      this.#send(link, message)
    }
  }

  #sendAtMostOnce(link: SessionLink, message: OrdinaryMessage): void {
    for (const bytes of encodePublish(message, { qos: 0, retain: message.retain, dup: false, packetId: 0 })) {
      link.write(bytes)
    }
    this.#keeper.counters.sent++
  }

  #send(link: SessionLink, message: QueuedMessage): void {
    if (message.retain) this.#retained.remove(message.qos, message)
    const packetId = packetIdOf(message.number)
    if (message.released) {
      this.#inFlight.set(packetId, { message, released: true })
      link.write(encodePubrel(packetId))
      return
    }
    if (!link.mayReceive(message.topic)) {
      this.#drop('not_granted')
      this.#done(message, false)
      return
    }
    const { counters } = this.#keeper
    const dup = message.number <= this.sent
    if (!dup) this.sent = message.number
    else counters.sentAgain++
    counters.sent++
    this.#inFlight.set(packetId, { message, released: false })
    this.#inFlightBytes += ordinarySize(message)
    const { qos, retain } = message
    for (const bytes of encodePublish(message, { qos, retain, dup, packetId })) link.write(bytes)
  }

  /** Whether the window has room for it, and its packet id is free [MQTT-2.3.1-2]. */
  #fits(message: QueuedMessage): boolean {
    const { limits } = this.#keeper
    if (this.#inFlight.size === 0) return true
    if (this.#inFlight.size >= limits.window) return false
    if (this.#inFlightBytes + ordinarySize(message) > limits.windowBytes) return false
    const [oldest] = this.#inFlight.values()
    return oldest === undefined || message.number - oldest.message.number < IDS
  }

  #done(message: QueuedMessage, released: boolean): void {
    this.#count(message, -1)
    // It was taken out of the sum when it was released.
    if (released && this.#counts(message)) this.bytes += ordinarySize(message)
    if (this.durable) this.#keeper.removed(this, message.number, released ? 0 : ordinarySize(message))
  }

  get #hasRoom(): boolean {
    return this.#waiting.length < LOADED_MAX && this.#waitingBytes < LOADED_MAX_BYTES
  }

  #load(message: QueuedMessage): void {
    this.#waiting.push(message)
    this.#waitingBytes += ordinarySize(message)
    this.#loaded = message.number
  }

  /** Reads the next part of the stored queue. */
  async #read(link: SessionLink): Promise<void> {
    if (this.#loading) return
    this.#loading = true
    const upTo = this.#stored
    try {
      const page = await this.#keeper.read(this, this.#loaded, LOADED_MAX, LOADED_MAX_BYTES)
      if (this.#link !== link) return
      for (const message of page) if (message.number <= upTo) this.#load(message)
      if (page.length === 0 || (page.at(-1)?.number ?? 0) > upTo) this.#loaded = Math.max(this.#loaded, upTo)
      this.#loading = false
      this.pump()
    } catch (error) {
      if (this.#link === link) this.#keeper.unreadable(this, error)
    }
  }

  #drop(reason: OrdinaryDrop): void {
    this.#keeper.counters.dropped[reason]++
  }
}
