import type { Test } from 'tap'
import { ack, eventually, fill, outline, own, range, readAll, stateOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

/** Exceptions: seqs that will not be delivered, and how cursors and reads treat them. */
export function exceptionsConformance(t: Test, factory: StoreFactory): void {
  t.test('exceptions: right after the cursor, the cursor moves over them by itself', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await mailbox.cancel('d', 1, null)
    t.match(await mailbox.info('d'), { cursor: 1, pending: 4 })
    await mailbox.cancel('d', 3, null)
    t.match(await mailbox.info('d'), { cursor: 1, pending: 3 }, '2 stands before it')
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 2 }), { counted: true, cursor: 3, pending: 2 })
  })

  t.test('exceptions: an ack goes over all that follow it, and over those before it', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 9)
    for (const seq of [2, 5, 6, 7]) await mailbox.cancel('d', seq, null)
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 4 }), { counted: true, cursor: 7, pending: 2 })
    await mailbox.cancel('d', 9, null)
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 8 }), { counted: true, cursor: 9, pending: 0 })
  })

  t.test('exceptions: read as entries among the messages', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    await fill(mailbox, 'd', 6)
    for (const seq of [2, 3, 6]) await mailbox.cancel('d', seq, null)
    const page = await readAll(mailbox, 'd', 'claim-1', start)
    t.strictSame(outline(page.entries), ['1', '2 cancelled', '3 cancelled', '4', '5', '6 cancelled'])
    t.equal(page.next.seq, 6)
    for (const entry of page.entries) t.equal(entry.epoch, start.epoch)
  })

  t.test('exceptions: an entry holds nothing at or before the position', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 6)
    await own(mailbox, 'd')
    for (const seq of [2, 3, 4, 5]) await mailbox.cancel('d', seq, null)
    const { entries } = await readAll(mailbox, 'd', 'claim-1', { epoch, seq: 3 })
    t.strictSame(outline(entries), ['4 cancelled', '5 cancelled', '6'])
  })

  t.test('exceptions: kept below the cursor', async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 6)
    for (const seq of [2, 4]) await store.mailbox.cancel('d', seq, null)
    await ack(store.mailbox, 'd', { epoch, seq: 6 })
    const states = async () => Promise.all(range(1, 6).map((seq) => stateOf(store.mailbox, 'd', seq)))
    const expected = ['handled', 'cancelled', 'handled', 'cancelled', 'handled', 'handled']
    t.strictSame(await states(), expected)
    await store.reopen()
    t.strictSame(await states(), expected, 'after reopen')
  })

  t.test('exceptions: a message on the wire that is acknowledged after all is handled', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    const { epoch } = await fill(mailbox, 'd', 4)
    await readAll(mailbox, 'd', 'claim-1', start)
    await ack(mailbox, 'd', start, { epoch, seq: 4 })
    t.strictSame(await mailbox.cancel('d', 2, null), { kind: 'cancelled', maybeDelivered: true })
    t.equal(await stateOf(mailbox, 'd', 2), 'cancelled')
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 1 }), { counted: true, cursor: 2, pending: 2 })
    t.equal(await stateOf(mailbox, 'd', 2), 'cancelled', 'not acknowledged yet')
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 2 }), { counted: true, cursor: 2, pending: 2 })
    t.equal(await stateOf(mailbox, 'd', 2), 'handled')
    t.match(await mailbox.info('d'), { cursor: 2, pending: 2 })
  })

  t.test('exceptions: of neighbours on the wire, exactly those that an ack covers are handled', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd')
    const { epoch } = await fill(mailbox, 'd', 4)
    await readAll(mailbox, 'd', 'claim-1', start)
    for (const seq of [2, 3, 4]) await mailbox.cancel('d', seq, null)
    await ack(mailbox, 'd', { epoch, seq: 3 }, { epoch, seq: 4 })
    const states = async () => Promise.all(range(1, 4).map((seq) => stateOf(mailbox, 'd', seq)))
    t.strictSame(await states(), ['handled', 'handled', 'handled', 'cancelled'])
    t.match(await mailbox.info('d'), { cursor: 4, pending: 0, pendingBytes: 0 })
  })

  t.test('exceptions: one that a read left out stays an exception', async (t) => {
    const store = await openStore(t, factory)
    const start = await own(store.mailbox, 'd')
    const { epoch } = await fill(store.mailbox, 'd', 3)
    await store.mailbox.cancel('d', 2, null)
    await readAll(store.mailbox, 'd', 'claim-1', start)
    await ack(store.mailbox, 'd', { epoch, seq: 3 })
    t.equal(await stateOf(store.mailbox, 'd', 2), 'cancelled')
    await store.reopen()
    t.equal(await stateOf(store.mailbox, 'd', 2), 'cancelled')
  })

  t.test('exceptions: a read says nothing of what lies before its position', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await own(mailbox, 'd')
    const { epoch } = await fill(mailbox, 'd', 3)
    for (const seq of [1, 2]) await mailbox.cancel('d', seq, null)
    await readAll(mailbox, 'd', 'claim-1', { epoch, seq: 1 }) // 1 is on the wire, 2 is left out
    await ack(mailbox, 'd', { epoch, seq: 1 })
    t.equal(await stateOf(mailbox, 'd', 1), 'handled')
    await ack(mailbox, 'd', { epoch, seq: 3 })
    t.equal(await stateOf(mailbox, 'd', 2), 'cancelled')
  })

  t.test('exceptions: one of an earlier claim stays an exception', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd', 'one')
    const { epoch } = await fill(mailbox, 'd', 3)
    await readAll(mailbox, 'd', 'one', start)
    await mailbox.cancel('d', 2, null)
    await own(mailbox, 'd', 'two')
    await readAll(mailbox, 'd', 'two', start)
    await ack(mailbox, 'd', { epoch, seq: 3 })
    t.equal(await stateOf(mailbox, 'd', 2), 'cancelled')
  })

  t.test('exceptions: at most 1,000 ranges are kept below the cursor; older messages are gone', async (t) => {
    const store = await openStore(t, factory, { limits: { inboxMax: 5000 } })
    const { epoch } = await fill(store.mailbox, 'd', 2200)
    for (let seq = 2; seq <= 2200; seq += 2) await store.mailbox.cancel('d', seq, null)
    const before = await store.mailbox.info('d')
    t.match(before, { cursor: 0, pending: 1100 })
    t.equal(await stateOf(store.mailbox, 'd', 2), 'cancelled', 'above the cursor every one is needed')
    t.match(await ack(store.mailbox, 'd', { epoch, seq: 2199 }), { cursor: 2200, pending: 0 })
    t.equal(await stateOf(store.mailbox, 'd', 2200), 'cancelled')
    t.equal(await stateOf(store.mailbox, 'd', 2199), 'handled')
    t.equal(await stateOf(store.mailbox, 'd', 300), 'cancelled', 'within the newest 1,000')
    await store.reopen()
    const forgotten = async () => ((await stateOf(store.mailbox, 'd', 2)) === 'gone' ? true : undefined)
    await eventually(forgotten, 3_000, 'the oldest ranges are forgotten, if only in the background')
    t.equal(await stateOf(store.mailbox, 'd', 1), 'gone', 'whether 1 was an exception is not known any more')
    t.equal(await stateOf(store.mailbox, 'd', 300), 'cancelled')
    t.equal(await stateOf(store.mailbox, 'd', 301), 'handled')
  })
}
