import type { Test } from 'tap'
import { messageSize } from '../../../core/model/message.js'
import { accepted, ack, fill, message, messages, outline, own, push, readAll, stateOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

const reject = (inboxMax: number, inboxMaxBytes = 1 << 24) => ({
  limits: { inboxMax, inboxMaxBytes, overflow: 'reject' as const },
})
const FULL = { ok: false, code: 'inbox_full' }

/** The caps with the policy `reject`. */
export function capsConformance(t: Test, factory: StoreFactory): void {
  t.test('caps: the message past the count is refused, and room comes back with an ack', async (t) => {
    const { mailbox } = await openStore(t, factory, reject(3))
    const { epoch } = await fill(mailbox, 'd', 3)
    t.strictSame(await mailbox.append([message('d')]), [FULL])
    t.match(await mailbox.append([message('other')]), [{ ok: true }], 'others have caps of their own')
    await ack(mailbox, 'd', { epoch, seq: 1 })
    t.match(await mailbox.append([message('d'), message('d')]), [{ ok: true, seq: 4 }, FULL])
  })

  t.test('caps: a refused message takes no seq', async (t) => {
    const { mailbox } = await openStore(t, factory, reject(3))
    const results = await mailbox.append(messages('d', 5))
    t.match(results, [{ seq: 1 }, { seq: 2 }, { seq: 3 }, FULL, FULL])
    const info = await mailbox.info('d')
    t.match(info, { head: 3, pending: 3 })
    await ack(mailbox, 'd', accepted(results[2]))
    t.equal((await push(mailbox, 'd')).seq, 4)
  })

  t.test('caps: by bytes, to the byte', async (t) => {
    const item = message('d', { payload: Buffer.alloc(1000), dedupId: null, attributes: [['key', 'value']] })
    const size = messageSize(item)
    const { mailbox } = await openStore(t, factory, reject(1000, 3 * size))
    t.match(await mailbox.append([item, item]), [{ ok: true }, { ok: true }])
    t.equal((await mailbox.info('d'))?.pendingBytes, 2 * size)
    const oneMore = message('d', { payload: Buffer.alloc(1001), attributes: [['key', 'value']] })
    t.strictSame(await mailbox.append([oneMore]), [FULL], 'one byte too many')
    t.match(await mailbox.append([item]), [{ ok: true, seq: 3 }], 'exactly full is not too full')
    t.strictSame(await mailbox.append([message('d', { payload: '' })]), [FULL])
  })

  t.test('caps: a message that is larger than the byte cap never fits', async (t) => {
    const { mailbox } = await openStore(t, factory, reject(10, 2000))
    const large = message('d', { payload: Buffer.alloc(2001) })
    t.strictSame(await mailbox.append([large]), [FULL])
    t.match(await mailbox.append([large, message('d')]), [FULL, { ok: true, seq: 1 }], 'it fails alone')
  })

  t.test('caps: exceptions leave room at once', async (t) => {
    const { mailbox } = await openStore(t, factory, reject(3))
    await fill(mailbox, 'd', 3)
    await mailbox.cancel('d', 2, null)
    t.match(await mailbox.append([message('d'), message('d')]), [{ ok: true, seq: 4 }, FULL])
  })

  t.test('caps: never passed by concurrent appends', async (t) => {
    const { mailbox } = await openStore(t, factory, reject(50))
    const results = await Promise.all(Array.from({ length: 40 }, () => mailbox.append(messages('d', 3))))
    t.equal(results.flat().filter((r) => r.ok).length, 50)
    t.match(await mailbox.info('d'), { head: 50, pending: 50 })
  })

  t.test('caps: hold after reopen', async (t) => {
    const store = await openStore(t, factory, reject(3))
    await fill(store.mailbox, 'd', 3)
    await store.reopen()
    t.strictSame(await store.mailbox.append([message('d')]), [FULL])
  })
}

const dropOldest = (inboxMax: number, inboxMaxBytes = 1 << 24) => ({
  limits: { inboxMax, inboxMaxBytes, overflow: 'drop-oldest' as const },
})

/** The caps with the policy `drop-oldest`. */
export function overflowConformance(t: Test, factory: StoreFactory): void {
  t.test('overflow: the oldest pending messages become exceptions, the cursor moves over them', async (t) => {
    const { mailbox } = await openStore(t, factory, dropOldest(3))
    const start = await own(mailbox, 'd')
    const results = (await mailbox.append(messages('d', 5))).map(accepted)
    t.equal(results.at(-1)?.seq, 5)
    t.match(await mailbox.info('d'), { head: 5, cursor: 2, pending: 3 })
    const { entries } = await readAll(mailbox, 'd', 'claim-1', start)
    t.strictSame(outline(entries), ['1 overflow', '2 overflow', '3', '4', '5'])
    t.equal(await stateOf(mailbox, 'd', 1), 'overflow')
    t.equal(await stateOf(mailbox, 'd', 3), 'queued')
  })

  t.test('overflow: what is handled or an exception already is not dropped again', async (t) => {
    const { mailbox } = await openStore(t, factory, dropOldest(3))
    const { epoch } = await fill(mailbox, 'd', 3)
    await mailbox.cancel('d', 2, null)
    t.match(await mailbox.info('d'), { cursor: 0, pending: 2 })
    await push(mailbox, 'd') // 1 3 4
    t.equal(await stateOf(mailbox, 'd', 1), 'queued')
    await push(mailbox, 'd') // drops 1; 2 is cancelled; 3 4 5
    t.match(await mailbox.info('d'), { head: 5, cursor: 2, pending: 3 })
    t.equal(await stateOf(mailbox, 'd', 1), 'overflow')
    t.equal(await stateOf(mailbox, 'd', 2), 'cancelled')
    await ack(mailbox, 'd', { epoch, seq: 4 })
    await fill(mailbox, 'd', 2)
    t.match(await mailbox.info('d'), { head: 7, cursor: 4, pending: 3 })
    t.equal(await stateOf(mailbox, 'd', 3), 'handled')
  })

  t.test('overflow: by bytes, as many as are needed', async (t) => {
    const small = message('d', { payload: Buffer.alloc(100) })
    const large = message('d', { payload: Buffer.alloc(600) })
    const size = messageSize(small)
    const { mailbox } = await openStore(t, factory, dropOldest(100, 5 * size))
    await mailbox.append([small, small, small, small, small])
    await mailbox.append([large])
    const dropped = Math.ceil(messageSize(large) / size)
    t.match(await mailbox.info('d'), {
      head: 6,
      cursor: dropped,
      pending: 6 - dropped,
      pendingBytes: (5 - dropped) * size + messageSize(large),
    })
  })

  t.test('overflow: a message that fits not even alone is refused, and nothing is dropped for it', async (t) => {
    const { mailbox } = await openStore(t, factory, dropOldest(10, 1000))
    await fill(mailbox, 'd', 3)
    t.strictSame(await mailbox.append([message('d', { payload: Buffer.alloc(1000) })]), [FULL])
    t.match(await mailbox.info('d'), { head: 3, cursor: 0, pending: 3 })
  })

  t.test('overflow: a dropped message was accepted, its retry is a duplicate', async (t) => {
    const { mailbox } = await openStore(t, factory, dropOldest(1))
    const first = await push(mailbox, 'd', { dedupId: 'x' })
    await push(mailbox, 'd')
    t.strictSame(await push(mailbox, 'd', { dedupId: 'x' }), { ...first, duplicate: true, owner: null })
    t.equal(await stateOf(mailbox, 'd', 1), 'overflow')
    t.equal(await stateOf(mailbox, 'd', 2), 'queued', 'a duplicate drops nothing')
  })

  t.test('overflow: the same after reopen', async (t) => {
    const store = await openStore(t, factory, dropOldest(3))
    await fill(store.mailbox, 'd', 5)
    await store.reopen()
    t.match(await store.mailbox.info('d'), { head: 5, cursor: 2, pending: 3 })
    t.equal(await stateOf(store.mailbox, 'd', 2), 'overflow')
    await fill(store.mailbox, 'd', 1)
    t.match(await store.mailbox.info('d'), { head: 6, cursor: 3, pending: 3 })
  })
}
