import type { Test } from 'tap'
import { type StoredUplink, uplinkSize } from '../../../core/ports/uplink.js'
import { FakeClock } from '../../support/fake-clock.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { range } from '../messages.js'
import { outline, pages, readLog, send, text, uplink, uplinks } from './words.js'

/** Reading from `after` to `after`. */
export function pagingConformance(t: Test, factory: StoreFactory): void {
  t.test('uplink pages: the end is a place behind all that is there, and before all that comes', async (t) => {
    const store = await openStore(t, factory)
    t.equal(await store.uplink.end(), null)
    await store.uplink.append(uplinks('a', 3))
    const end = await store.uplink.end()
    t.strictSame(await store.uplink.read({ after: end, limit: 10, maxBytes: 1_000 }), { uplinks: [], more: false })
    await store.uplink.append(uplinks('a', 2, 'later'))
    const page = await store.uplink.read({ after: end, limit: 10, maxBytes: 10_000 })
    t.strictSame(page?.uplinks.map(text), ['later1', 'later2'])
  })

  t.test('uplink paging: by count; the last page says that it is the last', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    t.strictSame(await port.read({ after: null, limit: 4, maxBytes: 9999 }), { uplinks: [], more: false }, 'empty')
    await port.append(uplinks('d', 8))
    const read = await pages(port, { limit: 4 })
    t.strictSame(
      read.map(outline),
      [range(1, 4), range(5, 8)].map((page) => page.map((n) => `d:u${n}`)),
    )
    t.match(await port.read({ after: read[0]?.at(-1)?.id ?? '', limit: 4, maxBytes: 9999 }), { more: false })
    t.match(await port.read({ after: null, limit: 7, maxBytes: 9999 }), { more: true })
    for (const limit of [1, 3, 8, 9]) t.equal((await pages(port, { limit })).flat().length, 8, `limit ${limit}`)
  })

  t.test('uplink paging: by bytes; one always fits', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    const items = [10, 10, 5_000, 10, 10, 10].map((length) => uplink('d', { payload: 'x'.repeat(length) }))
    await port.append(items)
    const small = uplinkSize(uplink('d', { payload: 'x'.repeat(10) }))
    const read = await pages(port, { maxBytes: 2 * small })
    t.strictSame(
      read.map((page) => page.map((u) => u.payload.byteLength)),
      [[10, 10], [5_000], [10, 10], [10]],
    )
    t.equal((await pages(port, { maxBytes: 2 * small - 1 })).length, 6)
  })

  t.test('uplink paging: from the id of the last one read, a reader sees what came since', async (t) => {
    const store = await openStore(t, factory)
    const { id } = await send(store.uplink, 'd', { payload: '1' })
    t.strictSame(await readLog(store.uplink, id), [])
    await send(store.uplink, 'e', { payload: '2' })
    t.strictSame(outline(await readLog(store.uplink, id)), ['e:2'])
    await store.reopen()
    await send(store.uplink, 'd', { payload: '3' })
    t.strictSame(outline(await readLog(store.uplink, id)), ['e:2', 'd:3'])
    const [, second] = await readLog(store.uplink)
    t.strictSame(outline(await readLog(store.uplink, second?.id ?? '')), ['d:3'])
  })

  t.test('uplink paging: a reader beside writers misses nothing and gets nothing twice', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    const devices = range(1, 8).map((i) => `d${i}`)
    const count = 40
    const seen: StoredUplink[] = []
    const readOn = async (): Promise<void> => {
      const page = await port.read({ after: seen.at(-1)?.id ?? null, limit: 7, maxBytes: 1 << 20 })
      seen.push(...(page?.uplinks ?? []))
    }
    const writing = Promise.all(
      devices.map(async (device) => {
        for (const n of range(1, count)) await send(port, device, { payload: String(n) })
      }),
    )
    const writers = { done: false }
    void writing.then(() => {
      writers.done = true
    })
    while (!writers.done) {
      await readOn()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await writing
    seen.push(...(await readLog(port, seen.at(-1)?.id ?? null)))
    t.equal(new Set(seen.map(({ id }) => id)).size, devices.length * count)
    for (const device of devices) {
      t.strictSame(
        seen.filter((u) => u.device === device).map((u) => Number(text(u))),
        range(1, count),
        device,
      )
    }
    t.strictSame(outline(await readLog(port)), outline(seen), 'as it is read afterwards')
  })

  t.test('uplink paging: an id stays a place when its uplink has expired', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock, uplinkLimits: { retentionSeconds: 10 } })
    const old = await store.uplink.append(uplinks('d', 5, 'old'))
    clock.advance(6_000)
    await store.uplink.append(uplinks('d', 5, 'new'))
    const [first] = old
    const after = first?.ok === true ? first.id : ''
    t.equal((await readLog(store.uplink, after)).length, 9)
    clock.advance(6_000)
    const expected = range(1, 5).map((n) => `d:new${n}`)
    t.strictSame(outline(await readLog(store.uplink, after)), expected)
    await store.reopen()
    t.strictSame(outline(await readLog(store.uplink, after)), expected, 'after reopen')
  })

  t.test('uplink paging: what is no id of the store is told', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    await send(port, 'd')
    for (const after of ['', 'x', '../..', '0'.repeat(500), ' '.repeat(20)]) {
      t.equal(await port.read({ after, limit: 9, maxBytes: 9999 }), null, JSON.stringify(after))
    }
  })
}
