import type { Test } from 'tap'
import { uplinkSize } from '../../../core/ports/uplink.js'
import { FakeClock } from '../../support/fake-clock.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { eventually, range } from '../messages.js'
import { outline, readLog, send, stored, uplink, uplinks } from './words.js'

const FULL = { ok: false, code: 'full' }
/** An uplink of so many bytes by `uplinkSize`, of a device with a name of one letter. */
const sized = (device: string, bytes: number) =>
  uplink(device, { payload: 'x'.repeat(bytes - uplinkSize(uplink(device, { payload: '' }))) })

/** The cap. */
export function boundsConformance(t: Test, factory: StoreFactory): void {
  t.test('uplink bounds: to the byte; what does not fit is refused and stores nothing', async (t) => {
    const store = await openStore(t, factory, { uplinkLimits: { maxBytes: 1_000 } })
    t.strictSame(await store.uplink.append([sized('a', 1_001)]), [FULL])
    t.match(await store.uplink.append([sized('a', 600), sized('a', 400)]), [{ ok: true }, { ok: true }])
    for (const when of ['at once', 'after reopen']) {
      t.strictSame(await store.uplink.append([sized('a', 70)]), [FULL], when)
      t.strictSame(store.uplink.usage, { count: 2, bytes: 1_000 })
      await store.reopen()
    }
    t.equal((await readLog(store.uplink)).length, 2)
  })

  t.test('uplink bounds: behind one that is refused, nothing of the device in the call is stored', async (t) => {
    const { uplink: port } = await openStore(t, factory, { uplinkLimits: { maxBytes: 1_000 } })
    const results = await port.append([
      sized('a', 200),
      sized('a', 900),
      sized('a', 100),
      sized('b', 100),
      sized('a', 70),
    ])
    t.match(results, [{ ok: true }, FULL, FULL, { ok: true }, FULL])
    t.strictSame(
      (await readLog(port)).map(({ device }) => device),
      ['a', 'b'],
    )
  })

  t.test('uplink bounds: never passed by calls at the same time', async (t) => {
    const { uplink: port } = await openStore(t, factory, { uplinkLimits: { maxBytes: 5_000 } })
    const results = await Promise.all(range(1, 200).map(() => port.append([sized('a', 100)])))
    t.equal(results.filter(([result]) => result?.ok).length, 50)
    t.equal((await readLog(port)).length, 50)
    t.strictSame(port.usage, { count: 50, bytes: 5_000 })
  })

  t.test('uplink bounds: a duplicate needs no room', async (t) => {
    const { uplink: port } = await openStore(t, factory, { uplinkLimits: { maxBytes: 100 } })
    const first = await send(port, 'a', { dedupId: 'one' })
    t.match(await port.append([uplink('a')]), [FULL])
    t.match(await port.append([uplink('a', { dedupId: 'one' })]), [{ ok: true, id: first.id, duplicate: true }])
  })
}

/** What time does. */
export function retentionConformance(t: Test, factory: StoreFactory): void {
  t.test(
    'uplink retention: read until its time is over, to the millisecond',
    needs(factory.supports.clock),
    async (t) => {
      const clock = new FakeClock()
      const store = await openStore(t, factory, { clock, uplinkLimits: { retentionSeconds: 10 } })
      await store.uplink.append(uplinks('a', 3, 'x'))
      clock.advance(1)
      await store.uplink.append(uplinks('a', 3, 'y'))
      clock.advance(9_998)
      t.equal((await readLog(store.uplink)).length, 6)
      clock.advance(1)
      t.strictSame(outline(await readLog(store.uplink)), ['a:y1', 'a:y2', 'a:y3'])
      clock.advance(1)
      t.strictSame(await readLog(store.uplink), [])
      await store.reopen()
      t.strictSame(await readLog(store.uplink), [])
    },
  )

  t.test('uplink retention: makes room, and leaves nothing', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const uplinkLimits = { retentionSeconds: 10, maxBytes: 20_000 }
    const store = await openStore(t, factory, { clock, uplinkLimits })
    for (const round of range(1, 3)) {
      const calls = range(1, 100).map((i) => store.uplink.append([sized(`${i % 10}`, 100), sized('z', 100)]))
      for (const results of await Promise.all(calls)) results.map(stored)
      t.strictSame(await store.uplink.append([sized('a', 100)]), [FULL], `round ${round}`)
      if (round === 2) await store.reopen()
      clock.advance(10_000)
      await eventually(async () => (store.uplink.usage.count === 0 ? true : undefined), 10_000, 'all to be forgotten')
      t.strictSame(store.uplink.usage, { count: 0, bytes: 0 })
    }
    await send(store.uplink, 'a', { payload: 'last' })
    t.strictSame(outline(await readLog(store.uplink)), ['a:last'])
  })
}
