import type { Test } from 'tap'
import { ack, fill, outline, own, push, readAll, stateOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

/** G5: a cursor moves only over what was acknowledged, and over exceptions. */
export function cursorsConformance(t: Test, factory: StoreFactory): void {
  t.test('cursors: an ack moves the cursor, and handled messages leave', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 2 }), { counted: true, cursor: 2, pending: 3 })
    t.match(await mailbox.info('d'), { cursor: 2, pending: 3, head: 5 })
    const peek = await mailbox.peek('d', { after: 0, limit: 10, maxBytes: 1 << 20 })
    t.strictSame(
      peek?.messages.map((m) => m.message.seq),
      [3, 4, 5],
    )
  })

  t.test('cursors: never go back, also when acks come late or twice', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await ack(mailbox, 'd', { epoch, seq: 4 })
    for (const seq of [0, 3, 4]) {
      t.strictSame(await ack(mailbox, 'd', { epoch, seq }), { counted: true, cursor: 4, pending: 1 }, `ack ${seq}`)
    }
  })

  t.test('cursors: an ack past the head counts up to the head, what comes later is not handled', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    t.strictSame(await ack(mailbox, 'd', { epoch, seq: 1000 }), { counted: true, cursor: 3, pending: 0 })
    await push(mailbox, 'd')
    t.match(await mailbox.info('d'), { cursor: 3, pending: 1 })
  })

  t.test('cursors: an ack of an unknown epoch, or of no device, is ignored', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    await ack(mailbox, 'd', { epoch, seq: 1 })
    t.strictSame(await ack(mailbox, 'd', { epoch: 'unknown', seq: 3 }), { counted: false, cursor: 1, pending: 2 })
    t.strictSame(await ack(mailbox, 'd', { epoch: '', seq: 3 }), { counted: false, cursor: 1, pending: 2 })
    t.match(await ack(mailbox, 'nobody', { epoch, seq: 3 }), { counted: false })
    t.equal(await mailbox.info('nobody'), null, 'an ack creates no device')
  })

  t.test('cursors: acks are merged whoever brings them', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    t.match(await ack(mailbox, 'd', { epoch, seq: 1 }), { counted: true, cursor: 1 }, 'no claim')
    await own(mailbox, 'd', 'one')
    await own(mailbox, 'd', 'two')
    t.match(await ack(mailbox, 'd', { epoch, seq: 2 }), { counted: true, cursor: 2 }, 'flushed by whom does not matter')
    await mailbox.release('d', 'two')
    t.match(await ack(mailbox, 'd', { epoch, seq: 3 }), { counted: true, cursor: 3 }, 'after the release')
  })

  t.test('cursors: one call acknowledges for many devices, and twice for one', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const a = await fill(mailbox, 'a', 5)
    const b = await fill(mailbox, 'b', 5)
    const results = await mailbox.ack([
      { device: 'a', position: { epoch: a.epoch, seq: 2 } },
      { device: 'b', position: { epoch: 'unknown', seq: 2 } },
      { device: 'nobody', position: { epoch: a.epoch, seq: 2 } },
      { device: 'a', position: { epoch: a.epoch, seq: 4 } },
      { device: 'b', position: { epoch: b.epoch, seq: 1 } },
    ])
    t.match(results, [
      { counted: true, cursor: 2, pending: 3 },
      { counted: false, cursor: 0, pending: 5 },
      { counted: false },
      { counted: true, cursor: 4, pending: 1 },
      { counted: true, cursor: 1, pending: 4 },
    ])
  })

  t.test('cursors: concurrent acks end at the highest', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 100)
    const seqs = Array.from({ length: 90 }, (_, i) => ((i * 37) % 90) + 1)
    await Promise.all(seqs.map((seq) => ack(mailbox, 'd', { epoch, seq })))
    t.match(await mailbox.info('d'), { cursor: 90, pending: 10 })
  })

  t.test('cursors: the same after reopen', async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 5)
    await ack(store.mailbox, 'd', { epoch, seq: 2 }, { epoch, seq: 4 })
    await store.reopen()
    t.match(await store.mailbox.info('d'), { cursor: 2, pending: 3, head: 5, epoch })
    const start = await own(store.mailbox, 'd')
    t.strictSame(start, { epoch, seq: 2 })
    const { entries } = await readAll(store.mailbox, 'd', 'claim-1', start)
    t.strictSame(outline(entries), ['3*', '4*', '5'], 'the sent watermark too')
    t.equal(await stateOf(store.mailbox, 'd', 1), 'handled')
  })
}
