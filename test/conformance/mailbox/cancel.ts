import type { Test } from 'tap'
import { ack, fill, outline, own, push, range, readAll, stateOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

/** `cancel` makes a pending message an exception; `state` says what became of each. */
export function cancelConformance(t: Test, factory: StoreFactory): void {
  t.test('cancel: a pending message is not delivered', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    t.strictSame(await mailbox.cancel('d', 2, epoch), { kind: 'cancelled', maybeDelivered: false })
    t.equal(await stateOf(mailbox, 'd', 2), 'cancelled')
    const start = await own(mailbox, 'd')
    t.strictSame(outline((await readAll(mailbox, 'd', 'claim-1', start)).entries), ['1', '2 cancelled', '3'])
    const peek = await mailbox.peek('d', { after: 0, limit: 9, maxBytes: 9999 })
    t.strictSame(
      peek?.messages.map((m) => m.message.seq),
      [1, 3],
    )
  })

  t.test('cancel: idempotent, with the same answer', async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 4)
    await ack(store.mailbox, 'd', { epoch, seq: 0 }, { epoch, seq: 2 })
    for (const seq of [4, 2, 1, 3]) {
      const first = await store.mailbox.cancel('d', seq, null)
      t.strictSame(first, { kind: 'cancelled', maybeDelivered: seq <= 2 })
      t.strictSame(await store.mailbox.cancel('d', seq, epoch), first, `${seq} again`)
    }
    t.match(await store.mailbox.info('d'), { cursor: 4, pending: 0 })
    for (const seq of range(1, 4)) {
      t.match(await store.mailbox.cancel('d', seq, null), { kind: 'cancelled' }, `${seq}, below the cursor`)
    }
    await store.reopen()
    t.match(await store.mailbox.cancel('d', 1, null), { kind: 'cancelled' }, 'after reopen')
  })

  t.test('cancel: maybeDelivered by the sent watermark', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await ack(mailbox, 'd', { epoch, seq: 1 }, { epoch, seq: 3 })
    t.strictSame(await mailbox.cancel('d', 3, null), { kind: 'cancelled', maybeDelivered: true })
    t.strictSame(await mailbox.cancel('d', 4, null), { kind: 'cancelled', maybeDelivered: false })
  })

  t.test('cancel: a handled message stays handled', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 2)
    await ack(mailbox, 'd', { epoch, seq: 1 })
    t.strictSame(await mailbox.cancel('d', 1, epoch), { kind: 'already_handled' })
    t.equal(await stateOf(mailbox, 'd', 1), 'handled')
  })

  t.test('cancel: another epoch, no such seq, no such device', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await fill(mailbox, 'd', 2)
    t.strictSame(await mailbox.cancel('d', 1, 'other'), { kind: 'gone' })
    t.strictSame(await mailbox.cancel('d', 3, null), { kind: 'gone' })
    t.strictSame(await mailbox.cancel('d', 0, null), { kind: 'gone' })
    t.strictSame(await mailbox.cancel('nobody', 1, null), { kind: 'no_device' })
    t.match(await mailbox.info('d'), { pending: 2, cursor: 0 })
    t.equal(await mailbox.info('nobody'), null)
  })

  t.test('cancel: an exception of another reason keeps its reason', async (t) => {
    const { mailbox } = await openStore(t, factory, { limits: { inboxMax: 1, overflow: 'drop-oldest' } })
    await fill(mailbox, 'd', 2)
    const result = await mailbox.cancel('d', 1, null)
    t.not(result.kind, 'cancelled')
    t.equal(await stateOf(mailbox, 'd', 1), 'overflow')
    t.match(await mailbox.info('d'), { cursor: 1, pending: 1 })
  })

  t.test('cancel: against an ack at the same moment, one of the two is true', async (t) => {
    const { mailbox } = await openStore(t, factory)
    for (const i of range(1, 30)) {
      const device = `d${i}`
      const { epoch } = await fill(mailbox, device, 3)
      const [cancelled] = await Promise.all([mailbox.cancel(device, 2, epoch), ack(mailbox, device, { epoch, seq: 2 })])
      const state = await stateOf(mailbox, device, 2)
      t.equal(state, cancelled.kind === 'cancelled' ? 'cancelled' : 'handled')
      t.match(await mailbox.info(device), { cursor: 2, pending: 1 })
    }
  })
}

export function stateConformance(t: Test, factory: StoreFactory): void {
  t.test('state: queued, sent, handled', async (t) => {
    const store = await openStore(t, factory)
    const { epoch, at } = await fill(store.mailbox, 'd', 4)
    t.match(await store.mailbox.state('d', 1, epoch), {
      kind: 'known',
      epoch,
      seq: 1,
      state: 'queued',
      expiresAt: null,
    })
    t.match(await store.mailbox.state('d', 4, null), { kind: 'known', epoch, seq: 4, state: 'queued', at })
    await ack(store.mailbox, 'd', { epoch, seq: 1 }, { epoch, seq: 2 })
    const states = async () => Promise.all(range(1, 4).map((seq) => stateOf(store.mailbox, 'd', seq, epoch)))
    t.strictSame(await states(), ['handled', 'sent', 'queued', 'queued'])
    await store.reopen()
    t.strictSame(await states(), ['handled', 'sent', 'queued', 'queued'], 'after reopen')
  })

  t.test('state: the sent watermark moves nothing else, is clamped, and never goes back', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    const nothing = { epoch, seq: 0 }
    t.strictSame(await ack(mailbox, 'd', nothing, { epoch, seq: 2 }), { counted: true, cursor: 0, pending: 3 })
    await ack(mailbox, 'd', nothing, { epoch, seq: 1 })
    t.equal(await stateOf(mailbox, 'd', 2), 'sent')
    await ack(mailbox, 'd', nothing, { epoch: 'unknown', seq: 3 })
    t.equal(await stateOf(mailbox, 'd', 3), 'queued')
    await ack(mailbox, 'd', nothing, { epoch, seq: 1000 })
    t.equal(await stateOf(mailbox, 'd', 3), 'sent')
    await push(mailbox, 'd')
    t.equal(await stateOf(mailbox, 'd', 4), 'queued')
  })

  t.test('state: what an earlier connection was sent is read as redelivered', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd', 'one')
    const { epoch } = await fill(mailbox, 'd', 4)
    await ack(mailbox, 'd', { epoch, seq: 1 }, { epoch, seq: 3 })
    const again = await own(mailbox, 'd', 'two')
    t.equal(again.seq, 1)
    t.strictSame(outline((await readAll(mailbox, 'd', 'two', again)).entries), ['2*', '3*', '4'])
    t.strictSame(
      outline((await readAll(mailbox, 'd', 'two', start)).entries),
      ['2*', '3*', '4'],
      'handled ones are left out',
    )
  })

  t.test('state: of no message and of no device', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 2)
    t.strictSame(await mailbox.state('d', 3, null), { kind: 'gone' })
    t.strictSame(await mailbox.state('d', 3, epoch), { kind: 'gone' })
    t.strictSame(await mailbox.state('d', 0, null), { kind: 'gone' })
    t.strictSame(await mailbox.state('d', 1, 'other'), { kind: 'gone' })
    t.strictSame(await mailbox.state('nobody', 1, null), { kind: 'no_device' })
    await ack(mailbox, 'd', { epoch, seq: 2 })
    t.equal(await stateOf(mailbox, 'd', 1, 'other'), 'gone', 'handled ones too')
    t.equal(await stateOf(mailbox, 'd', 3), 'gone')
  })
}
