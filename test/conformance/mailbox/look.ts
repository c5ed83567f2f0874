import type { Test } from 'tap'
import { messageSize } from '../../../core/model/message.js'
import { ack, fill, message, messages, own, push, range, textOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

const ALL = { after: 0, limit: 1000, maxBytes: 1 << 24 }

/** peek, list, info, heads and ensure: calls that only look. */
export function lookConformance(t: Test, factory: StoreFactory): void {
  t.test('peek: pending messages, in order, and nothing changes', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await ack(mailbox, 'd', { epoch, seq: 1 })
    await mailbox.cancel('d', 3, null)
    const before = await mailbox.info('d')
    const peek = await mailbox.peek('d', ALL)
    t.strictSame(
      peek?.messages.map((m) => [m.epoch, m.message.seq, textOf(m.message.payload)]),
      [2, 4, 5].map((seq) => [epoch, seq, `m${seq}`]),
    )
    t.equal(peek?.more, false)
    t.strictSame(await mailbox.info('d'), before)
    t.equal((await mailbox.peek('d', { ...ALL, after: 4 }))?.messages.length, 1)
    t.strictSame(await mailbox.peek('d', { ...ALL, after: 5 }), { messages: [], more: false })
    t.equal(await mailbox.peek('nobody', ALL), null)
    t.equal(await mailbox.info('nobody'), null)
  })

  t.test('peek: paged by count and bytes; more says whether pending messages follow', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await fill(mailbox, 'd', 7)
    await mailbox.cancel('d', 7, null)
    const seen: number[] = []
    let more = true
    while (more) {
      const peek = await mailbox.peek('d', { ...ALL, after: seen.at(-1) ?? 0, limit: 3 })
      if (peek === null) throw new Error('no device')
      seen.push(...peek.messages.map((m) => m.message.seq))
      more = peek.more
    }
    t.strictSame(seen, range(1, 6))
    t.equal((await mailbox.peek('d', { ...ALL, limit: 6 }))?.more, false, 'only an exception follows')
    const size = messageSize(message('d', { payload: 'm1' }))
    t.equal((await mailbox.peek('d', { ...ALL, maxBytes: 2 * size }))?.messages.length, 2)
    t.equal((await mailbox.peek('d', { ...ALL, maxBytes: 2 * size - 1 }))?.messages.length, 1)
    t.match(await mailbox.peek('d', { ...ALL, maxBytes: 1 }), { more: true }, 'the first message always fits')
    t.equal((await mailbox.peek('d', { ...ALL, maxBytes: 1 }))?.messages.length, 1)
  })

  t.test('info: of a new device', async (t) => {
    const { mailbox } = await openStore(t, factory)
    t.equal(await mailbox.info('d'), null)
    await mailbox.ensure('d')
    const info = await mailbox.info('d')
    t.match(info, {
      device: 'd',
      claim: null,
      connectedAt: null,
      head: 0,
      cursor: 0,
      pending: 0,
      pendingBytes: 0,
      oldestPendingAt: null,
    })
    await mailbox.ensure('d')
    t.strictSame(await mailbox.info('d'), info, 'ensure is idempotent')
    const first = await push(mailbox, 'd')
    t.strictSame([first.seq, first.epoch], [1, info?.epoch])
    await mailbox.ensure('d')
    t.match(await mailbox.info('d'), { head: 1, pending: 1 })
  })

  t.test('list: every device once, in the order of the bytes of their ids', async (t) => {
    const store = await openStore(t, factory)
    const ids = ['b', 'a', 'B', 'A', '10', '9', '_', '-', 'a-', 'a.b', 'a:b', 'a@b', 'aa', 'z'.repeat(128), '__proto__']
    await store.mailbox.append(ids.map((id) => message(id)))
    const sorted = ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const pages = async (limit: number) => {
      const seen: string[] = []
      let after: string | null = null
      do {
        const page = await store.mailbox.list({ after, limit })
        if (page.devices.length > limit) t.fail('more than the limit')
        seen.push(...page.devices.map((d) => d.device))
        after = page.next
      } while (after !== null)
      return seen
    }
    for (const limit of [1, 4, 15, 100]) t.strictSame(await pages(limit), sorted, `limit ${limit}`)
    const [info] = (await store.mailbox.list({ after: 'a', limit: 1 })).devices
    t.strictSame(info, await store.mailbox.info(info?.device ?? ''))
    const past = await store.mailbox.list({ after: 'a+', limit: 100 })
    t.equal(past.devices[0]?.device, 'a-', 'after an id that does not exist')
    t.strictSame(await store.mailbox.list({ after: '~', limit: 100 }), { devices: [], next: null })
    await store.reopen()
    t.strictSame(await pages(4), sorted, 'after reopen')
  })

  t.test('list: online ones, offline ones', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const ids = range(10, 40).map((i) => `d${i}`)
    await mailbox.append(ids.map((id) => message(id)))
    const online = ids.filter((_, i) => i % 7 === 0)
    for (const id of online) await own(mailbox, id)
    const pages = async (wanted: boolean, isGone?: (node: string) => boolean) => {
      const seen: string[] = []
      let after: string | null = null
      do {
        const query = { after, limit: 5, online: wanted }
        const page = await mailbox.list(isGone === undefined ? query : { ...query, isGone })
        seen.push(...page.devices.map((d) => d.device))
        after = page.next
      } while (after !== null)
      return seen
    }
    t.strictSame(await pages(true), online)
    t.strictSame(
      await pages(false),
      ids.filter((id) => !online.includes(id)),
    )
    const asked = new Set<string>()
    const gone = (node: string): boolean => asked.add(node).size > 0
    t.strictSame(await pages(true, gone), [], 'claims of a node that is gone')
    t.strictSame(await pages(false, gone), ids)
    t.strictSame([...asked], [(await mailbox.info(online[0] ?? ''))?.claim?.node])
    t.strictSame(await pages(true, () => false), online)
    await mailbox.release(online[0] ?? '', 'claim-1')
    t.strictSame(await pages(true), online.slice(1))
  })

  t.test('heads: in order of the items, with what the ack resolves to now', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const a = await fill(mailbox, 'a', 5)
    await mailbox.ensure('b')
    await ack(mailbox, 'a', { epoch: a.epoch, seq: 2 })
    await own(mailbox, 'a', 'c')
    const heads = await mailbox.heads([
      { device: 'nobody', acked: null },
      { device: 'a', acked: { epoch: a.epoch, seq: 4 } },
      { device: 'a', acked: { epoch: a.epoch, seq: 9 } },
      { device: 'a', acked: { epoch: 'unknown', seq: 1 } },
      { device: 'b', acked: null },
    ])
    const common = {
      claim: { node: 'node-1', claimId: 'c' },
      generation: mailbox.generation,
      lastEpoch: a.epoch,
      head: 5,
      cursor: { epoch: a.epoch, seq: 2 },
      pending: 3,
      oldestPendingAt: (await mailbox.info('a'))?.oldestPendingAt ?? null,
    }
    t.type(common.oldestPendingAt, 'number')
    t.equal(heads[0], null)
    t.strictSame(heads.slice(1, 4), [
      { ...common, ackedSeq: 4 },
      { ...common, ackedSeq: 5 },
      { ...common, ackedSeq: null },
    ])
    t.match(heads[4], { claim: null, head: 0, cursor: { seq: 0 }, pending: 0, oldestPendingAt: null, ackedSeq: null })
    t.match(await mailbox.info('a'), { cursor: 2 }, 'heads changes nothing')
    t.equal(await mailbox.info('nobody'), null)
  })

  t.test('ping: resolves while the store serves', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await mailbox.ping()
    await mailbox.append(messages('d', 1))
    await mailbox.ping()
  })
}
