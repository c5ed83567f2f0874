// The SessionStore port on Redis. All of it shares one hash tag, because a write is one step over many sessions; so it is on one
// server of a cluster, and for one writer (`--role all`). Writes go out one after the other; what comes meanwhile shares the next.

import { StoreUnavailable } from '../../errors.js'
import { type OrdinaryMessage, ordinarySize } from '../../model/ordinary-message.js'
import type {
  QueuedMessage,
  SessionChange,
  SessionStore,
  StoredSession,
  StoredSubscription,
} from '../../ports/session-store.js'
import type { Argument } from './connections.js'
import { ask, changeKeys, type StoreContext } from './device-scripts.js'
import { sessionFiltersKey, sessionKey, sessionQueueKey, sessionReceivedKey, SESSIONS_KEYS } from './keys.js'
import { bytesOf, listOf, numberOf, textOf } from './reply.js'
import {
  decodeMessage,
  decodeQueued,
  decodeSubscription,
  encodeMessage,
  encodeQueued,
  encodeSubscription,
} from './session-codec.js'

interface Waiting {
  readonly changes: readonly SessionChange[]
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** Reads go in pages of so many. */
const PAGE = 100
/** Writes share a step up to about here. */
const STEP_CHANGES = 2_000

/** A plain command of lua/sessions-write.lua. */
type PlainCommand = readonly [name: string, key: string, ...args: Argument[]]

export class RedisSessions implements SessionStore {
  readonly #context: StoreContext
  #waiting: Waiting[] = []
  #running: Promise<void> | null = null
  #closed = false

  constructor(context: StoreContext) {
    this.#context = context
  }

  write(changes: readonly SessionChange[]): Promise<void> {
    this.#check()
    if (!this.#context.connections.canSend(SESSIONS_KEYS.clients)) throw new StoreUnavailable('Redis cannot be reached')
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      let count = 0
      let changes = 0
      for (const write of this.#waiting) {
        changes += write.changes.length
        if (count > 0 && changes > STEP_CHANGES) break
        count++
      }
      const step = this.#waiting.slice(0, count)
      this.#waiting = this.#waiting.slice(count)
      try {
        await this.#store(step.flatMap((write) => write.changes))
        for (const { resolve } of step) resolve()
      } catch (error) {
        // The writer reads everything again; what it decided on top of this is void.
        const all = [...step, ...this.#waiting]
        this.#waiting = []
        for (const { reject } of all) reject(error)
      }
    }
    // In the same turn as the last look at what waits: what comes later starts anew.
    this.#running = null
  }

  async #store(changes: readonly SessionChange[]): Promise<void> {
    const places = new Map<string, number>()
    const args: Argument[] = []
    for (const [name, key, ...rest] of changes.flatMap(commandsOf)) {
      const place = places.get(key) ?? places.size + 1
      places.set(key, place)
      args.push(name, place, rest.length, ...rest)
    }
    if (args.length > 0) await changeKeys(this.#context, 'sessions-write', [...places.keys()], args)
  }

  async *sessions(): AsyncGenerator<StoredSession> {
    for await (const clients of this.#scan('sscan', SESSIONS_KEYS.clients)) {
      yield* await Promise.all(clients.map((client) => this.#session(textOf(client))))
    }
  }

  async #session(client: string): Promise<StoredSession> {
    const [fields, subscriptions, received] = await Promise.all([
      ask(this.#context, 'hmget', [sessionKey(client), 'next', 'count', 'bytes', 'used', 'sent']),
      this.#subscriptions(client),
      ask(this.#context, 'smembers', [sessionReceivedKey(client)]),
    ])
    const [next = 0, count = 0, bytes = 0, usedAt = 0, sent = 0] = listOf(fields).map((value) =>
      value === null ? 0 : numberOf(value),
    )
    return {
      client,
      subscriptions,
      received: listOf(received).map(numberOf),
      usedAt,
      next: Math.max(1, next),
      count,
      bytes,
      sent,
    }
  }

  async #subscriptions(client: string): Promise<readonly StoredSubscription[]> {
    const found: StoredSubscription[] = []
    for await (const fields of this.#scan('hscan', sessionFiltersKey(client))) {
      for (let i = 1; i < fields.length; i += 2)
        found.push(decodeSubscription(textOf(fields[i - 1]), textOf(fields[i])))
    }
    return found
  }

  async *retained(): AsyncGenerator<OrdinaryMessage> {
    for await (const fields of this.#scan('hscan', SESSIONS_KEYS.retained)) {
      for (let i = 1; i < fields.length; i += 2) yield decodeMessage(bytesOf(fields[i]))
    }
  }

  async *wills(): AsyncGenerator<{ readonly client: string; readonly message: OrdinaryMessage }> {
    for await (const fields of this.#scan('hscan', SESSIONS_KEYS.wills)) {
      for (let i = 1; i < fields.length; i += 2) {
        yield { client: textOf(fields[i - 1]), message: decodeMessage(bytesOf(fields[i])) }
      }
    }
  }

  /** Each member once. */
  async *#scan(name: 'sscan' | 'hscan', key: string): AsyncGenerator<readonly unknown[]> {
    this.#check()
    const step = name === 'sscan' ? 1 : 2
    const seen = new Set<string>()
    for (let cursor = '0'; ;) {
      const [next, found] = listOf(await ask(this.#context, name, [key, cursor, 'COUNT', PAGE]))
      const fresh: unknown[] = []
      const members = listOf(found)
      for (let i = 0; i < members.length; i += step) {
        const member = textOf(members[i])
        if (seen.has(member)) continue
        seen.add(member)
        fresh.push(...members.slice(i, i + step))
      }
      yield fresh
      cursor = textOf(next)
      if (cursor === '0') return
    }
  }

  async queue(client: string, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]> {
    this.#check()
    const messages: QueuedMessage[] = []
    let bytes = 0
    for (let from = after; ;) {
      const want = Math.min(PAGE, limit - messages.length)
      const args = [sessionQueueKey(client), `(${from}`, '+inf', 'LIMIT', 0, want] as const
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

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  #check(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }
}

/** The session is there from now on. */
function made(client: string): readonly PlainCommand[] {
  return [['sadd', SESSIONS_KEYS.clients, client]]
}

function commandsOf(change: SessionChange): readonly PlainCommand[] {
  switch (change.kind) {
    case 'subscribe':
      return [
        ...made(change.client),
        ['hset', sessionFiltersKey(change.client), change.filter, encodeSubscription(change)],
      ]
    case 'unsubscribe':
      return [...made(change.client), ['hdel', sessionFiltersKey(change.client), change.filter]]
    case 'enqueue': {
      const { client, message } = change
      return [
        ...made(client),
        ['zadd', sessionQueueKey(client), message.number, encodeQueued(message)],
        ['hset', sessionKey(client), 'next', message.number + 1],
        ['hincrby', sessionKey(client), 'count', 1],
        ['hincrby', sessionKey(client), 'bytes', ordinarySize(message)],
      ]
    }
    case 'release': {
      const { client, number, bytes } = change
      const released = { number, topic: '', payload: Buffer.alloc(0), qos: 2, retain: false, released: true } as const
      return [
        ...made(client),
        ['zremrangebyscore', sessionQueueKey(client), number, number],
        ['zadd', sessionQueueKey(client), number, encodeQueued(released)],
        ['hincrby', sessionKey(client), 'bytes', -bytes],
      ]
    }
    case 'remove': {
      const { client, numbers, bytes } = change
      return [
        ...made(client),
        ...numbers.map((number): PlainCommand => ['zremrangebyscore', sessionQueueKey(client), number, number]),
        ['hincrby', sessionKey(client), 'count', -numbers.length],
        ['hincrby', sessionKey(client), 'bytes', -bytes],
      ]
    }
    case 'received':
      return [...made(change.client), ['sadd', sessionReceivedKey(change.client), change.packetId]]
    case 'forgetReceived':
      return [...made(change.client), ['srem', sessionReceivedKey(change.client), change.packetId]]
    case 'used':
      return [
        ...made(change.client),
        ['hset', sessionKey(change.client), 'used', change.at],
        ['hset', sessionKey(change.client), 'sent', change.sent],
      ]
    case 'endSession':
      return [
        ['srem', SESSIONS_KEYS.clients, change.client],
        ...[sessionKey, sessionFiltersKey, sessionReceivedKey, sessionQueueKey].map((key): PlainCommand => [
          'unlink',
          key(change.client),
        ]),
      ]
    case 'retain':
      return change.message.payload.byteLength === 0
        ? [['hdel', SESSIONS_KEYS.retained, change.message.topic]]
        : [['hset', SESSIONS_KEYS.retained, change.message.topic, encodeMessage(change.message)]]
    case 'will':
      return [['hset', SESSIONS_KEYS.wills, change.client, encodeMessage(change.message)]]
    case 'forgetWill':
      return [['hdel', SESSIONS_KEYS.wills, change.client]]
    default:
      throw change satisfies never
  }
}
