import type { Test } from 'tap'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { ack, eventually, fill, message, outline, own, push, readAll, stateOf } from '../messages.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { FakeClock } from '../../support/fake-clock.js'

/** `pending` and the state may follow one second late; reads may not. */
async function pendingBecomes(mailbox: Mailbox, clock: FakeClock, device: string, expected: number): Promise<void> {
  await eventually(
    async () => {
      const info = await mailbox.info(device)
      if (info?.pending === expected) return true
      clock.advance(1)
      return undefined
    },
    2_500,
    `pending of ${device} is ${expected}`,
  )
}

/** Expiry: the store alone decides it, and tells the truth at once to whoever reads for delivery. */
export function expiryConformance(t: Test, factory: StoreFactory): void {
  const clocked = needs(factory.supports.clock)

  t.test('expiry: a message is never read after expiresAt', clocked, async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock })
    const start = await own(mailbox, 'd')
    await push(mailbox, 'd', { ttl: 10 })
    await push(mailbox, 'd')
    await push(mailbox, 'd', { ttl: 20 })
    clock.advance(9_999)
    t.strictSame(outline((await readAll(mailbox, 'd', 'claim-1', start)).entries), ['1', '2', '3'])
    clock.advance(2)
    const messages = async () =>
      outline((await readAll(mailbox, 'd', 'claim-1', start)).entries).filter((word) => /^\d+\*?$/.test(word))
    t.strictSame(await messages(), ['2', '3'])
    const peek = await mailbox.peek('d', { after: 0, limit: 10, maxBytes: 1 << 20 })
    t.strictSame(
      peek?.messages.map((m) => m.message.seq),
      [2, 3],
    )
    clock.advance(10_000)
    t.strictSame(await messages(), ['2'])
  })

  t.test('expiry: pending, cursor and state follow, and the exception is read', clocked, async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock })
    const start = await own(store.mailbox, 'd')
    const first = await push(store.mailbox, 'd', { ttl: 5 })
    await push(store.mailbox, 'd')
    await push(store.mailbox, 'd', { ttl: 5 })
    clock.advance(5_001)
    await pendingBecomes(store.mailbox, clock, 'd', 1)
    t.match(await store.mailbox.info('d'), { head: 3, cursor: 1, pending: 1 })
    t.equal(await stateOf(store.mailbox, 'd', 1, first.epoch), 'expired')
    t.equal(await stateOf(store.mailbox, 'd', 3), 'expired')
    t.equal(await stateOf(store.mailbox, 'd', 2), 'queued')
    const { entries } = await readAll(store.mailbox, 'd', 'claim-1', start)
    t.strictSame(outline(entries), ['1 expired', '2', '3 expired'])
    const [head] = await store.mailbox.heads([{ device: 'd', acked: null }])
    t.match(head, { pending: 1, cursor: { seq: 1 } })
    await store.reopen()
    t.match(await store.mailbox.info('d'), { head: 3, cursor: 1, pending: 1 }, 'after reopen')
    t.equal(await stateOf(store.mailbox, 'd', 3), 'expired')
    t.match(await ack(store.mailbox, 'd', { epoch: first.epoch, seq: 2 }), { cursor: 3, pending: 0 })
  })

  t.test('expiry: while the store was closed', clocked, async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock })
    await push(store.mailbox, 'd', { ttl: 5 })
    await push(store.mailbox, 'd')
    const reopening = store.reopen()
    clock.advance(6_000)
    await reopening
    const start = await own(store.mailbox, 'd')
    const { entries } = await readAll(store.mailbox, 'd', 'claim-1', { ...start, seq: 0 })
    t.notOk(entries.some((entry) => entry.kind === 'message' && entry.message.seq === 1))
    await pendingBecomes(store.mailbox, clock, 'd', 1)
    t.equal(await stateOf(store.mailbox, 'd', 1), 'expired')
  })

  t.test('expiry: leaves room for others', clocked, async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock, limits: { inboxMax: 2 } })
    await fill(mailbox, 'd', 2, { ttl: 5 })
    t.match(await mailbox.append([message('d')]), [{ ok: false, code: 'inbox_full' }])
    clock.advance(5_001)
    await pendingBecomes(mailbox, clock, 'd', 0)
    t.match(await mailbox.append([message('d')]), [{ ok: true, seq: 3 }])
  })

  t.test('expiry: a message that is handled in time stays handled', clocked, async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock })
    const first = await push(mailbox, 'd', { ttl: 5 })
    await ack(mailbox, 'd', first)
    clock.advance(10_000)
    t.equal(await stateOf(mailbox, 'd', 1), 'handled')
    t.match(await mailbox.info('d'), { cursor: 1, pending: 0 })
  })

  t.test('expiry: on the wire, and acknowledged after all: handled', clocked, async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock })
    const start = await own(mailbox, 'd')
    const first = await push(mailbox, 'd', { ttl: 5 })
    await push(mailbox, 'd')
    await readAll(mailbox, 'd', 'claim-1', start)
    await ack(mailbox, 'd', start, { epoch: first.epoch, seq: 2 })
    clock.advance(5_001)
    await pendingBecomes(mailbox, clock, 'd', 1)
    t.equal(await stateOf(mailbox, 'd', 1), 'expired')
    t.match(await ack(mailbox, 'd', first), { counted: true, cursor: 1, pending: 1 })
    t.equal(await stateOf(mailbox, 'd', 1), 'handled')
  })

  t.test('expiry: by the real clock, within a second', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { expiresAt } = await push(mailbox, 'd', { ttl: 1 })
    await eventually(async () => ((await mailbox.info('d'))?.pending === 0 ? true : undefined), 5_000, 'expired')
    const late = Date.now() - (expiresAt ?? 0)
    t.ok(late > -50 && late < 1_500, `${late} ms after expiresAt`)
  })
}

/** Retention: a message that nobody handled for longer becomes an exception. */
export function retentionConformance(t: Test, factory: StoreFactory): void {
  const clocked = needs(factory.supports.clock)
  const limits = { retentionSeconds: 100, dedupWindowSeconds: 1_000 }

  t.test('retention: what is pending for longer becomes an exception', clocked, async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock, limits })
    const first = await push(store.mailbox, 'd', { dedupId: 'x' })
    clock.advance(50_000)
    await push(store.mailbox, 'd')
    clock.advance(49_999)
    t.match(await store.mailbox.info('d'), { pending: 2 })
    clock.advance(2)
    await pendingBecomes(store.mailbox, clock, 'd', 1)
    t.match(await store.mailbox.info('d'), { cursor: 1, pending: 1, head: 2 })
    t.equal(await stateOf(store.mailbox, 'd', 1), 'retention')
    const start = await own(store.mailbox, 'd')
    const { entries } = await readAll(store.mailbox, 'd', 'claim-1', { ...start, seq: 0 })
    t.strictSame(outline(entries), ['1 retention', '2'])
    t.strictSame(await push(store.mailbox, 'd', { dedupId: 'x' }), { ...first, duplicate: true, owner: null })
    await store.reopen()
    t.equal(await stateOf(store.mailbox, 'd', 1), 'retention', 'after reopen')
  })

  t.test('retention: a longer ttl does not outlive it, a shorter one is an expiry', clocked, async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock, limits })
    await push(mailbox, 'd', { ttl: 1_000 })
    await push(mailbox, 'd', { ttl: 10 })
    clock.advance(10_001)
    await pendingBecomes(mailbox, clock, 'd', 1)
    t.equal(await stateOf(mailbox, 'd', 2), 'expired')
    clock.advance(90_000)
    await pendingBecomes(mailbox, clock, 'd', 0)
    t.equal(await stateOf(mailbox, 'd', 1), 'retention')
  })

  t.test('retention: exceptions can be asked for as long', clocked, async (t) => {
    const clock = new FakeClock()
    const store = await openStore(t, factory, { clock, limits })
    const { epoch } = await fill(store.mailbox, 'd', 3)
    clock.advance(60_000)
    await store.mailbox.cancel('d', 2, null)
    await ack(store.mailbox, 'd', { epoch, seq: 3 })
    clock.advance(60_000) // the message is older than the retention, the exception is not
    await push(store.mailbox, 'd')
    t.equal(await stateOf(store.mailbox, 'd', 2), 'cancelled')
    await store.reopen()
    t.equal(await stateOf(store.mailbox, 'd', 2), 'cancelled')
    clock.advance(39_000)
    t.equal(await stateOf(store.mailbox, 'd', 2), 'cancelled')
  })

  t.test('retention: a record that nobody used for long is removed, others stay', clocked, async (t) => {
    const clock = new FakeClock()
    const idle = { ...limits, retentionSeconds: 1_000_000, idleDeviceSeconds: 500 }
    const store = await openStore(t, factory, { clock, limits: idle })
    await store.mailbox.ensure('unused')
    const handled = await push(store.mailbox, 'handled')
    await ack(store.mailbox, 'handled', handled)
    await push(store.mailbox, 'waiting')
    await store.mailbox.ensure('late')
    await own(store.mailbox, 'owned')
    clock.advance(400_000)
    await store.mailbox.ensure('late')
    clock.advance(99_000)
    t.ok(await store.mailbox.info('unused'), 'not yet')
    clock.advance(2_000)
    await eventually(
      async () => {
        const gone = (await store.mailbox.info('unused')) === null && (await store.mailbox.info('handled')) === null
        if (gone) return true
        clock.advance(1_000) // drivers look from time to time
        return undefined
      },
      4_000,
      'idle records are removed',
    )
    t.ok(await store.mailbox.info('waiting'), 'something is pending')
    t.ok(await store.mailbox.info('owned'), 'connected')
    t.ok(await store.mailbox.info('late'), 'used since')
    const again = await push(store.mailbox, 'handled')
    t.equal(again.seq, 1)
    t.not(again.epoch, handled.epoch, 'a new record is a new history')
  })
}
