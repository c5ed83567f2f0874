// What several nodes that write the same sessions may rely on. Every test has two nodes, each on a connection of its own.

import type { Test } from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { SharedLimits, SharedSessions } from '../../core/ports/shared-sessions.js'
import { subscription, TestNode } from '../support/pubsub/shared-node.js'
import { until } from '../support/road/wait.js'
import { openStore, type StoreFactory, type StoreHandle } from './factory.js'
import { range } from './messages.js'

const SIGNAL = new AbortController().signal
export const message = (topic: string, text = 'x', qos: 0 | 1 | 2 = 1, retain = false): OrdinaryMessage => ({
  topic,
  payload: Buffer.from(text),
  qos,
  retain,
})

export interface Rig {
  readonly a: TestNode
  readonly b: TestNode
  readonly store: StoreHandle
  readonly shared: SharedSessions
  /** Another process on the same store. */
  readonly another: () => Promise<SharedSessions>
  readonly cutOff: (sessions: SharedSessions) => Promise<void>
  readonly takeForDead: (node: string) => Promise<void>
  /** The texts in a client's queue. */
  readonly queue: (client: string) => Promise<readonly string[]>
}

export async function rig(t: Test, factory: StoreFactory, sharedLimits: Partial<SharedLimits> = {}): Promise<Rig> {
  const store = await openStore(t, factory, { sharedLimits })
  const { shared, openAgain, cutOff, takeForDead } = store
  if (shared === undefined || openAgain === undefined || cutOff === undefined || takeForDead === undefined) {
    throw new Error(`${factory.name} is of one process`)
  }
  const a = await TestNode.join(shared)
  const b = await TestNode.join(await openAgain())
  const queue = async (client: string): Promise<readonly string[]> =>
    (await b.node.queue(client, 0, 10_000, 1e9)).map(({ payload }) => Buffer.from(payload).toString())
  return { a, b, store, shared, another: openAgain, cutOff, takeForDead, queue }
}

export function sharedSessionsConformance(t: Test, factory: StoreFactory): void {
  const name = (what: string): string => `${factory.name}: shared sessions: ${what}`

  t.test(name('a message goes to every matching session and node once, with the highest QoS'), async (t) => {
    const { a, b, queue } = await rig(t, factory)
    await a.open('one', '1')
    await a.node.subscribe({ client: 'one', conn: '1' }, true, [subscription('x/#', 0), subscription('x/+', 2)])
    await b.session('two', '2', '+/a', 'x/a')
    await b.open('clean', '3', { clean: true })
    await b.node.subscribe({ client: 'clean', conn: '3' }, false, [subscription('#'), subscription('x/a/#')])
    await a.node.publish(message('x/a', 'hello', 2), null)
    await a.node.publish(message('x', 'parent', 1), null)
    await a.node.publish(message('none/of/them', 'no'), null)
    await a.node.publish(message('$x/a', 'hidden'), null)
    await until('all', () => a.got.length >= 2 && b.got.length >= 4)
    t.strictSame(a.got, ['one x/a hello 2 1', 'one x parent 0 0'])
    t.strictSame(b.got, ['two x/a hello 1 1', '* x/a hello 2', '* x parent 1', '* none/of/them no 1'])
    t.strictSame(await queue('one'), ['hello'])
    t.strictSame(await queue('two'), ['hello'])
  })

  t.test(name('filters and topics are data: no character means anything but / + # and a leading $'), async (t) => {
    const { a, queue } = await rig(t, factory)
    const topics = ['a*b/[c]', 'a?b\\d/{s}', '/', '//', '/a', 'a/', 'ü/💡', ' ', '%d %s', 'x'.repeat(2_000)]
    await a.session('c', '1', ...topics)
    for (const topic of topics) await a.node.publish(message(topic, topic), null)
    for (const other of ['aXb/c', 'a', 'b/', '///']) await a.node.publish(message(other, 'no'), null)
    t.strictSame(await queue('c'), topics)
    await a.node.unsubscribe({ client: 'c', conn: '1' }, topics.slice(0, 9))
    for (const topic of topics) await a.node.publish(message(topic, 'again'), null)
    t.equal((await queue('c')).length, topics.length + 1)
  })

  t.test(
    name('publishes of one node take effect in order, and come to every node in the order they took effect'),
    async (t) => {
      const { a, b, queue } = await rig(t, factory)
      await a.session('kept', '1', 't')
      for (const [node, conn] of [
        [a, '2'],
        [b, '3'],
      ] as const) {
        await node.open(`clean-${conn}`, conn, { clean: true })
        await node.node.subscribe({ client: `clean-${conn}`, conn }, false, [subscription('t')])
      }
      await Promise.all(
        range(1, 500).flatMap((n) => [
          a.node.publish(message('t', `a${n}`), null),
          b.node.publish(message('t', `b${n}`), null),
        ]),
      )
      await until('all', () => b.got.length >= 1_000 && a.got.filter((text) => text.startsWith('*')).length >= 1_000)
      const all = await queue('kept')
      t.strictSame(
        all.filter((text) => text.startsWith('a')),
        range(1, 500).map((n) => `a${n}`),
      )
      t.strictSame(
        all.filter((text) => text.startsWith('b')),
        range(1, 500).map((n) => `b${n}`),
      )
      const order = (node: TestNode): readonly string[] =>
        node.got.flatMap((text) => (text.startsWith('*') ? [text.split(' ')[2] ?? ''] : []))
      t.strictSame(order(a), all)
      t.strictSame(order(b), all)
    },
  )

  t.test(
    name('a session moves to the node where its client connects; the connection before is kicked and can do nothing'),
    async (t) => {
      const { a, b, queue } = await rig(t, factory)
      await a.session('c', '1', 't')
      for (const n of range(1, 5)) await a.node.publish(message('t', `m${n}`, 2), null)
      await a.node.publish(message('other', 'x', 2), { client: 'c', conn: '1', packetId: 7 })
      await a.node.remove([{ client: 'c', conn: '1', numbers: [1, 3] }])
      await a.node.release({ client: 'c', conn: '1' }, 2)
      const taken = await b.open('c', '2')
      t.match(taken, { subscriptions: [{ filter: 't', qos: 1 }], received: [7], next: 6, count: 3, sent: 5 })
      await until('the kick', () => a.kicked.length > 0)
      t.strictSame(a.kicked, ['1'])
      await a.node.remove([{ client: 'c', conn: '1', numbers: [4] }])
      await t.rejects(a.node.release({ client: 'c', conn: '1' }, 4), StoreUnavailable)
      await t.rejects(a.node.forgetReceived({ client: 'c', conn: '1' }, 7), StoreUnavailable)
      await t.rejects(a.node.subscribe({ client: 'c', conn: '1' }, true, [subscription('more')]), StoreUnavailable)
      await t.rejects(a.node.publish(message('t', 'no', 2), { client: 'c', conn: '1', packetId: 8 }), StoreUnavailable)
      await a.leave('c', '1')
      t.strictSame(await queue('c'), ['', 'm4', 'm5'], 'one is released')
      await a.node.publish(message('t', 'm6'), null)
      await until('it', () => b.got.length > 0)
      t.strictSame(b.got, ['c t m6 1 6'])
      await b.node.remove([{ client: 'c', conn: '2', numbers: [2] }])
      t.strictSame(await queue('c'), ['m4', 'm5', 'm6'])
      await b.leave('c', '2')
      t.match(await a.open('c', '3'), { next: 7, count: 3, sent: 0, received: [7] })
    },
  )

  t.test(name('a packet id that is noted already publishes nothing'), async (t) => {
    const { a, b, queue } = await rig(t, factory)
    await a.session('sub', '1', 't')
    await b.open('pub', '2')
    const received = { client: 'pub', conn: '2', packetId: 9 }
    await b.node.publish(message('t', 'once', 2), received)
    await b.node.publish(message('t', 'once', 2), received)
    t.strictSame(await queue('sub'), ['once'])
    await b.node.forgetReceived(received, 9)
    await b.node.publish(message('t', 'another', 2), received)
    t.strictSame(await queue('sub'), ['once', 'another'])
  })

  t.test(name('queues, retained messages and what is on its way to a node are bounded'), async (t) => {
    const limits = { queueMax: 3, queueMaxBytes: 1_000, retainedMax: 2, retainedMaxBytes: 1_000 }
    const { a, b, queue } = await rig(t, factory, limits)
    await a.session('c', '1', 't')
    await a.leave('c', '1')
    for (const n of range(1, 5)) await b.node.publish(message('t', `m${n}`), null)
    t.strictSame(await queue('c'), ['m1', 'm2', 'm3'])
    t.equal(b.drops.queue, 2)
    await a.session('big', '2', 'big')
    await b.node.publish(message('big', 'x'.repeat(990)), null)
    await b.node.publish(message('big', 'y'.repeat(10)), null)
    t.equal((await queue('big')).length, 1)
    for (const topic of ['r/1', 'r/2', 'r/3']) await b.node.publish(message(topic, topic, 1, true), null)
    t.equal(b.drops.retained, 1)
    await b.node.publish(message('r/1', 'z'.repeat(2_000), 1, true), null)
    t.equal(b.drops.retained, 2)
    await a.open('reader', '3', { clean: true })
    await a.node.sendRetained({ client: 'reader', conn: '3' }, subscription('r/#'), 1e9, SIGNAL)
    await until('them', () => a.got.some((text) => text.includes('r/2')))
    t.strictSame(
      a.got.filter((text) => text.includes(' R')),
      ['reader r/1 r/1 1 0 R', 'reader r/2 r/2 1 0 R'],
    )
  })

  t.test(name('a node that does not keep up is told, reads what is stored, and holds nobody up'), async (t) => {
    const { a, b, queue } = await rig(t, factory, { nodeMaxBytes: 2_000 })
    await b.session('c', '1', 't')
    await a.session('other', '2', 't')
    await Promise.all(range(1, 100).map((n) => a.node.publish(message('t', `${n}`), null)))
    t.equal((await queue('c')).length, 100, 'all are stored')
    t.equal((await queue('other')).length, 100)
    await until('both to know', () => a.missed > 0 && b.missed > 0)
    t.ok(a.drops.node > 0)
    t.strictSame(b.checked.at(-1), ['1', 101])
    b.got.length = 0
    await a.node.publish(message('t', 'again'), null)
    await until('it to hear again', () => b.got.length > 0)
    t.strictSame(b.got, ['c t again 1 101'])
  })

  t.test(
    name('retained messages are those of the subscription, and what changed since comes as it was published'),
    async (t) => {
      const { a, b } = await rig(t, factory)
      for (const n of range(1, 9)) await a.node.publish(message(`r/${n}`, 'old', 1, true), null)
      await a.node.publish(message('r/9', '', 1, true), null)
      await a.node.publish(message('$r/1', 'hidden', 1, true), null)
      await b.open('c', '1', { clean: true })
      const connection = { client: 'c', conn: '1' }
      const { since } = await b.node.subscribe(connection, false, [subscription('+/#', 0)])
      await a.node.publish(message('r/2', 'new', 1, true), null)
      await a.node.publish(message('r/3', '', 1, true), null)
      t.match(await b.node.sendRetained(connection, subscription('+/#', 0), since, SIGNAL), { looked: 8 })
      await b.node.sendRetained(connection, subscription('r/1', 1), since, SIGNAL)
      await b.node.sendRetained(connection, subscription('r/none', 1), since, SIGNAL)
      await until('all', () => b.got.length >= 9)
      t.strictSame(b.got, [
        '* r/2 new 1',
        '* r/3  1',
        ...[1, 4, 5, 6, 7, 8].map((n) => `c r/${n} old 0 0 R`),
        'c r/1 old 1 0 R',
      ])
    },
  )

  t.test(name('a will is published once: by who ends the connection, or takes its place'), async (t) => {
    const { a, b } = await rig(t, factory)
    await b.session('spy', 's', 'w/#')
    await a.open('polite', '1', { will: message('w/polite') })
    await a.leave('polite', '1', false)
    await a.open('broken', '2', { will: message('w/broken', 'gone', 1, true) })
    await a.leave('broken', '2', true)
    await a.leave('broken', '2', true)
    await a.open('moved', '3', { will: message('w/moved', 'of 3') })
    await b.open('moved', '4', { will: message('w/moved', 'of 4') })
    await a.leave('moved', '3', true)
    await b.leave('moved', '4', true)
    await until('them', () => b.got.length >= 3)
    t.strictSame(b.got, ['spy w/broken gone 1 1', 'spy w/moved of 3 1 2', 'spy w/moved of 4 1 3'])
  })

  t.test(name('what was published before a connection ended comes before its will'), async (t) => {
    const { a, b } = await rig(t, factory)
    await b.session('spy', 's', 'state')
    await a.open('c', '1', { will: message('state', 'offline') })
    const published = range(1, 300).map((n) => a.node.publish(message('state', `${n}`, 0), null))
    await a.leave('c', '1', true)
    await Promise.all(published)
    await until('the will', () => b.got.some((text) => text.includes('offline')))
    t.equal(b.got.length, 301)
    t.match(b.got.at(-1), /offline/)
  })

  t.test(name('a node that dies is cleared up by the others, its wills come once, its sessions wait'), async (t) => {
    const { a, b, another, cutOff, queue } = await rig(t, factory, { leaseMs: 1_500 })
    await b.session('spy', 's', 'w/#')
    const process = await another()
    const dead = await TestNode.join(process)
    await dead.open('c', '1', { will: message('w/c') })
    await dead.node.subscribe({ client: 'c', conn: '1' }, true, [subscription('t')])
    await dead.open('u', '2', { will: message('uplink/u/x', 'to uplink') })
    await dead.open('moved', '3', { will: message('w/moved') })
    await a.open('moved', '4')
    await cutOff(process)
    await until('the will of who moved', () => b.got.length >= 1)
    t.strictSame(b.got, ['spy w/moved x 1 1'])
    await until('the will of the dead node', () => b.got.length >= 2)
    await until('the will to uplink', () => a.wills.length + b.wills.length > 0)
    await a.node.publish(message('w/marker'), null)
    await until('the marker', () => b.got.some((text) => text.includes('marker')))
    t.strictSame(b.got, ['spy w/moved x 1 1', 'spy w/c x 1 2', 'spy w/marker x 1 3'])
    t.strictSame([...a.wills, ...b.wills], ['uplink/u/x'])
    await a.node.publish(message('t', 'waits'), null)
    t.strictSame(await queue('c'), ['waits'])
    t.match(await a.open('c', '5'), { next: 2, count: 1, sent: 1 })
  })

  t.test(name('a node that was taken for dead goes on with what is its own'), async (t) => {
    const { a, b, another, takeForDead } = await rig(t, factory, { leaseMs: 2_000 })
    const late = await TestNode.join(await another())
    await late.session('own', '1', 't')
    await late.session('lost', '2', 't')
    await late.open('will', '3', { will: message('w') })
    await late.open('clean', '4', { clean: true })
    late.wanted.add('t')
    await late.node.subscribe({ client: 'clean', conn: '4' }, false, [subscription('t')])
    const { name: before } = late.node
    // The others need a whole lease to trust themselves.
    await until('it to be taken for dead', async () => {
      await takeForDead(before)
      return late.checked.length >= 4
    })
    t.not(late.node.name, before)
    const checked = new Map(late.checked)
    t.equal(checked.get('1'), 1)
    t.equal(checked.get('2'), 1)
    await b.open('lost', '5')
    await a.node.publish(message('t', 'again'), null)
    await until('it to hear again', () => late.got.length > 0 && b.got.length > 0)
    t.strictSame(
      late.got.filter((text) => !text.startsWith('*')),
      ['own t again 1 1'],
    )
    t.strictSame(b.got, ['lost t again 1 1'])
  })

  t.test(name('`end` ends a session and its connection, wherever they are'), async (t) => {
    const { a, b, shared, queue } = await rig(t, factory)
    await b.session('here', '1', 't')
    await a.session('away', '2', 't')
    await a.leave('away', '2')
    await a.node.publish(message('t'), null)
    for (const client of ['here', 'away', 'nobody']) await shared.end(client)
    await until('the kick', () => b.kicked.length > 0)
    await b.leave('here', '1')
    await a.node.publish(message('t'), null)
    for (const client of ['here', 'away']) {
      t.strictSame(await queue(client), [])
      t.equal(await a.open(client, `again-${client}`), null)
    }
  })

  t.test(name('a session with nothing in it ends with its connection; clean session 1 ends it'), async (t) => {
    const { a, b } = await rig(t, factory)
    await a.session('empty', '1', 't')
    await a.node.unsubscribe({ client: 'empty', conn: '1' }, ['t'])
    await a.leave('empty', '1')
    t.equal(await b.open('empty', '2'), null)
    await a.session('full', '3', 't')
    await a.leave('full', '3')
    t.equal(await b.open('full', '4', { clean: true }), null)
    await a.node.publish(message('t'), null)
    t.equal(await a.open('full', '5'), null)
  })

  t.test(name('a closed store refuses'), async (t) => {
    const { shared, store } = await rig(t, factory)
    await store.close()
    await t.rejects(shared.end('c'), StoreUnavailable)
    await t.rejects(shared.join(new TestNode()), StoreUnavailable)
  })
}
