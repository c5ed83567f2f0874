// The conformance suite of the WebhookStore port: every sentence of core/ports/webhook-store.ts, against a real store.

import type { Test } from 'tap'
import type { ProgressChange, Webhook } from '../../core/ports/webhook-store.js'
import { FakeClock } from '../support/fake-clock.js'
import { type EventStoreFactory, needs, openStore } from './factory.js'

const TTL = 5_000

function webhook(id: string, fields: Partial<Webhook> = {}): Webhook {
  return {
    id,
    url: `https://example.org/${id}`,
    events: ['message.handled', 'uplink'],
    enabled: true,
    secrets: [
      { text: 'whsec_new', sealedBy: null, until: null },
      { text: 'sealed', sealedBy: 'key', until: 7 },
    ],
    createdAt: 1,
    updatedAt: 2,
    ...fields,
  }
}

const NOTHING: ProgressChange = { cursors: new Map(), park: [], unpark: [] }
const START = new Map([['events', 'e1']])

export function webhookStoreConformance(t: Test, factory: EventStoreFactory): void {
  t.test('webhooks: what is put is there, in order of id, also after a start', async (t) => {
    const store = await openStore(t, factory)
    t.equal(await store.webhooks.get('b'), null)
    t.equal(await store.webhooks.put(webhook('b'), null, START), true)
    await store.webhooks.put(webhook('a'), null, START)
    await store.webhooks.put(webhook('c'), null, START)
    const changed = webhook('b', { enabled: false, url: 'https://example.org/other', secrets: [] })
    t.equal(await store.webhooks.put(changed, null, START), false, 'it is there')
    t.equal(await store.webhooks.put(changed, changed, START), false, 'it is another')
    t.equal(await store.webhooks.put(webhook('d'), webhook('d'), START), false, 'it is not there')
    t.equal(await store.webhooks.put(changed, webhook('b'), START), true)
    await store.reopen()
    t.strictSame(await store.webhooks.list(), [webhook('a'), changed, webhook('c')])
    t.strictSame(await store.webhooks.get('b'), changed)
    t.equal(await store.webhooks.remove('b'), true)
    t.equal(await store.webhooks.remove('b'), false)
    t.strictSame(
      (await store.webhooks.list()).map(({ id }) => id),
      ['a', 'c'],
    )
  })

  t.test('webhooks: progress is kept, and a change of the webhook leaves it alone', async (t) => {
    const store = await openStore(t, factory)
    await store.webhooks.put(webhook('a'), null, START)
    const first = await store.webhooks.acquire('a', 'n1', TTL)
    t.strictSame(first?.progress, { cursors: START, parked: [] })
    const token = first?.token ?? 0
    const park = [
      { key: 'e|2', value: 'two' },
      { key: 'e|10', value: 'ten' },
      { key: 'e|1', value: 'one' },
    ]
    t.equal(
      await store.webhooks.commit('a', token, { ...NOTHING, cursors: new Map([['events', 'e9']]), park }, TTL),
      true,
    )
    t.equal(await store.webhooks.commit('a', token, { ...NOTHING, park, unpark: ['e|2', 'not there'] }, TTL), true)
    t.equal(
      await store.webhooks.commit(
        'a',
        token,
        { ...NOTHING, cursors: new Map([['uplink', 'u1']]), unpark: ['e|2'] },
        TTL,
      ),
      true,
    )
    await store.webhooks.release('a', token)
    await store.webhooks.put(webhook('a', { enabled: false }), webhook('a'), new Map([['other', 'o1']]))
    await store.reopen()
    const again = await store.webhooks.acquire('a', 'n2', TTL)
    t.strictSame(
      again?.progress.cursors,
      new Map([
        ['events', 'e9'],
        ['uplink', 'u1'],
        ['other', 'o1'],
      ]),
    )
    t.strictSame(again?.progress.parked, [
      { key: 'e|1', value: 'one' },
      { key: 'e|10', value: 'ten' },
    ])
  })

  t.test('webhooks: one node has the lease, and an old token changes nothing', async (t) => {
    const { webhooks } = await openStore(t, factory)
    t.equal(await webhooks.acquire('a', 'n1', TTL), null, 'there is no such webhook')
    await webhooks.put(webhook('a'), null, START)
    const first = await webhooks.acquire('a', 'n1', TTL)
    t.equal(await webhooks.acquire('a', 'n2', TTL), null)
    const second = await webhooks.acquire('a', 'n1', TTL)
    t.ok((second?.token ?? 0) > (first?.token ?? 0), 'the holder gets a new token')
    const move = { ...NOTHING, cursors: new Map([['events', 'e5']]) }
    t.equal(await webhooks.commit('a', first?.token ?? 0, move, TTL), false)
    await webhooks.release('a', first?.token ?? 0)
    t.equal(await webhooks.acquire('a', 'n2', TTL), null, 'an old token releases nothing')
    await webhooks.release('a', second?.token ?? 0)
    const third = await webhooks.acquire('a', 'n2', TTL)
    t.strictSame(third?.progress.cursors, START)
    t.equal(await webhooks.commit('a', second?.token ?? 0, move, TTL), false)
    t.equal(await webhooks.commit('a', third?.token ?? 0, move, TTL), true)
    t.equal(await webhooks.commit('b', third?.token ?? 0, move, TTL), false, 'of another webhook')
  })

  t.test('webhooks: a lease ends with its time, unless it is kept', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const { webhooks } = await openStore(t, factory, { clock })
    await webhooks.put(webhook('a'), null, START)
    const first = await webhooks.acquire('a', 'n1', TTL)
    clock.advance(TTL - 1)
    t.equal(await webhooks.commit('a', first?.token ?? 0, NOTHING, TTL), true)
    clock.advance(TTL - 1)
    t.equal(await webhooks.acquire('a', 'n2', TTL), null)
    clock.advance(1)
    const second = await webhooks.acquire('a', 'n2', TTL)
    t.ok((second?.token ?? 0) > (first?.token ?? 0))
    t.equal(await webhooks.commit('a', first?.token ?? 0, NOTHING, TTL), false)
  })

  t.test('webhooks: a removed one takes progress and lease along', async (t) => {
    const { webhooks } = await openStore(t, factory)
    await webhooks.put(webhook('a'), null, START)
    const first = await webhooks.acquire('a', 'n1', TTL)
    await webhooks.commit('a', first?.token ?? 0, { ...NOTHING, park: [{ key: 'k', value: 'v' }] }, TTL)
    await webhooks.remove('a')
    t.equal(await webhooks.commit('a', first?.token ?? 0, NOTHING, TTL), false)
    await webhooks.put(webhook('a'), null, new Map([['events', 'anew']]))
    const second = await webhooks.acquire('a', 'n2', TTL)
    t.strictSame(second?.progress, { cursors: new Map([['events', 'anew']]), parked: [] })
    t.ok((second?.token ?? 0) > (first?.token ?? 0))
    t.equal(await webhooks.commit('a', first?.token ?? 0, NOTHING, TTL), false)
  })

  t.test('webhooks: one id is not the beginning of another', async (t) => {
    const { webhooks } = await openStore(t, factory)
    for (const id of ['a', 'a-b', 'ab']) {
      await webhooks.put(webhook(id), null, START)
      const lease = await webhooks.acquire(id, 'n', TTL)
      await webhooks.commit(id, lease?.token ?? 0, { ...NOTHING, park: [{ key: id, value: id }] }, TTL)
    }
    await webhooks.remove('a')
    for (const id of ['a-b', 'ab']) {
      t.strictSame((await webhooks.acquire(id, 'n', TTL))?.progress.parked, [{ key: id, value: id }])
    }
  })

  t.test('webhooks: after its end the store refuses', async (t) => {
    const { webhooks } = await openStore(t, factory)
    await webhooks.close()
    await webhooks.close()
    await t.rejects(webhooks.list(), { code: 'store_unavailable' })
    await t.rejects(webhooks.acquire('a', 'n', TTL), { code: 'store_unavailable' })
  })
}
