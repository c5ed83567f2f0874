// The SessionStore port on the embedded store. Changes go with the group commits of the mailbox, as records of their own: there
// is no journal of them, because what ordinary sessions keep is written once and lives long, or is one small record a commit.

import { OutcomeUnknown, StoreUnavailable } from '../../errors.js'
import { ordinarySize, type OrdinaryMessage } from '../../model/ordinary-message.js'
import type {
  QueuedMessage,
  SessionChange,
  SessionStore,
  StoredSession,
  StoredSubscription,
} from '../../ports/session-store.js'
import { ByteWriter } from './bytes.js'
import type { Engine } from './engine.js'
import type { Group } from './group-commit.js'
import {
  decodeMarks,
  decodeMessage,
  decodeQueued,
  decodeSubscription,
  encodeMarks,
  encodeMessage,
  encodeSubscription,
  type SessionMarks,
} from './session-codec.js'
import {
  deviceKey,
  ITEM,
  itemKind,
  itemPacketId,
  itemPlace,
  numberKey,
  queuedKey,
  receivedKey,
  subscriptionKey,
  textHash,
} from './tables.js'

/** A session whose record is on its way to the disk. */
interface ActiveSession extends SessionMarks {
  /** The last group that writes it. */
  group: number
  ended: boolean
}

const ONE = Buffer.alloc(1, 1)
/** Records read before others get their turn. */
const READ_AT_ONCE = 500

/** Kinds of changes that need room. */
const GROWS: Readonly<Record<SessionChange['kind'], boolean>> = {
  subscribe: true,
  unsubscribe: false,
  enqueue: true,
  release: false,
  remove: false,
  received: true,
  forgetReceived: false,
  used: false,
  endSession: false,
  retain: true,
  will: true,
  forgetWill: false,
}

export class LmdbSessions implements SessionStore {
  readonly #engine: Engine
  readonly #out = new ByteWriter(1024)
  readonly #active = new Map<string, ActiveSession>()
  #closed = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  write(changes: readonly SessionChange[]): Promise<void> {
    this.#open()
    const { groups } = this.#engine
    const grows = changes.some((change) => GROWS[change.kind])
    if (grows) this.#engine.makeSureOfRoom(changes.reduce((sum, change) => sum + sizeOf(change), 0))
    const group = groups.enter(grows)
    for (const change of changes) this.#apply(change, group)
    return this.#settled(group)
  }

  async #settled(group: Group): Promise<void> {
    try {
      await group.done
    } catch (error) {
      this.#active.clear()
      if (error instanceof OutcomeUnknown || error instanceof StoreUnavailable) throw error
      throw new OutcomeUnknown('the store failed while it stored', { cause: error })
    }
  }

  #apply(change: SessionChange, group: Group): void {
    const { sessionItems, retained, wills } = this.#engine.tables
    switch (change.kind) {
      case 'retain': {
        const key = textHash(change.message.topic)
        if (change.message.payload.length === 0) group.writes.push(() => void retained.remove(key))
        else put(group, retained, key, encodeMessage(this.#out, change.message))
        return
      }
      case 'will':
        put(group, wills, deviceKey(change.client), encodeMessage(this.#out, change.message))
        return
      case 'forgetWill':
        group.writes.push(() => void wills.remove(deviceKey(change.client)))
        return
      case 'endSession':
        this.#end(change.client, group)
        return
      case 'subscribe': {
        const { number } = this.#touch(change.client, group)
        put(group, sessionItems, subscriptionKey(number, change.filter), encodeSubscription(this.#out, change))
        return
      }
      case 'unsubscribe': {
        const { number } = this.#touch(change.client, group)
        group.writes.push(() => void sessionItems.remove(subscriptionKey(number, change.filter)))
        return
      }
      case 'received': {
        const { number } = this.#touch(change.client, group)
        put(group, sessionItems, receivedKey(number, change.packetId), ONE)
        return
      }
      case 'forgetReceived': {
        const { number } = this.#touch(change.client, group)
        group.writes.push(() => void sessionItems.remove(receivedKey(number, change.packetId)))
        return
      }
      case 'enqueue': {
        const { message } = change
        const session = this.#touch(change.client, group)
        session.next = message.number + 1
        session.count++
        session.bytes += sizeOf(change)
        const value = encodeMessage(this.#out, message, message.released)
        put(group, sessionItems, queuedKey(session.number, message.number), value)
        return
      }
      case 'release': {
        const session = this.#touch(change.client, group)
        session.bytes -= change.bytes
        const stub = { topic: '', payload: ONE.subarray(1), qos: 2, retain: false } as const
        const key = queuedKey(session.number, change.number)
        put(group, sessionItems, key, encodeMessage(this.#out, stub, true))
        return
      }
      case 'remove': {
        const session = this.#touch(change.client, group)
        session.count -= change.numbers.length
        session.bytes -= change.bytes
        for (const number of change.numbers) {
          group.writes.push(() => void sessionItems.remove(queuedKey(session.number, number)))
        }
        return
      }
      case 'used': {
        const session = this.#touch(change.client, group)
        session.usedAt = change.at
        session.sent = change.sent
      }
    }
  }

  /** The session, which the group will write. */
  #touch(client: string, group: Group): ActiveSession {
    let session = this.#active.get(client)
    if (session === undefined || session.ended) {
      const marks = session === undefined ? this.#read(client) : null
      session = { ...(marks ?? this.#fresh()), group: 0, ended: false }
      this.#active.set(client, session)
    }
    if (session.group === group.number) return session
    session.group = group.number
    const touched = session
    group.writes.push(() => {
      if (!touched.ended) void this.#engine.tables.sessions.put(deviceKey(client), encodeMarks(this.#out, touched))
    })
    group.effects.push(() => this.#rest(client, touched, group))
    return session
  }

  #fresh(): SessionMarks {
    const number = this.#engine.takeNumber()
    return { number, usedAt: this.#engine.clock.now(), next: 1, count: 0, bytes: 0, sent: 0 }
  }

  #end(client: string, group: Group): void {
    const active = this.#active.get(client)
    if (active?.ended === true) return
    const marks = active ?? this.#read(client)
    if (marks === null) return
    const ended: ActiveSession = active ?? { ...marks, group: 0, ended: true }
    ended.ended = true
    ended.group = group.number
    this.#active.set(client, ended)
    group.writes.push(() => {
      void this.#engine.tables.sessions.remove(deviceKey(client))
      void this.#engine.tables.garbage.put(numberKey(ended.number), ONE)
    })
    group.effects.push(() => this.#rest(client, ended, group))
  }

  /** Its record is on the disk. */
  #rest(client: string, session: ActiveSession, group: Group): void {
    if (session.group === group.number && this.#active.get(client) === session) this.#active.delete(client)
  }

  #read(client: string): SessionMarks | null {
    const record = this.#engine.tables.sessions.get(deviceKey(client))
    return record === undefined ? null : decodeMarks(record)
  }

  async *sessions(): AsyncIterable<StoredSession> {
    this.#open()
    const { sentBefore, tables } = this.#engine
    let read = 0
    for (const { key, value } of tables.sessions.getRange({})) {
      const { number, ...marks } = decodeMarks(value)
      const subscriptions: StoredSubscription[] = []
      const received: number[] = []
      const end = queuedKey(number, 0)
      for (const item of tables.sessionItems.getRange({ start: numberKey(number), end })) {
        if (itemKind(item.key) === ITEM.subscription) subscriptions.push(decodeSubscription(item.value))
        else received.push(itemPacketId(item.key))
      }
      // After an unclean stop it is not known what was sent last.
      const sent = sentBefore > 0 ? marks.next - 1 : marks.sent
      yield { client: key.toString('utf8'), ...marks, sent, subscriptions, received }
      if (++read % READ_AT_ONCE === 0) await othersTurn()
    }
  }

  async *retained(): AsyncIterable<OrdinaryMessage> {
    this.#open()
    let read = 0
    for (const { value } of this.#engine.tables.retained.getRange({})) {
      yield messageOf(value)
      if (++read % READ_AT_ONCE === 0) await othersTurn()
    }
  }

  async *wills(): AsyncIterable<{ readonly client: string; readonly message: OrdinaryMessage }> {
    this.#open()
    let read = 0
    for (const { key, value } of this.#engine.tables.wills.getRange({})) {
      yield { client: key.toString('utf8'), message: messageOf(value) }
      if (++read % READ_AT_ONCE === 0) await othersTurn()
    }
  }

  async queue(client: string, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]> {
    this.#open()
    const active = this.#active.get(client)
    const number = active === undefined ? this.#read(client)?.number : active.ended ? undefined : active.number
    if (number === undefined) return []
    const messages: QueuedMessage[] = []
    let bytes = 0
    const start = queuedKey(number, after + 1)
    const end = numberKey(number + 1)
    for (const { key, value } of this.#engine.tables.sessionItems.getRange({ start, end, limit })) {
      const message = decodeQueued(itemPlace(key), Buffer.from(value))
      messages.push(message)
      bytes += ordinarySize(message)
      if (bytes >= maxBytes) break
    }
    return Promise.resolve(messages)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  #open(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    if (this.#engine.groups.halted) throw new StoreUnavailable('the store has stopped after an internal error')
  }
}

function put(group: Group, table: Engine['tables']['sessions'], key: Buffer, value: Buffer): void {
  group.writes.push(() => void table.put(key, value))
}

function messageOf(value: Buffer): OrdinaryMessage {
  const { topic, payload, qos, retain } = decodeMessage(Buffer.from(value))
  return { topic, payload, qos, retain }
}

/** Bytes of what a change adds. */
const sizeOf = (change: SessionChange): number => ('message' in change ? ordinarySize(change.message) : 0)

const othersTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
