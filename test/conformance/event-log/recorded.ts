import type { Test } from 'tap'
import { FakeClock } from '../../support/fake-clock.js'
import { type EventStoreFactory, needs, openStore } from '../factory.js'
import { ack, fill, own, push, readAll } from '../messages.js'
import { readEvents, told } from './words.js'

/** What is recorded, and what is not. */
export function recordedConformance(t: Test, factory: EventStoreFactory): void {
  t.test('events: messages with a receipt are told when they are handled, others are not', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await own(mailbox, 'a')
    await push(mailbox, 'a')
    const { epoch } = await push(mailbox, 'a', { receipt: true })
    await push(mailbox, 'a')
    await push(mailbox, 'a', { receipt: true })
    await push(mailbox, 'a', { receipt: true })
    t.strictSame(await readEvents(events), [], 'nothing is handled yet')
    await ack(mailbox, 'a', { epoch, seq: 4 })
    const [first] = await told(t, events, ['handled a 2', 'handled a 4'])
    t.match(first, { type: 'message.handled', device: 'a', epoch, seq: 2, count: 1, reason: null, at: Number })
    await ack(mailbox, 'a', { epoch, seq: 4 })
    await ack(mailbox, 'a', { epoch, seq: 5 })
    await told(t, events, ['handled a 2', 'handled a 4', 'handled a 5'])
  })

  t.test('events: a receipt is told after a start in between, too', async (t) => {
    const store = await openStore(t, factory)
    await own(store.mailbox, 'a')
    const { epoch } = await push(store.mailbox, 'a', { receipt: true })
    await fill(store.mailbox, 'a', 3)
    await store.reopen()
    await own(store.mailbox, 'a', 'claim-2')
    await ack(store.mailbox, 'a', { epoch, seq: 4 })
    await told(t, store.events, ['handled a 1'])
    await store.reopen()
    await told(t, store.events, ['handled a 1'])
  })

  t.test('events: an ack of a hello is one too', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await own(mailbox, 'a')
    const { epoch, seq } = await push(mailbox, 'a', { receipt: true })
    await mailbox.resume({ device: 'a', claimId: 'claim-1', position: { epoch, seq } })
    await told(t, events, ['handled a 1'])
  })

  t.test('events: a cancelled message is none', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await own(mailbox, 'a')
    await push(mailbox, 'a', { receipt: true })
    await mailbox.cancel('a', 1, null)
    const { epoch } = await push(mailbox, 'a', { receipt: true })
    await ack(mailbox, 'a', { epoch, seq: 2 })
    await told(t, events, ['handled a 2'])
  })

  t.test(
    'events: a message that expires is told, with a receipt or without',
    needs(factory.supports.clock),
    async (t) => {
      const clock = new FakeClock()
      const { mailbox, events } = await openStore(t, factory, { clock })
      const position = await own(mailbox, 'a')
      await push(mailbox, 'a', { ttl: 5 })
      await push(mailbox, 'a')
      const { epoch } = await push(mailbox, 'a', { ttl: 6, receipt: true })
      clock.advance(5_000)
      await readAll(mailbox, 'a', 'claim-1', position)
      const [event] = await told(t, events, ['expired a 1'])
      t.match(event, { type: 'message.expired', epoch, reason: 'expired' })
      clock.advance(5_000)
      await ack(mailbox, 'a', { epoch, seq: 3 })
      await told(t, events, ['expired a 1', 'expired a 3'])
    },
  )

  t.test('events: what waited too long is told with its reason', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const { mailbox, events } = await openStore(t, factory, { clock, limits: { retentionSeconds: 60 } })
    const position = await own(mailbox, 'a')
    await push(mailbox, 'a')
    clock.advance(61_000)
    await readAll(mailbox, 'a', 'claim-1', position)
    await told(t, events, ['expired:retention a 1'])
  })

  t.test('events: what made room for another is told', async (t) => {
    const { mailbox, events } = await openStore(t, factory, { limits: { inboxMax: 2, overflow: 'drop-oldest' } })
    await own(mailbox, 'a')
    await fill(mailbox, 'a', 4)
    await told(t, events, ['overflow a 1', 'overflow a 2'])
  })

  t.test('events: a refused or repeated message is none', async (t) => {
    const { mailbox, events } = await openStore(t, factory, { limits: { inboxMax: 1 } })
    await own(mailbox, 'a')
    await push(mailbox, 'a', { dedupId: 'x', receipt: true })
    await push(mailbox, 'a', { dedupId: 'x', receipt: true })
    const [refused] = await mailbox.append([{ ...message, device: 'a' }])
    t.match(refused, { ok: false, code: 'inbox_full' })
    t.strictSame(await readEvents(events), [])
  })

  t.test('events: the same dedup id with and without a receipt is a conflict', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await push(mailbox, 'a', { payload: 'x', dedupId: 'x', receipt: true })
    const [again] = await mailbox.append([{ ...message, device: 'a', dedupId: 'x' }])
    t.match(again, { ok: false, code: 'dedup_conflict', seq: 1 })
  })

  t.test('events: a purge tells nothing', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await own(mailbox, 'a')
    await push(mailbox, 'a', { receipt: true })
    await mailbox.purge('a')
    await mailbox.release('a', 'claim-1')
    t.strictSame(await readEvents(events), [])
  })
}

const message = {
  payload: Buffer.from('x'),
  contentType: 'text/plain',
  attributes: null,
  dedupId: null,
  ttl: null,
  priority: 'normal',
} as const
