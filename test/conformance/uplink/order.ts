import type { Test } from 'tap'
import { openStore, type StoreFactory } from '../factory.js'
import { range } from '../messages.js'
import { outline, readLog, send, stored, text, uplink, uplinks } from './words.js'

/** Each device's uplinks in the order of calls and items. */
export function orderConformance(t: Test, factory: StoreFactory): void {
  t.test('uplink order: that of the calls, also of calls that do not wait for each other', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    const devices = range(1, 10).map((i) => `d${i}`)
    const count = 60
    await Promise.all(
      range(1, count).flatMap((n) => devices.map((device) => send(port, device, { payload: String(n) }))),
    )
    const log = await readLog(port)
    t.equal(log.length, devices.length * count)
    for (const device of devices) {
      t.strictSame(
        log.filter((u) => u.device === device).map((u) => Number(text(u))),
        range(1, count),
        device,
      )
    }
  })

  t.test('uplink order: that of the items in a call, small beside large', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    const items = range(1, 300).map((n) =>
      uplink(`d${n % 3}`, { payload: `${n}`.padEnd(n % 50 === 0 ? 100_000 : n, '.') }),
    )
    const results = (await port.append(items)).map(stored)
    const log = await readLog(port)
    for (const device of ['d0', 'd1', 'd2']) {
      t.strictSame(
        log.filter((u) => u.device === device).map((u) => Number.parseInt(text(u))),
        range(1, 300).filter((n) => `d${n % 3}` === device),
      )
    }
    const ids = new Map(log.map((u) => [u.id, Number.parseInt(text(u))]))
    t.strictSame(
      results.map(({ id }) => ids.get(id)),
      range(1, 300),
      'results in the order of the items',
    )
  })

  t.test('uplink order: what was answered is before what is sent then, of any device', async (t) => {
    const { uplink: port } = await openStore(t, factory)
    for (const n of range(1, 10)) {
      await Promise.all([port.append(uplinks('a', 2, `${n}-`)), send(port, 'b', { payload: `${n}` })])
    }
    const rounds = outline(await readLog(port)).map((word) => Number.parseInt(word.slice(2)))
    t.strictSame(
      rounds,
      rounds.toSorted((a, b) => a - b),
    )
  })
}
