import type { Test } from 'tap'
import type { Position } from '../../../core/model/message.js'
import type { Mailbox, ResumeResult } from '../../../core/ports/mailbox.js'
import { ack, eventually, fill, outline, own, push, readAll, stateOf } from '../messages.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { FakeClock } from '../../support/fake-clock.js'

type Resumed = Extract<ResumeResult, { kind: 'resumed' }>

async function resume(mailbox: Mailbox, position: Position | null): Promise<Resumed> {
  const result = await mailbox.resume({ device: 'd', claimId: 'claim-1', position })
  if (result.kind !== 'resumed') throw new Error(`not resumed: ${JSON.stringify(result)}`)
  return result
}

/** One word for each gap: `2-4 overflow`. */
const gapsOf = ({ gaps }: Resumed): string[] => gaps.map(({ from, to, reason }) => `${from}-${to} ${reason}`)

/** What a stream device's hello asks: G5, G10 and the gaps of G3. */
export function resumeConformance(t: Test, factory: StoreFactory): void {
  const clocked = needs(factory.supports.clock)
  const generations = needs(factory.supports.generation)

  t.test('resume: a valid position counts as an ack, and delivery begins at the cursor', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await own(mailbox, 'd')
    t.strictSame(await resume(mailbox, { epoch, seq: 2 }), {
      kind: 'resumed',
      found: 'valid',
      position: { epoch, seq: 2 },
      head: 5,
      lastEpoch: epoch,
      gaps: [],
    })
    t.match(await mailbox.info('d'), { cursor: 2, pending: 3 })
    t.equal(await stateOf(mailbox, 'd', 2), 'handled')
    t.match(await resume(mailbox, { epoch, seq: 5 }), { found: 'valid', position: { seq: 5 } }, 'up to the head')
  })

  t.test('resume: without a position nothing counts, and what was handled is told', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await own(mailbox, 'd')
    t.match(await resume(mailbox, null), { found: 'none', position: { epoch, seq: 0 }, head: 5, gaps: [] })
    await ack(mailbox, 'd', { epoch, seq: 3 })
    const result = await resume(mailbox, null)
    t.match(result, { found: 'none', position: { epoch, seq: 3 } })
    t.strictSame(gapsOf(result), ['1-3 handled-elsewhere'])
    t.match(await mailbox.info('d'), { cursor: 3, pending: 2 })
  })

  t.test('resume: a position behind the cursor is told what lies between', async (t) => {
    const { mailbox } = await openStore(t, factory, { limits: { inboxMax: 4, overflow: 'drop-oldest' } })
    const { epoch } = await fill(mailbox, 'd', 6)
    await ack(mailbox, 'd', { epoch, seq: 3 })
    await mailbox.cancel('d', 4, null)
    await own(mailbox, 'd')
    await ack(mailbox, 'd', { epoch, seq: 5 })
    const words = async (seq: number): Promise<string[]> => gapsOf(await resume(mailbox, { epoch, seq }))
    t.strictSame(await words(0), ['1-2 overflow', '3-3 handled-elsewhere', '5-5 handled-elsewhere'])
    t.strictSame(await words(1), ['2-2 overflow', '3-3 handled-elsewhere', '5-5 handled-elsewhere'], 'from the middle')
    t.strictSame(await words(3), ['5-5 handled-elsewhere'], 'a cancelled message is silent')
    t.strictSame(await words(5), [])
    t.match(await mailbox.info('d'), { cursor: 5, pending: 1 })
  })

  t.test('resume: exceptions that follow the position are passed, and told', async (t) => {
    const { mailbox } = await openStore(t, factory, { limits: { inboxMax: 3, overflow: 'drop-oldest' } })
    const { epoch } = await fill(mailbox, 'd', 3)
    await own(mailbox, 'd')
    const { position } = await resume(mailbox, { epoch, seq: 1 })
    t.equal(position.seq, 1)
    await fill(mailbox, 'd', 2)
    await mailbox.cancel('d', 4, null)
    const result = await resume(mailbox, { epoch, seq: 1 })
    t.match(result, { found: 'valid', position: { epoch, seq: 2 }, head: 5 })
    t.strictSame(gapsOf(result), ['2-2 overflow'])
    await mailbox.cancel('d', 3, null)
    t.strictSame(gapsOf(await resume(mailbox, { epoch, seq: 1 })), ['2-2 overflow'])
    t.match(await mailbox.info('d'), { cursor: 4, pending: 1 })
  })

  t.test('resume: expired is silent, retention is told', clocked, async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock, limits: { retentionSeconds: 100 } })
    const { epoch } = await fill(mailbox, 'd', 2)
    await push(mailbox, 'd', { ttl: 5 })
    clock.advance(50_000)
    await push(mailbox, 'd')
    await own(mailbox, 'd')
    t.match(await resume(mailbox, null), { position: { epoch, seq: 0 }, gaps: [] })
    clock.advance(50_001)
    await eventually(async () => ((await mailbox.info('d'))?.cursor === 3 ? true : undefined))
    t.strictSame(gapsOf(await resume(mailbox, null)), ['1-2 retention'])
  })

  t.test('resume: what was forgotten is told as retention', async (t) => {
    const { mailbox } = await openStore(t, factory, { limits: { inboxMax: 5_000 } })
    const { epoch } = await fill(mailbox, 'd', 2_400)
    for (let seq = 2; seq <= 2_400; seq += 2) await mailbox.cancel('d', seq, null)
    await ack(mailbox, 'd', { epoch, seq: 2_399 })
    await own(mailbox, 'd')
    const [, ...rest] = await eventually(
      async () => {
        const { gaps } = await resume(mailbox, null)
        return gaps[0]?.reason === 'retention' ? gaps : undefined
      },
      3_000,
      'the oldest ranges are forgotten, if only in the background',
    )
    t.ok(rest.length >= 990 && rest.length <= 1_000 && rest.every(({ reason }) => reason === 'handled-elsewhere'))
    t.equal(rest.at(-1)?.to, 2_399)
  })

  t.test('resume: an unknown epoch moves nothing and tells nothing', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await ack(mailbox, 'd', { epoch, seq: 1 })
    await own(mailbox, 'd')
    const result = await resume(mailbox, { epoch: 'unknown', seq: 4 })
    t.match(result, { found: 'unknown', position: { epoch, seq: 1 }, head: 5, gaps: [] })
    t.match(await mailbox.info('d'), { cursor: 1, pending: 4 })
    await mailbox.purge('d')
    await fill(mailbox, 'd', 2)
    await own(mailbox, 'd')
    t.match(await resume(mailbox, { epoch, seq: 5 }), { found: 'unknown', position: { seq: 0 }, head: 2 }, 'purged')
  })

  t.test('resume: a position past the end of its stretch counts up to there', generations, async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 3)
    await own(store.mailbox, 'd')
    const past = await resume(store.mailbox, { epoch, seq: 4 })
    t.match(past, { found: 'past', position: { epoch, seq: 3 }, gaps: [] })
    await store.changeGeneration()
    const later = await fill(store.mailbox, 'd', 3)
    await own(store.mailbox, 'd')
    t.match(await resume(store.mailbox, { epoch, seq: 5 }), {
      found: 'past',
      position: { epoch, seq: 3 },
      head: 6,
      lastEpoch: later.epoch,
      gaps: [],
    })
    t.match(await resume(store.mailbox, { epoch, seq: 3 }), { found: 'valid', position: { epoch, seq: 3 } })
    const { epoch: second } = later
    t.match(await resume(store.mailbox, { epoch: second, seq: 5 }), {
      found: 'valid',
      position: { epoch: second, seq: 5 },
    })
    t.match(await resume(store.mailbox, { epoch, seq: 9 }), { found: 'past', position: { epoch: second, seq: 5 } })
  })

  t.test('resume: refused for an old claim; the position counts all the same', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await own(mailbox, 'd', 'another')
    const request = { device: 'd', claimId: 'claim-1', position: { epoch, seq: 2 } }
    t.match(await mailbox.resume(request), {
      kind: 'not_owner',
      claim: { claimId: 'another' },
      generation: mailbox.generation,
    })
    t.match(await mailbox.info('d'), { cursor: 2, pending: 3 })
    await mailbox.release('d', 'another')
    t.match(await mailbox.resume(request), { kind: 'not_owner', claim: null })
    t.match(await mailbox.resume({ ...request, device: 'nobody' }), { kind: 'not_owner', claim: null })
    t.equal(await mailbox.info('nobody'), null)
  })

  t.test('resume: a message that was told as an exception stays one', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    await own(mailbox, 'd')
    await mailbox.cancel('d', 1, null)
    t.match(await resume(mailbox, null), { position: { seq: 1 } })
    await ack(mailbox, 'd', { epoch, seq: 2 })
    t.equal(await stateOf(mailbox, 'd', 1), 'cancelled', 'it cannot have been on the wire')
  })

  t.test('resume: the same after reopen', async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 5)
    await own(store.mailbox, 'd')
    await resume(store.mailbox, { epoch, seq: 3 })
    await store.reopen()
    t.match(await store.mailbox.info('d'), { cursor: 3, pending: 2 })
    const start = await own(store.mailbox, 'd')
    t.strictSame(outline((await readAll(store.mailbox, 'd', 'claim-1', start)).entries), ['4', '5'])
  })

  t.test('state: received, between sent and handled', async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 5)
    const at = (seq: number): Position => ({ epoch, seq })
    const states = async (): Promise<string[]> =>
      Promise.all([1, 2, 3, 4, 5].map((seq) => stateOf(store.mailbox, 'd', seq)))
    await store.mailbox.ack([{ device: 'd', position: at(1), sent: at(4), received: at(3) }])
    t.strictSame(await states(), ['handled', 'received', 'received', 'sent', 'queued'])
    await store.mailbox.ack([{ device: 'd', position: at(0), received: at(2) }])
    t.strictSame(await states(), ['handled', 'received', 'received', 'sent', 'queued'], 'never back')
    await store.mailbox.ack([{ device: 'd', position: at(0), received: { epoch: 'unknown', seq: 5 } }])
    t.strictSame(await states(), ['handled', 'received', 'received', 'sent', 'queued'], 'an unknown epoch')
    await store.reopen()
    t.strictSame(await states(), ['handled', 'received', 'received', 'sent', 'queued'], 'after reopen')
    await store.mailbox.ack([{ device: 'd', position: at(0), received: at(1_000) }])
    t.equal(await stateOf(store.mailbox, 'd', 5), 'received', 'clamped to what there is')
    const later = await push(store.mailbox, 'd')
    t.equal(await stateOf(store.mailbox, 'd', later.seq), 'queued')
    t.match(await store.mailbox.info('d'), { cursor: 1, pending: 5 }, 'it moves nothing else')
  })
}
