import type { Test } from 'tap'
import { FakeClock } from '../../support/fake-clock.js'
import { type EventStoreFactory, needs, openStore } from '../factory.js'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { eventually, own, push, range } from '../messages.js'
import { pageOf, readEvents, told, word } from './words.js'

/** An inbox in which each push makes the one before it an event. */
const ONE = { inboxMax: 1, overflow: 'drop-oldest' } as const
const pushed = (from: number, to: number): string[] => range(from, to).map((seq) => `overflow a ${seq}`)

async function begin(mailbox: Mailbox): Promise<void> {
  await own(mailbox, 'a')
  await push(mailbox, 'a')
}

/** Pages, places, bounds, the end. */
export function readingConformance(t: Test, factory: EventStoreFactory): void {
  t.test('event pages: each event once and in order, whatever comes meanwhile', async (t) => {
    const { mailbox, events } = await openStore(t, factory, { limits: ONE })
    t.strictSame(await pageOf(events, null), { events: [], next: null, missed: 0, behind: 0 })
    t.equal(await events.end(), null)
    await begin(mailbox)
    for (const _ of range(1, 10)) await push(mailbox, 'a')
    await told(t, events, pushed(1, 10))
    const first = await pageOf(events, null, 4)
    t.strictSame(first.events.map(word), pushed(1, 4))
    t.equal(first.behind, 6)
    t.equal(first.next, first.events.at(-1)?.id)
    await push(mailbox, 'a')
    await told(t, events, pushed(1, 11))
    const rest = await readEvents(events, first.next, 3)
    t.strictSame(rest.map(word), pushed(5, 11))
    const ids = [...first.events, ...rest].map(({ id }) => id)
    t.equal(new Set(ids).size, 11)
    for (const id of ids) t.match(id, /^[0-9a-z-]{1,64}$/)
    t.strictSame(await pageOf(events, ids.at(-1) ?? null), { events: [], next: ids.at(-1), missed: 0, behind: 0 })
    t.equal(await events.read({ after: 'not an id', limit: 1 }), null)
  })

  t.test('event pages: the end is a place, also after a start', async (t) => {
    const store = await openStore(t, factory, { limits: ONE })
    await begin(store.mailbox)
    await push(store.mailbox, 'a')
    await told(t, store.events, pushed(1, 1))
    const end = await store.events.end()
    await store.reopen()
    await own(store.mailbox, 'a', 'claim-2')
    t.equal(await store.events.end(), end)
    await push(store.mailbox, 'a')
    await told(t, store.events, pushed(2, 2), end)
  })

  t.test('event pages: many devices at once, each in order', async (t) => {
    const { mailbox, events } = await openStore(t, factory, { limits: { inboxMax: 1, overflow: 'drop-oldest' } })
    const devices = range(1, 20).map((i) => `d${i}`)
    await Promise.all(devices.flatMap((device) => range(1, 10).map(() => push(mailbox, device))))
    const wanted = 20 * 10
    const all = await eventually(async () => {
      const found = await readEvents(events, null, 7)
      return found.length >= wanted ? found : undefined
    }, 10_000)
    t.equal(all.length, wanted)
    for (const device of devices) {
      t.strictSame(
        all.filter((event) => event.device === device).map(word),
        [`offline ${device} 1`, ...range(1, 9).map((seq) => `overflow ${device} ${seq}`)],
        device,
      )
    }
  })

  t.test('event bounds: of too many the oldest go, and the reader is told', async (t) => {
    const { mailbox, events } = await openStore(t, factory, { limits: ONE, eventLimits: { maxCount: 10 } })
    await begin(mailbox)
    await push(mailbox, 'a')
    const [one] = await told(t, events, pushed(1, 1))
    for (const _ of range(2, 40)) await push(mailbox, 'a')
    const page = await eventually(async () => {
      const found = await pageOf(events, one?.id ?? null)
      return found.events.length <= 10 && found.events.length + found.missed === 39 ? found : undefined
    }, 10_000)
    const kept = page.events.length
    t.ok(kept > 0)
    t.strictSame(page.events.map(word), pushed(41 - kept, 40))
    t.equal(page.behind, 0)
    await eventually(async () => (events.usage.dropped === 40 - kept ? true : undefined), 10_000, 'all are counted')
    t.equal(events.usage.count, kept)
  })

  t.test('event bounds: what is too old is never read', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock, limits: ONE, eventLimits: { retentionSeconds: 60 } })
    await begin(store.mailbox)
    await push(store.mailbox, 'a')
    const [one] = await told(t, store.events, pushed(1, 1))
    clock.advance(30_000)
    await push(store.mailbox, 'a')
    await told(t, store.events, pushed(1, 2))
    clock.advance(31_000)
    t.strictSame((await readEvents(store.events)).map(word), pushed(2, 2))
    clock.advance(31_000)
    t.strictSame((await readEvents(store.events)).map(word), [])
    await eventually(async () => (store.events.usage.count === 0 ? true : undefined), 10_000, 'they make room')
    t.equal(store.events.usage.dropped, 0)
    const page = await pageOf(store.events, one?.id ?? null)
    t.match(page, { events: [], missed: 1, behind: 0 })
    await store.reopen()
    await own(store.mailbox, 'a', 'claim-2')
    await push(store.mailbox, 'a')
    await told(t, store.events, pushed(3, 3), page.next)
    t.match(await pageOf(store.events, page.next), { missed: 0 })
  })

  t.test('event log: after its end it refuses', async (t) => {
    const { events } = await openStore(t, factory)
    await events.close()
    await events.close()
    await t.rejects(events.read({ after: null, limit: 1 }), { code: 'store_unavailable' })
    await t.rejects(events.end(), { code: 'store_unavailable' })
  })
}
