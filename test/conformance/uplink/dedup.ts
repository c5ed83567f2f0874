import type { Test } from 'tap'
import { FakeClock } from '../../support/fake-clock.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { range } from '../messages.js'
import { outline, readLog, send, stored, uplink, type UplinkFields } from './words.js'

const HOUR = 3_600_000

/** One (device, id), one uplink, for 24 hours. */
export function dedupConformance(t: Test, factory: StoreFactory): void {
  t.test('uplink dedup: a second one is answered as the first, also after reopen', async (t) => {
    const store = await openStore(t, factory)
    const first = await send(store.uplink, 'd', { dedupId: 'one' })
    t.equal(first.duplicate, false)
    for (const when of ['at once', 'after reopen']) {
      t.strictSame(await send(store.uplink, 'd', { dedupId: 'one' }), { ...first, duplicate: true }, when)
      await store.reopen()
    }
    t.strictSame(outline(await readLog(store.uplink)), ['d:hello'])
  })

  t.test('uplink dedup: 50 at once are one, in one call or in many', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    const one = uplink('d', { dedupId: 'one' })
    const results = (await Promise.all(range(1, 25).map(() => port.append([one, one])))).flat().map(stored)
    t.equal(new Set(results.map(({ id }) => id)).size, 1)
    t.equal(results.filter(({ duplicate }) => !duplicate).length, 1)
    t.equal((await readLog(port)).length, 1)
  })

  t.test('uplink dedup: another body is a conflict, stores nothing, and stops nobody', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    await send(port, 'd', { dedupId: 'one' })
    const others: UplinkFields[] = [
      { payload: 'hellO' },
      { channel: 'c/' },
      { contentType: 'text/plain' },
      { contentType: '' },
    ]
    const items = others.map((fields) => uplink('d', { dedupId: 'one', ...fields }))
    const results = await port.append([...items, uplink('d', { payload: 'last' })])
    t.strictSame(
      results.slice(0, -1),
      others.map(() => ({ ok: false, code: 'dedup_conflict' })),
    )
    stored(results.at(-1))
    t.strictSame(outline(await readLog(port)), ['d:hello', 'd:last'])
  })

  t.test('uplink dedup: an id is the device’s own, and without one nothing is a duplicate', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    await send(port, 'd', { dedupId: 'one' })
    for (const [device, dedupId] of [
      ['e', 'one'],
      ['d', 'two'],
      ['d', null],
      ['d', null],
      ['do', 'ne'],
      ['d', ''],
    ] as const) {
      t.equal((await send(port, device, { dedupId })).duplicate, false, `${device} ${dedupId}`)
    }
    t.equal((await readLog(port)).length, 7)
  })

  t.test('uplink dedup: duplicates among others keep the order', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    const item = (n: number) => uplink('d', { dedupId: `${n}`, payload: `${n}` })
    await port.append(range(1, 5).map(item))
    const again = (await port.append(range(3, 8).map(item))).map(stored)
    t.strictSame(
      again.map(({ duplicate }) => duplicate),
      [true, true, true, false, false, false],
    )
    t.strictSame(
      outline(await readLog(port)),
      range(1, 8).map((n) => `d:${n}`),
    )
  })

  t.test(
    'uplink dedup: for 24 hours, over the end of any day, and not longer',
    needs(factory.supports.clock),
    async (t) => {
      const midnight = Date.UTC(2030, 0, 2)
      for (const start of [midnight, midnight + 12 * HOUR, midnight - 1]) {
        const clock = new FakeClock(start)
        const store = await openStore(t, factory, { clock, uplinkLimits: { retentionSeconds: 60 } })
        const first = await send(store.uplink, 'd', { dedupId: 'one' })
        for (const hours of [1, 10, 11]) {
          clock.advance(hours * HOUR)
          await send(store.uplink, 'd', { payload: `${hours}`, dedupId: `at ${hours}` }) // what a day brings
          if (hours === 10) await store.reopen()
        }
        clock.advance(2 * HOUR - 1)
        t.match(await send(store.uplink, 'd', { dedupId: 'one' }), { id: first.id, duplicate: true }, 'expired itself')
        clock.advance(1)
        const again = await send(store.uplink, 'd', { dedupId: 'one' })
        t.equal(again.duplicate, false)
        t.match(
          await send(store.uplink, 'd', { dedupId: 'one' }),
          { id: again.id, duplicate: true },
          'the newer counts',
        )
      }
    },
  )

  t.test('uplink dedup: after a long rest ids are new again', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock })
    for (const days of [1, 2, 3, 30]) {
      await send(store.uplink, 'd', { dedupId: 'one' })
      clock.advance(days * 24 * HOUR)
      await store.reopen()
      t.equal((await send(store.uplink, 'd', { dedupId: 'one' })).duplicate, false, `${days} days`)
      clock.advance(24 * HOUR)
    }
  })
}
