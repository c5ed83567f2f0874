import type { Test } from 'tap'
import { accepted, fill, message, own, push, range, readAll, textOf } from '../messages.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { FakeClock } from '../../support/fake-clock.js'

/** One device is one atomic unit, whatever runs at the same time. */
export function atomicityConformance(t: Test, factory: StoreFactory): void {
  t.test('atomicity: 400 concurrent appends to one device give 400 seqs without a hole', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const results = await Promise.all(range(1, 400).map((i) => push(mailbox, 'd', { payload: `${i}` })))
    t.strictSame(
      results.map((r) => r.seq).toSorted((a, b) => a - b),
      range(1, 400),
    )
    const start = await own(mailbox, 'd')
    const { entries } = await readAll(mailbox, 'd', 'claim-1', start)
    const bySeq = new Map(entries.flatMap((e) => (e.kind === 'message' ? [[e.message.seq, e.message] as const] : [])))
    t.ok(
      results.every((r, i) => textOf(bySeq.get(r.seq)?.payload ?? Buffer.of()) === `${i + 1}`),
      'each answer names the seq at which its message stands',
    )
  })

  t.test('atomicity: producers that wait for each answer keep their own order', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const devices = ['a', 'b', 'c']
    async function produce(producer: number): Promise<void> {
      for (const i of range(1, 20)) {
        await Promise.all(devices.map((device) => push(mailbox, device, { payload: `${producer} ${i}` })))
      }
    }
    await Promise.all(range(1, 8).map(produce))
    for (const device of devices) {
      const start = await own(mailbox, device)
      const { entries } = await readAll(mailbox, device, 'claim-1', start)
      t.equal(entries.length, 160)
      const seen = new Map<string, number>()
      for (const entry of entries) {
        if (entry.kind !== 'message') throw new Error('an exception')
        const [producer = '', i] = textOf(entry.message.payload).split(' ')
        if (Number(i) !== (seen.get(producer) ?? 0) + 1)
          t.fail(`${device}: producer ${producer} is out of order at ${i}`)
        seen.set(producer, Number(i))
      }
    }
  })

  t.test('atomicity: items of one device in one call stand together', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const calls = range(1, 40).map((call) =>
      mailbox.append(range(1, 12).map((i) => message(i % 2 === 0 ? 'a' : 'b', { payload: `${call}` }))),
    )
    for (const results of await Promise.all(calls)) {
      const seqs = results.map((r) => accepted(r).seq)
      const ofA = seqs.filter((_, i) => i % 2 === 1)
      const ofB = seqs.filter((_, i) => i % 2 === 0)
      for (const stretch of [ofA, ofB]) t.strictSame(stretch, range(stretch[0] ?? 0, (stretch[0] ?? 0) + 5))
    }
  })

  t.test('atomicity: no seq is seen before a lower one', async (t) => {
    const { mailbox } = await openStore(t, factory)
    let position = await own(mailbox, 'd')
    const total = 600
    const writing = Promise.all(
      range(1, 6).map(async () => {
        for (let i = 0; i < total / 6; i += 2) await fill(mailbox, 'd', 2)
      }),
    )
    let head = 0
    while (position.seq < total) {
      const page = await readAll(mailbox, 'd', 'claim-1', position)
      const seqs = page.entries.map((entry) => (entry.kind === 'message' ? entry.message.seq : 0))
      t.strictSame(seqs, range(position.seq + 1, position.seq + seqs.length))
      if (page.head < head) t.fail('head went back')
      head = page.head
      position = page.next
    }
    await writing
  })

  t.test('atomicity: pending is head less cursor at every moment when nothing is an exception', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 1)
    const appends = (async () => {
      for (let i = 0; i < 60; i++) await fill(mailbox, 'd', 3)
    })()
    const acks = (async () => {
      for (let seq = 1; seq <= 120; seq++) await mailbox.ack([{ device: 'd', position: { epoch, seq } }])
    })()
    for (let headSeen = 0; headSeen < 181;) {
      const [head] = await mailbox.heads([{ device: 'd', acked: null }])
      const info = await mailbox.info('d')
      if (!head || !info) throw new Error('no device')
      if (head.pending !== head.head - head.cursor.seq) t.fail(`heads: ${JSON.stringify(head)}`)
      if (info.pending !== info.head - info.cursor) t.fail(`info: ${JSON.stringify(info)}`)
      headSeen = head.head
    }
    await Promise.all([appends, acks])
    t.equal((await mailbox.info('d'))?.pending, 181 - 120)
  })

  t.test(
    'atomicity: seqs go on from head whatever the store does in the background',
    needs(factory.supports.clock),
    async (t) => {
      // Time runs fast, so that what a driver puts off comes due all the time; real time lets its timers fire.
      const clock = new FakeClock()
      const limits = {
        inboxMax: 1_000_000,
        inboxMaxBytes: 1 << 30,
        retentionSeconds: 1e9,
        dedupWindowSeconds: 1e9,
        idleDeviceSeconds: 1e9,
      }
      const store = await openStore(t, factory, { clock, limits })
      const devices = range(1, 40).map((i) => `d${i}`)
      const end = performance.now() + 2_000
      let appended = 0
      while (performance.now() < end) {
        clock.advance(2_500)
        const half = devices.slice(20 * (appended % 2), 20 * (appended % 2) + 20)
        const results = (await store.mailbox.append(half.map((device) => message(device)))).map(accepted)
        const expected = Math.floor(appended++ / 2) + 1
        const wrong = results.find((r) => r.seq !== expected)
        if (wrong !== undefined) throw new Error(`call ${appended}: seq ${wrong.seq}, but ${expected} is the next one`)
      }
      await store.reopen()
      const { devices: infos } = await store.mailbox.list({ after: null, limit: 100 })
      t.equal(
        infos.reduce((sum, { pending }) => sum + pending, 0),
        appended * 20,
        'nothing is lost',
      )
    },
  )

  t.test('atomicity: an append answers with the owner of the same moment', async (t) => {
    const { mailbox } = await openStore(t, factory)
    t.equal((await push(mailbox, 'd')).owner, null)
    await own(mailbox, 'd', 'one')
    t.strictSame((await push(mailbox, 'd')).owner, { node: 'node-1', claimId: 'one' })
    // After a claim is granted no append may still answer with the earlier owner.
    await Promise.all(
      range(1, 30).map(async (i) => {
        await push(mailbox, `device-${i}`)
        await own(mailbox, `device-${i}`, `claim-${i}`)
        const { owner } = await push(mailbox, `device-${i}`)
        if (owner?.claimId !== `claim-${i}`) t.fail(`owner ${JSON.stringify(owner)} of device-${i}`)
      }),
    )
    await mailbox.release('d', 'one')
    t.equal((await push(mailbox, 'd')).owner, null)
  })
}
