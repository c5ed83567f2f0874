// One connection's side of ordinary pub/sub: takes its PUBLISH packets, and is the link of its session. Made when a connection
// needs it: most devices use their mailbox alone.

import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { StoredSubscription } from '../../core/ports/session-store.js'
import { allows, grants, type Acl } from '../../protocol/acl.js'
import type { CloseReason, SubackRefusal } from '../counters.js'
import { RETAINED_OF_ONE_PACKET } from '../limits.js'
import type { PublishPacket } from '../packets.js'
import type { RequestedFilter } from '../subscribe-policy.js'
import type { OrdinaryHub } from './ordinary-hub.js'
import type { OrdinarySession, SessionLink } from './session.js'

/** What is needed of the connection. */
export interface OrdinaryConnection {
  readonly buffered: number
  write(bytes: Buffer): void
  close(reason: CloseReason): void
  /** What was done for it is worth so many packets of its rate. */
  charge(packets: number): void
}

export interface OrdinaryClientOptions {
  readonly hub: OrdinaryHub
  readonly connection: OrdinaryConnection
  readonly client: string
  readonly clean: boolean
  readonly acl: Acl
}

/** With more retained messages than that, each filter of a SUBSCRIBE has a turn of its own. */
const RETAINED_IN_ONE_TURN = 1_000

const NOTHING: ReadonlyMap<string, unknown> = new Map()

export class OrdinaryClient implements SessionLink {
  readonly #hub: OrdinaryHub
  readonly #connection: OrdinaryConnection
  readonly #client: string
  readonly #clean: boolean
  readonly #acl: Acl
  #session: OrdinarySession | null = null
  #resumed = false
  #ended = false
  /** CONNACK has left. */
  #begun = false

  constructor({ hub, connection, client, clean, acl }: OrdinaryClientOptions) {
    this.#hub = hub
    this.#connection = connection
    this.#client = client
    this.#clean = clean
    this.#acl = acl
  }

  // --- session

  /** See OrdinaryHub.open. Null: done. */
  open(will: OrdinaryMessage | null): Promise<void> | null {
    const { publish, subscribe } = this.#acl
    const opened = this.#hub.open({
      client: this.#client,
      clean: this.#clean,
      link: this,
      uses: publish.length > 0 || subscribe.length > 0,
      will,
      isGranted: (filter) => grants(subscribe, filter),
    })
    if (opened instanceof Promise) return opened.then((session) => this.#opened(session))
    this.#opened(opened)
    return null
  }

  #opened(session: OrdinarySession | null): void {
    if (this.#ended) return this.#hub.leave(this.#client, this, false)
    this.#session = session
    this.#resumed = session !== null
  }

  /** There was a stored session. */
  get resumed(): boolean {
    return this.#resumed
  }

  /** It has a session, so that handshakes may be under way. */
  get active(): boolean {
    return this.#session !== null
  }

  /** CONNACK has left: delivery may begin. */
  begin(): void {
    this.#begun = true
    this.#session?.begin()
  }

  /** The connection has ended; `disconnected`: with a DISCONNECT. */
  end(disconnected: boolean): void {
    this.#ended = true
    this.#session = null
    this.#hub.leave(this.#client, this, this.#begun && !disconnected)
  }

  #obtain(): OrdinarySession {
    this.#session ??= this.#hub.obtain(this.#client, !this.#clean, this)
    return this.#session
  }

  /** Why a subscription is refused; null: it may be made. */
  refuses(filter: string): SubackRefusal | null {
    if (!grants(this.#acl.subscribe, filter)) return 'no_grant'
    const { limits, counters } = this.#hub
    const full = this.#session === null && !this.#clean && counters.storedSessions >= limits.sessionsMax
    return full ? 'sessions_full' : null
  }

  get subscribed(): ReadonlyMap<string, unknown> {
    return this.#session?.subscriptions ?? NOTHING
  }

  /** See PubSub. A filter that is there twice is one, with the QoS of the last [MQTT-3.8.4-3], [MQTT-3.8.4-4]. */
  subscribe(filters: readonly RequestedFilter[]): Promise<void> | null {
    const session = this.#obtain()
    const wanted = [...new Map(filters.map(({ topic, qos }) => [topic, { filter: topic, qos }])).values()]
    if (wanted.length === 1 || this.#hub.counters.retained <= RETAINED_IN_ONE_TURN) {
      return this.#hub.subscribe(session, wanted)
    }
    return this.#subscribeInTurns(session, wanted)
  }

  /** Each filter may match all that is retained: others have their turn between them. */
  async #subscribeInTurns(session: OrdinarySession, filters: readonly StoredSubscription[]): Promise<void> {
    for (const filter of filters) {
      if (this.#session !== session) return
      await this.#hub.subscribe(session, [filter])
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  unsubscribe(filters: readonly string[]): Promise<void> | null {
    return this.#session === null ? null : this.#hub.unsubscribe(this.#session, filters)
  }

  // --- link of the session

  get buffered(): number {
    return this.#connection.buffered
  }

  write(bytes: Buffer): void {
    this.#connection.write(bytes)
  }

  close(reason: CloseReason): void {
    this.#connection.close(reason)
  }

  mayReceive(topic: string): boolean {
    return allows(this.#acl.subscribe, topic)
  }

  lookedAt(retained: number): void {
    this.#connection.charge(retained / RETAINED_OF_ONE_PACKET)
  }

  /** What was written has left. */
  drained(): void {
    this.#session?.pump()
  }

  // --- publishing

  /** Whether one more QoS 2 message may wait for its PUBREL; one that is sent again does already. */
  mayHold(packetId: number): boolean {
    const received = this.#session?.received
    return received === undefined || received.has(packetId) || received.size < this.#hub.limits.receivedMax
  }

  /** A PUBLISH to a topic that is granted. Null or the promise: stored. Throws StoreUnavailable, or rejects with it. */
  publish(packet: PublishPacket): Promise<void> | null {
    if (packet.qos === 0) this.#publishAtMostOnce(packet)
    if (packet.qos === 1) return this.#hub.publish(packet)
    return packet.qos === 2 ? this.#publishExactlyOnce(packet) : null
  }

  #publishAtMostOnce(packet: PublishPacket): void {
    const lost = (): void => {
      this.#hub.counters.dropped.store_unavailable++
    }
    try {
      this.#hub.publish(packet)?.catch(lost)
    } catch {
      lost()
    }
  }

  /** [MQTT-4.3.3-2]: the packet id is noted with the message in one step, so that neither is there without the other. */
  #publishExactlyOnce(packet: PublishPacket): Promise<void> | null {
    const session = this.#obtain()
    const packetId = packet.messageId
    return session.received.has(packetId) ? null : this.#hub.publish(packet, { received: { session, packetId } })
  }
}
