// The sessions of the hub as Aedes' persistence. Aedes itself uses the handshakes: routing and sending are the hub's, because
// Aedes acknowledges before it stores and loses the order (see docs/adr). The rest of the contract is here all the same, so
// that Aedes' own suite can be run against hub and store, and so that no road of Aedes leads to a method that is not there.
//
// What Aedes knows a message by (its broker's id, a counter, a packet id of its own choice) means nothing after a restart: it
// is kept in memory. Topics, payloads, subscriptions, packet ids of received messages and wills are in the store.

import { Readable } from 'node:stream'
import { ordinarySize, type OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { QueuedMessage, StoredSubscription } from '../../core/ports/session-store.js'
import { matches } from '../../protocol/acl.js'
import type { PubSub } from './hub.js'
import { OrdinarySession } from './session.js'

type Qos = 0 | 1 | 2

export interface AedesClient {
  readonly id: string
}

/** A packet of a handshake. */
export interface PacketRef {
  readonly cmd?: string
  readonly messageId?: number | undefined
}

export interface AedesPacket extends PacketRef {
  readonly cmd?: string
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: Qos
  readonly retain: boolean
  readonly dup?: boolean
  readonly brokerId?: string | undefined
  readonly brokerCounter?: number
}

/** `rh`, `rap`, `nl` and `subscriptionIdentifier` are of MQTT 5: kept, without meaning here. */
export interface AedesSubscription {
  readonly topic: string
  readonly qos: Qos
  readonly rh?: number
  readonly rap?: boolean
  readonly nl?: boolean
  readonly subscriptionIdentifier?: number
}

/** What Aedes sets on a will that it hands over. */
interface AedesWill extends OrdinaryMessage {
  brokerId?: string
  clientId?: string
}

/** What Aedes uses. */
export interface HandshakePersistence {
  /** PUBACK or PUBCOMP. False: nothing waited for it. */
  acknowledged(client: AedesClient, packet: PacketRef): boolean
  outgoingUpdate(client: AedesClient, packet: PacketRef): Promise<void>
  incomingGetPacket(client: AedesClient, packet: PacketRef): Promise<PacketRef>
  incomingDelPacket(client: AedesClient, packet: PacketRef): Promise<void>
}

/** What Aedes knows a queued message by. */
interface Identity {
  readonly brokerId: string | undefined
  readonly brokerCounter: number
  /** The payload was given as text. */
  readonly text: boolean
  messageId: number | undefined
}

interface Queued {
  readonly message: QueuedMessage
  readonly identity: Identity
}

const NO_PACKET = 'no such packet'
const UNKNOWN: Identity = { brokerId: undefined, brokerCounter: 0, text: false, messageId: undefined }

export class HubPersistence implements HandshakePersistence {
  readonly #hub: PubSub
  /** By client, then by number. */
  readonly #identities = new Map<string, Map<number, Identity>>()
  /** Received QoS 2 packets by client, then by packet id. */
  readonly #received = new Map<string, Map<number, AedesPacket>>()
  readonly #wills = new Map<string, AedesWill>()
  /** Aedes, or what stands for it; its id says whose wills are whose. */
  broker: { readonly id: string } | null = null

  constructor(hub: PubSub) {
    this.#hub = hub
  }

  async setup(broker: { readonly id: string }): Promise<void> {
    this.broker = broker
  }

  async destroy(): Promise<void> {
    await this.#hub.close()
  }

  // --- handshakes

  acknowledged(client: AedesClient, { cmd, messageId = 0 }: PacketRef): boolean {
    return this.#hub.handshakes.acked(client.id, messageId, cmd === 'pubcomp' ? 2 : 1)
  }

  /** PUBREC of a client that is connected; else what Aedes wants to be noted of a queued packet. */
  async outgoingUpdate(client: AedesClient, packet: PacketRef & Partial<AedesPacket>): Promise<void> {
    const session = this.#hub.find(client.id)
    if (session !== undefined && session.link === null) await this.#updateQueued(session, packet)
    else await this.#hub.handshakes.release(client.id, packet.messageId ?? 0)
  }

  async incomingGetPacket(client: AedesClient, packet: PacketRef): Promise<PacketRef> {
    const { messageId = 0 } = packet
    if (this.#hub.find(client.id)?.received.has(messageId) !== true) throw new Error(NO_PACKET)
    return Promise.resolve(this.#received.get(client.id)?.get(messageId) ?? packet)
  }

  async incomingDelPacket(client: AedesClient, { messageId = 0 }: PacketRef): Promise<void> {
    if (this.#hub.find(client.id)?.received.has(messageId) !== true) throw new Error(NO_PACKET)
    this.#received.get(client.id)?.delete(messageId)
    await this.#hub.handshakes.forgetReceived(client.id, messageId)
  }

  async incomingStorePacket(client: AedesClient, packet: AedesPacket): Promise<void> {
    const { messageId = 0 } = packet
    const session = this.#durable(client.id)
    await this.#hub.writer.write([{ kind: 'received', client: client.id, packetId: messageId }])
    session.received.add(messageId)
    const { topic, payload, qos, retain, dup = false } = packet
    const packets = this.#received.get(client.id) ?? new Map<number, AedesPacket>()
    packets.set(messageId, { cmd: 'publish', topic, payload, qos, retain, dup, messageId })
    this.#received.set(client.id, packets)
  }

  async cleanIncoming(client: AedesClient): Promise<void> {
    for (const packetId of this.#hub.find(client.id)?.received ?? []) {
      await this.#hub.handshakes.forgetReceived(client.id, packetId)
    }
    this.#received.delete(client.id)
  }

  // --- queues

  async outgoingEnqueue(sub: { readonly clientId: string }, packet: AedesPacket): Promise<void> {
    const session = this.#durable(sub.clientId)
    const queued = session.reserve(messageOf(packet), packet.qos === 2 ? 2 : 1, packet.retain)
    if (queued === null) return
    const { brokerId, brokerCounter = 0 } = packet
    const identities = this.#identities.get(session.client) ?? new Map<number, Identity>()
    const text = typeof packet.payload === 'string'
    identities.set(queued.number, { brokerId, brokerCounter, text, messageId: undefined })
    this.#identities.set(session.client, identities)
    const change = { kind: 'enqueue', client: session.client, message: queued } as const
    await this.#hub.writer.write([change], () => session.add(queued))
  }

  async outgoingEnqueueCombi(subs: ReadonlyArray<{ readonly clientId: string }>, packet: AedesPacket): Promise<void> {
    await Promise.all(subs.map((sub) => this.outgoingEnqueue(sub, packet)))
  }

  outgoingStream(client: AedesClient): Readable {
    return Readable.from(this.#packets(client.id))
  }

  async *#packets(client: string): AsyncGenerator<PacketRef> {
    for (const queued of await this.#queue(client)) yield packetOf(queued)
  }

  /** Takes a packet out of the queue; the packet, or undefined when there is none with its id. */
  async outgoingClearMessageId(client: AedesClient, packet: PacketRef): Promise<PacketRef | undefined> {
    const queued = (await this.#queue(client.id)).find(({ identity }) => hasId(identity, packet.messageId))
    const session = this.#hub.find(client.id)
    if (queued === undefined || session === undefined) return undefined
    session.discard(queued.message)
    this.#identities.get(client.id)?.delete(queued.message.number)
    return packetOf(queued)
  }

  async #updateQueued(session: OrdinarySession, packet: PacketRef & Partial<AedesPacket>): Promise<void> {
    const { brokerId, brokerCounter, messageId } = packet
    const queue = await this.#queue(session.client)
    const sameMessage = queue.find(({ identity }) => isOf(identity, brokerId, brokerCounter))
    if (sameMessage !== undefined) {
      sameMessage.identity.messageId = messageId
      return
    }
    const released = queue.find(({ identity }) => identity.brokerId !== brokerId && hasId(identity, messageId))
    if (released === undefined) throw new Error(NO_PACKET)
    const { message } = released
    const bytes = ordinarySize(message)
    await this.#hub.writer.write([{ kind: 'release', client: session.client, number: message.number, bytes }])
    session.bytes -= bytes
  }

  async #queue(client: string): Promise<Queued[]> {
    const session = this.#hub.find(client)
    if (session === undefined) return []
    const messages = await this.#hub.read(session, 0, this.#hub.limits.queueMax, Infinity)
    const identities = this.#identities.get(client)
    return messages.map((message) => ({ message, identity: identities?.get(message.number) ?? UNKNOWN }))
  }

  // --- retained messages

  async storeRetained(packet: AedesPacket): Promise<void> {
    const message = messageOf(packet)
    await this.#hub.writer.write([{ kind: 'retain', message }])
    this.#hub.retained.set(message)
  }

  createRetainedStream(pattern: string): Readable {
    return this.createRetainedStreamCombi([pattern])
  }

  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    const found = new Set(patterns.flatMap((pattern) => this.#hub.retained.match(pattern)))
    const { id } = this.broker ?? {}
    return Readable.from([...found].map((message) => ({ cmd: 'publish', id, ...plain(message) })))
  }

  // --- subscriptions

  async addSubscriptions(client: AedesClient, subs: readonly AedesSubscription[]): Promise<void> {
    const session = this.#durable(client.id)
    const filters = subs.map(storedOf)
    await this.#hub.writer.write(filters.map((filter) => ({ kind: 'subscribe', client: client.id, ...filter })))
    for (const filter of filters) this.#hub.sessions.subscribe(session, filter)
  }

  async removeSubscriptions(client: AedesClient, filters: readonly string[]): Promise<void> {
    const session = this.#hub.find(client.id)
    if (session !== undefined) await this.#hub.unsubscribe(session, filters)
  }

  async cleanSubscriptions(client: AedesClient): Promise<void> {
    const session = this.#hub.find(client.id)
    if (session !== undefined) await this.#hub.unsubscribe(session, [...session.subscriptions.keys()])
  }

  async subscriptionsByClient(client: AedesClient): Promise<readonly AedesSubscription[]> {
    const session = this.#hub.find(client.id)
    return Promise.resolve(session === undefined ? [] : subscriptionsOf(session))
  }

  /** Those above QoS 0; wider filters first. */
  async subscriptionsByTopic(topic: string): Promise<ReadonlyArray<AedesSubscription & { readonly clientId: string }>> {
    const found: Array<AedesSubscription & { readonly clientId: string }> = []
    for (const session of this.#hub.sessions.match(topic).keys()) {
      for (const { subscriptionIdentifier: _, ...sub } of subscriptionsOf(session)) {
        if (sub.qos > 0 && matches(sub.topic, topic)) found.push({ clientId: session.client, ...sub })
      }
    }
    return Promise.resolve(found.toSorted((a, b) => Number(isWild(b.topic)) - Number(isWild(a.topic))))
  }

  async countOffline(): Promise<{ readonly subsCount: number; readonly clientsCount: number }> {
    let subsCount = 0
    let clientsCount = 0
    for (const { subscriptions } of this.#hub.sessions.values()) {
      if (subscriptions.size > 0) clientsCount++
      for (const qos of subscriptions.values()) if (qos > 0) subsCount++
    }
    return Promise.resolve({ subsCount, clientsCount })
  }

  getClientList(filter: string): Readable {
    const sessions = [...this.#hub.sessions.values()].filter(({ subscriptions }) => subscriptions.has(filter))
    return Readable.from(sessions.map(({ client }) => client))
  }

  // --- wills

  async putWill(client: AedesClient, packet: AedesWill): Promise<void> {
    packet.clientId = client.id
    if (this.broker !== null) packet.brokerId = this.broker.id
    this.#wills.set(client.id, packet)
    await this.#hub.wills.keep(client.id, this, packet)
  }

  async getWill(client: AedesClient): Promise<AedesWill | undefined> {
    return Promise.resolve(this.#wills.get(client.id))
  }

  async delWill(client: AedesClient): Promise<AedesWill | undefined> {
    const will = this.#wills.get(client.id)
    this.#wills.delete(client.id)
    this.#hub.wills.forget(client.id, this)
    return Promise.resolve(will)
  }

  /** Wills of brokers that are not among `brokers`. */
  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Readable {
    return Readable.from([...this.#wills.values()].filter(({ brokerId = '' }) => !Object.hasOwn(brokers, brokerId)))
  }

  /** The stored session of a client; made if there is none. */
  #durable(client: string): OrdinarySession {
    const existing = this.#hub.find(client)
    if (existing !== undefined) return existing
    const session = new OrdinarySession(client, true, this.#hub)
    this.#hub.sessions.add(session)
    return session
  }
}

const hasId = (identity: Identity, messageId: number | undefined): boolean =>
  messageId !== undefined && identity.messageId === messageId

const isOf = (identity: Identity, brokerId: string | undefined, counter: number | undefined): boolean =>
  brokerId !== undefined && identity.brokerId === brokerId && identity.brokerCounter === counter

const isWild = (filter: string): boolean => filter.includes('#') || filter.includes('+')

function messageOf({ topic, payload, qos, retain }: AedesPacket): OrdinaryMessage {
  return { topic, payload: typeof payload === 'string' ? Buffer.from(payload) : payload, qos, retain }
}

/** With the payload as a Buffer. */
function plain({ topic, payload, qos, retain }: OrdinaryMessage): Omit<AedesPacket, 'cmd'> {
  return { topic, payload: Buffer.from(payload), qos, retain }
}

function packetOf({ message, identity }: Queued): PacketRef & Partial<AedesPacket> {
  const { brokerId, brokerCounter, text, messageId } = identity
  if (message.released) return { cmd: 'pubrel', messageId }
  const packet = plain(message)
  const payload = text ? packet.payload.toString() : packet.payload
  return { cmd: 'publish', brokerId, brokerCounter, ...packet, payload, dup: false, messageId }
}

function storedOf({ topic, qos, ...options }: AedesSubscription): StoredSubscription {
  const text = JSON.stringify(options)
  return text === '{}' ? { filter: topic, qos } : { filter: topic, qos, options: text }
}

function subscriptionsOf({ subscriptions, options }: OrdinarySession): AedesSubscription[] {
  return [...subscriptions].map(([topic, qos]) => {
    const more: unknown = JSON.parse(options?.get(topic) ?? '{}')
    return { topic, qos, ...(typeof more === 'object' ? more : {}) }
  })
}
