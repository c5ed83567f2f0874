import type { Test } from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import { ordinarySize, type OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { QueuedMessage, SessionChange, SessionStore, StoredSession } from '../../core/ports/session-store.js'
import { openStore as openAnyStore, type StoreFactory, type StoreHandle, type StoreOptions } from './factory.js'
import { range } from './messages.js'

const ordinary = (topic: string, payload = 'x', fields: Partial<OrdinaryMessage> = {}): OrdinaryMessage => ({
  topic,
  payload: Buffer.from(payload),
  qos: 1,
  retain: false,
  ...fields,
})
const queued = (number: number, payload = `m${number}`, fields: Partial<QueuedMessage> = {}): QueuedMessage => ({
  number,
  topic: 't',
  payload: Buffer.from(payload),
  qos: 1,
  retain: false,
  released: false,
  ...fields,
})
const enqueue = (client: string, number: number, payload?: string, fields?: Partial<QueuedMessage>): SessionChange => ({
  kind: 'enqueue',
  client,
  message: queued(number, payload, fields),
})
const remove = (client: string, ...numbers: number[]): SessionChange => ({
  kind: 'remove',
  client,
  numbers,
  bytes: numbers.reduce((sum, number) => sum + ordinarySize(queued(number)), 0),
})

type OwnStore = StoreHandle & { readonly sessions: SessionStore }
const isOwn = (store: StoreHandle): store is OwnStore => store.sessions !== null

async function openStore(t: Test, factory: StoreFactory, options: StoreOptions = {}): Promise<OwnStore> {
  const store = await openAnyStore(t, factory, options)
  if (!isOwn(store)) throw new Error(`${factory.name} has no sessions of one writer`)
  return store
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const value of values) list.push(value)
  return list
}

type Outline = Omit<StoredSession, 'client' | 'usedAt' | 'sent'>

/** Sessions by client: what does not depend on the time, nor on how much the store forgot of what was sent. */
async function sessions(store: SessionStore): Promise<Record<string, Outline>> {
  const found: Record<string, Outline> = {}
  for await (const { client, usedAt: _usedAt, sent: _sent, ...rest } of store.sessions()) {
    found[client] = {
      ...rest,
      subscriptions: rest.subscriptions.toSorted((a, b) => (a.filter < b.filter ? -1 : 1)),
      received: rest.received.toSorted((a, b) => a - b),
    }
  }
  return found
}

const plain = <M extends { readonly payload: Uint8Array }>(m: M) => ({
  ...m,
  payload: Buffer.from(m.payload).toString(),
})
const read = async (store: SessionStore, client: string, after = 0, limit = 1_000, maxBytes = 1e9) =>
  (await store.queue(client, after, limit, maxBytes)).map(plain)
const numbers = async (store: SessionStore, client: string, after = 0, limit = 1_000, maxBytes = 1e9) =>
  (await store.queue(client, after, limit, maxBytes)).map(({ number }) => number)

const EMPTY = { subscriptions: [], received: [], next: 1, count: 0, bytes: 0 }

/** The SessionStore port. */
export function sessionStoreConformance(t: Test, factory: StoreFactory): void {
  t.test('session store: subscriptions are kept, replaced, and taken away', async (t) => {
    const store = await openStore(t, factory)
    const subscribe = (client: string, filter: string, qos: 0 | 1 | 2) => ({
      kind: 'subscribe' as const,
      client,
      filter,
      qos,
    })
    const long = `${'ä'.repeat(30_000)}/#`
    await store.sessions.write([subscribe('a', 'x/+', 0), subscribe('a', long, 2), subscribe('b', 'x/+', 1)])
    await store.sessions.write([
      { ...subscribe('b', 'y', 1), options: '{"of": "ä"}' },
      { ...subscribe('b', 'z', 1), options: 'gone with the next' },
    ])
    await store.sessions.write([
      subscribe('b', 'z', 0),
      subscribe('a', 'x/+', 2),
      { kind: 'unsubscribe', client: 'b', filter: 'x/+' },
    ])
    const expected = {
      a: {
        ...EMPTY,
        subscriptions: [
          { filter: 'x/+', qos: 2 },
          { filter: long, qos: 2 },
        ],
      },
      b: {
        ...EMPTY,
        subscriptions: [
          { filter: 'y', qos: 1, options: '{"of": "ä"}' },
          { filter: 'z', qos: 0 },
        ],
      },
    }
    t.strictSame(await sessions(store.sessions), expected)
    await store.reopen()
    t.strictSame(await sessions(store.sessions), expected, 'after reopen')
    t.strictSame(await all(store.sessions.retained()), [])
  })

  t.test('session store: ids are data, whatever they are', async (t) => {
    const store = await openStore(t, factory)
    const ids = ['__proto__', 'constructor', 'a', 'ab', 'ä/ +#', '\u{1F4E8}'.repeat(100)]
    for (const client of ids) await store.sessions.write([enqueue(client, 1, client)])
    await store.sessions.write([{ kind: 'endSession', client: 'a' }])
    await store.reopen()
    t.strictSame(
      (await all(store.sessions.sessions())).map(({ client }) => client).toSorted(),
      ids.filter((id) => id !== 'a').toSorted(),
    )
    t.strictSame(await read(store.sessions, 'a'), [])
    t.strictSame(await read(store.sessions, 'ab'), [{ ...queued(1), payload: 'ab' }])
  })

  t.test('session store: a queue is read in order, from any place, in pages', async (t) => {
    const store = await openStore(t, factory)
    const binary = Buffer.from([0, 255, 128, 10])
    await store.sessions.write(range(1, 300).map((n) => enqueue('a', n)))
    await store.sessions.write([
      enqueue('a', 301, '', { topic: 'ä/ö', qos: 2, retain: true }),
      { kind: 'enqueue', client: 'a', message: queued(302, '', { payload: binary }) },
      enqueue('b', 1, 'of another'),
    ])
    await store.reopen()
    t.strictSame(await numbers(store.sessions, 'a'), range(1, 302))
    t.strictSame(await numbers(store.sessions, 'a', 250, 10), range(251, 260))
    t.strictSame(await numbers(store.sessions, 'a', 302), [])
    t.strictSame(await numbers(store.sessions, 'a', 0, 1_000, 7), [1, 2, 3], 'no more once there are so many bytes')
    t.strictSame(await numbers(store.sessions, 'nobody'), [])
    const [first, , last] = await store.sessions.queue('a', 299, 10, 1e9)
    t.strictSame(first && plain(first), { ...queued(300), payload: 'm300' })
    t.strictSame((await read(store.sessions, 'a', 300, 1))[0], {
      ...queued(301, '', { topic: 'ä/ö', qos: 2, retain: true }),
      payload: '',
    })
    t.ok(last !== undefined && Buffer.from(last.payload).equals(binary))
    const bytes = range(1, 300).reduce((sum, n) => sum + ordinarySize(queued(n)), 0) + 3 + 5
    t.match((await sessions(store.sessions))['a'], { next: 303, count: 302, bytes })
  })

  t.test('session store: what is removed is gone, and numbers go on', async (t) => {
    const store = await openStore(t, factory)
    await store.sessions.write(range(1, 5).map((n) => enqueue('a', n)))
    await store.sessions.write([remove('a', 2, 4)])
    t.strictSame(await numbers(store.sessions, 'a'), [1, 3, 5])
    await store.sessions.write([remove('a', 1, 3, 5)])
    t.strictSame(await sessions(store.sessions), { a: { ...EMPTY, next: 6 } })
    await store.reopen()
    t.strictSame(await sessions(store.sessions), { a: { ...EMPTY, next: 6 } }, 'after reopen')
    await store.sessions.write([enqueue('a', 6)])
    t.strictSame(await numbers(store.sessions, 'a'), [6])
  })

  t.test('session store: a released message keeps its place and nothing else', async (t) => {
    const store = await openStore(t, factory)
    await store.sessions.write([enqueue('a', 1, 'one', { qos: 2 }), enqueue('a', 2, 'two', { qos: 2 })])
    await store.sessions.write([{ kind: 'release', client: 'a', number: 1, bytes: 4 }])
    await store.reopen()
    const [first, second] = await read(store.sessions, 'a')
    t.strictSame(first, { number: 1, topic: '', payload: '', qos: 2, retain: false, released: true })
    t.match(second, { number: 2, payload: 'two', released: false })
    t.match((await sessions(store.sessions))['a'], { count: 2, bytes: 4 })
    await store.sessions.write([{ kind: 'remove', client: 'a', numbers: [1], bytes: 0 }])
    t.match((await sessions(store.sessions))['a'], { count: 1, bytes: 4 })
  })

  t.test('session store: received packet ids and marks', async (t) => {
    const store = await openStore(t, factory)
    const received = (packetId: number): SessionChange => ({ kind: 'received', client: 'a', packetId })
    await store.sessions.write([received(1), received(65_535), received(7), received(7)])
    await store.sessions.write([{ kind: 'forgetReceived', client: 'a', packetId: 1 }])
    await store.sessions.write(range(1, 20).map((n) => enqueue('a', n)))
    await store.sessions.write([{ kind: 'used', client: 'a', at: 1_700_000_000_000, sent: 12 }])
    await store.reopen()
    const [session] = await all(store.sessions.sessions())
    t.match(session, { client: 'a', usedAt: 1_700_000_000_000 })
    t.ok(session !== undefined && session.sent >= 12 && session.sent <= 20, 'those that were sent, or perhaps more')
    t.strictSame(
      session?.received.toSorted((a, b) => a - b),
      [7, 65_535],
    )
  })

  t.test('session store: an ended session leaves nothing to the next one of its client', async (t) => {
    const store = await openStore(t, factory)
    await store.sessions.write([
      { kind: 'subscribe', client: 'a', filter: 'f', qos: 1 },
      { kind: 'received', client: 'a', packetId: 3 },
      ...range(1, 50).map((n) => enqueue('a', n)),
      enqueue('b', 1),
    ])
    // In one go, without waiting: the new session is another one.
    const ended = store.sessions.write([{ kind: 'endSession', client: 'a' }])
    const again = store.sessions.write([enqueue('a', 1, 'new')])
    await Promise.all([ended, again])
    const expected = { ...EMPTY, next: 2, count: 1, bytes: 4 }
    t.strictSame((await sessions(store.sessions))['a'], expected)
    t.strictSame(
      (await read(store.sessions, 'a')).map(({ payload }) => payload),
      ['new'],
    )
    await store.sessions.write([
      { kind: 'endSession', client: 'a' },
      { kind: 'endSession', client: 'a' },
      { kind: 'endSession', client: 'never' },
      enqueue('a', 1, 'newer'),
      { kind: 'endSession', client: 'b' },
    ])
    await store.reopen()
    t.strictSame(Object.keys(await sessions(store.sessions)), ['a'])
    t.strictSame(
      (await read(store.sessions, 'a')).map(({ payload }) => payload),
      ['newer'],
    )
  })

  t.test('session store: retained messages and wills', async (t) => {
    const store = await openStore(t, factory)
    const retain = (m: OrdinaryMessage): SessionChange => ({ kind: 'retain', message: m })
    const long = 'l'.repeat(60_000)
    await store.sessions.write([
      retain(ordinary('a', 'one', { retain: true })),
      retain(ordinary(long, 'two', { retain: true, qos: 2 })),
      retain(ordinary('b', 'gone', { retain: true })),
      { kind: 'will', client: 'c', message: ordinary('w', 'first') },
      { kind: 'will', client: 'd', message: ordinary('w', 'of d') },
    ])
    await store.sessions.write([
      retain(ordinary('a', 'last', { retain: true, qos: 0 })),
      retain(ordinary('b', '', { retain: true })),
      retain(ordinary('never', '', { retain: true })),
      { kind: 'will', client: 'c', message: ordinary('w2', '', { qos: 2, retain: true }) },
      { kind: 'forgetWill', client: 'd' },
    ])
    await store.reopen()
    const retained = (await all(store.sessions.retained())).map(plain).toSorted((a, b) => (a.topic < b.topic ? -1 : 1))
    t.strictSame(retained, [
      { topic: 'a', payload: 'last', qos: 0, retain: true },
      { topic: long, payload: 'two', qos: 2, retain: true },
    ])
    const wills = await all(store.sessions.wills())
    t.strictSame(
      wills.map(({ client, message }) => ({ client, ...plain(message) })),
      [{ client: 'c', topic: 'w2', payload: '', qos: 2, retain: true }],
    )
    t.strictSame(await all(store.sessions.sessions()), [], 'a will is no session')
  })

  t.test('session store: writes take effect and resolve in the order of the calls', async (t) => {
    const store = await openStore(t, factory)
    const order: number[] = []
    const writes = range(1, 100).map((n) =>
      store.sessions.write([enqueue('a', n), ...(n % 3 === 0 ? [remove('a', n - 1)] : [])]).then(() => order.push(n)),
    )
    await Promise.all(writes)
    t.strictSame(order, range(1, 100))
    t.strictSame(
      await numbers(store.sessions, 'a'),
      range(1, 100).filter((n) => n % 3 !== 2 || n === 100),
    )
  })

  t.test('session store: closed, every call is refused with StoreUnavailable', async (t) => {
    const store = await openStore(t, factory)
    const { sessions: port } = store
    await port.write([enqueue('a', 1)])
    await port.close()
    await port.close()
    t.throws(() => void port.write([enqueue('a', 2)]), StoreUnavailable)
    await t.rejects(port.queue('a', 0, 1, 1), StoreUnavailable)
    await t.rejects(all(port.sessions()), StoreUnavailable)
    await t.rejects(all(port.retained()), StoreUnavailable)
    await t.rejects(all(port.wills()), StoreUnavailable)
  })
}
