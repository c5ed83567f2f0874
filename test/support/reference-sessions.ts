import { StoreUnavailable } from '../../core/errors.js'
import { ordinarySize, type OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type {
  QueuedMessage,
  SessionChange,
  SessionStore,
  StoredSession,
  StoredSubscription,
} from '../../core/ports/session-store.js'
import type { Clock } from '../../core/clock.js'

interface Session {
  readonly subscriptions: Map<string, StoredSubscription>
  readonly received: Set<number>
  readonly queue: Map<number, QueuedMessage>
  usedAt: number
  next: number
  bytes: number
  sent: number
}

/** What outlives a close. */
export interface ReferenceSessionsState {
  readonly sessions: Map<string, Session>
  readonly retained: Map<string, OrdinaryMessage>
  readonly wills: Map<string, OrdinaryMessage>
}

export const newSessionsState = (): ReferenceSessionsState => ({
  sessions: new Map(),
  retained: new Map(),
  wills: new Map(),
})

/** How writes end; each write asks. */
export interface ReferenceTrouble {
  /** `refused`: throws. `lost`: the promise rejects. */
  readonly outcome: () => 'stored' | 'refused' | 'lost'
  /** Waited for before a write is stored. */
  readonly delay?: () => Promise<void>
}

/** A session store in memory, the contract and nothing more. */
export function createReferenceSessions(
  { sessions, retained, wills }: ReferenceSessionsState,
  clock: Clock,
  trouble: ReferenceTrouble = { outcome: () => 'stored' },
): SessionStore {
  let closed = false
  let last: Promise<void> = Promise.resolve()
  const check = (): void => {
    if (closed) throw new StoreUnavailable('the store is closed')
  }
  const touch = (client: string): Session => {
    const found = sessions.get(client)
    if (found !== undefined) return found
    const made: Session = {
      subscriptions: new Map(),
      received: new Set(),
      queue: new Map(),
      usedAt: clock.now(),
      next: 1,
      bytes: 0,
      sent: 0,
    }
    sessions.set(client, made)
    return made
  }
  const copy = <M extends OrdinaryMessage | QueuedMessage>(message: M): M => ({
    ...message,
    payload: Uint8Array.from(message.payload),
  })

  function apply(change: SessionChange): void {
    switch (change.kind) {
      case 'subscribe':
        {
          const { filter, qos, options } = change
          const { subscriptions } = touch(change.client)
          subscriptions.set(filter, options === undefined ? { filter, qos } : { filter, qos, options })
        }
        return
      case 'unsubscribe':
        touch(change.client).subscriptions.delete(change.filter)
        return
      case 'enqueue': {
        const session = touch(change.client)
        session.queue.set(change.message.number, copy(change.message))
        session.next = change.message.number + 1
        session.bytes += ordinarySize(change.message)
        return
      }
      case 'release': {
        const session = touch(change.client)
        const { number } = change
        session.bytes -= change.bytes
        const stub = { number, topic: '', payload: new Uint8Array(0), qos: 2, retain: false, released: true } as const
        session.queue.set(number, stub)
        return
      }
      case 'remove': {
        const session = touch(change.client)
        session.bytes -= change.bytes
        for (const number of change.numbers) session.queue.delete(number)
        return
      }
      case 'received':
        touch(change.client).received.add(change.packetId)
        return
      case 'forgetReceived':
        touch(change.client).received.delete(change.packetId)
        return
      case 'used': {
        const session = touch(change.client)
        session.usedAt = change.at
        session.sent = change.sent
        return
      }
      case 'endSession':
        sessions.delete(change.client)
        return
      case 'retain':
        if (change.message.payload.length === 0) retained.delete(change.message.topic)
        else retained.set(change.message.topic, copy(change.message))
        return
      case 'will':
        wills.set(change.client, copy(change.message))
        return
      case 'forgetWill':
        wills.delete(change.client)
    }
  }

  const viewOf = (client: string, session: Session): StoredSession => ({
    client,
    subscriptions: [...session.subscriptions.values()],
    received: [...session.received],
    usedAt: session.usedAt,
    next: session.next,
    count: session.queue.size,
    bytes: session.bytes,
    sent: session.sent,
  })

  return {
    write(changes) {
      check()
      const outcome = trouble.outcome()
      if (outcome === 'refused') throw new StoreUnavailable('no room')
      const before = last
      const write = async (): Promise<void> => {
        await before.catch(() => {})
        await trouble.delay?.()
        if (outcome === 'lost') throw new StoreUnavailable('lost')
        for (const change of changes) apply(change)
      }
      last = write()
      last.catch(() => {})
      return last
    },
    async *sessions() {
      check()
      for (const [client, session] of sessions) yield viewOf(client, session)
    },
    async *retained() {
      check()
      yield* retained.values()
    },
    async *wills() {
      check()
      for (const [client, message] of wills) yield { client, message }
    },
    async queue(client, after, limit, maxBytes) {
      check()
      const found: QueuedMessage[] = []
      let bytes = 0
      const queue = [...(sessions.get(client)?.queue.values() ?? [])].toSorted((a, b) => a.number - b.number)
      for (const message of queue) {
        if (message.number <= after) continue
        if (found.length >= limit || bytes >= maxBytes) break
        found.push(message)
        bytes += ordinarySize(message)
      }
      return found
    },
    async close() {
      closed = true
    },
  }
}
