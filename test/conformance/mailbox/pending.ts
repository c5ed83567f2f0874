import type { Test } from 'tap'
import { messageSize } from '../../../core/model/message.js'
import { ack, fill, message, push } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'
import { FakeClock } from '../../support/fake-clock.js'
import { needs } from '../factory.js'

/** `pending` is what the device may still receive, in every answer that says it. */
export function pendingConformance(t: Test, factory: StoreFactory): void {
  t.test('pending: every call says the same', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 10)
    await mailbox.cancel('d', 3, null)
    await mailbox.cancel('d', 7, null)
    const acked = await ack(mailbox, 'd', { epoch, seq: 4 })
    const claimed = await mailbox.claim('d', { node: 'n', claimId: 'c' }, { force: false })
    const [head] = await mailbox.heads([{ device: 'd', acked: null }])
    const { devices } = await mailbox.list({ after: null, limit: 10 })
    t.equal(acked.pending, 5)
    t.match(claimed, { ok: true, pending: 5, head: 10, position: { epoch, seq: 4 } })
    t.match(head, { pending: 5, head: 10, cursor: { epoch, seq: 4 } })
    t.match(await mailbox.info('d'), { pending: 5 })
    t.match(devices, [{ device: 'd', pending: 5 }])
  })

  t.test('pending: bytes are the sizes of the pending messages', async (t) => {
    const store = await openStore(t, factory)
    const items = [1, 20, 300, 4000].map((n) => message('d', { payload: Buffer.alloc(n), dedupId: `${n}` }))
    const sizes = items.map(messageSize)
    const total = (...seqs: number[]) => seqs.reduce((sum, seq) => sum + (sizes[seq - 1] ?? 0), 0)
    await store.mailbox.append(items)
    const bytes = async () => (await store.mailbox.info('d'))?.pendingBytes
    t.equal(await bytes(), total(1, 2, 3, 4))
    await store.mailbox.cancel('d', 3, null)
    t.equal(await bytes(), total(1, 2, 4))
    const info = await store.mailbox.info('d')
    await ack(store.mailbox, 'd', { epoch: info?.epoch ?? '', seq: 2 })
    t.equal(await bytes(), total(4))
    await store.reopen()
    t.equal(await bytes(), total(4), 'after reopen')
    await store.mailbox.cancel('d', 4, null)
    t.equal(await bytes(), 0)
  })

  t.test(
    'pending: oldestPendingAt is the time of the first pending message',
    needs(factory.supports.clock),
    async (t) => {
      const clock = new FakeClock()
      const store = await openStore(t, factory, { clock })
      await store.mailbox.ensure('d')
      t.equal((await store.mailbox.info('d'))?.oldestPendingAt, null)
      const ats: number[] = []
      for (let i = 0; i < 4; i++) {
        ats.push((await push(store.mailbox, 'd')).at)
        clock.advance(1000)
      }
      const oldest = async () => (await store.mailbox.info('d'))?.oldestPendingAt
      t.equal(await oldest(), ats[0])
      const epoch = (await store.mailbox.info('d'))?.epoch ?? ''
      await store.mailbox.cancel('d', 2, null)
      await ack(store.mailbox, 'd', { epoch, seq: 1 })
      t.equal(await oldest(), ats[2])
      await store.reopen()
      t.equal(await oldest(), ats[2], 'after reopen')
      await ack(store.mailbox, 'd', { epoch, seq: 4 })
      t.equal(await oldest(), null)
    },
  )
}
