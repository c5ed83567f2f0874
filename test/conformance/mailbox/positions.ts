import type { Test } from 'tap'
import type { Position } from '../../../core/model/message.js'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { ack, fill, outline, own, push, range, readAll, stateOf } from '../messages.js'
import { needs, openStore, type StoreFactory } from '../factory.js'

async function readKind(mailbox: Mailbox, position: Position): Promise<string> {
  return (await mailbox.read({ device: 'd', claimId: 'claim-1', position, maxMessages: 99, maxBytes: 1 << 20 })).kind
}

/** Without the mark of what may have been sent before. */
const unmarked = (entry: string): string => entry.replace('*', '')

/** G10 and the design's Positions: what the store makes of a pair [epoch, seq]. */
export function positionsConformance(t: Test, factory: StoreFactory): void {
  const generations = needs(factory.supports.generation)

  t.test('positions: a read is a page when valid, diverged when past or unknown', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    await own(mailbox, 'd')
    t.equal(await readKind(mailbox, { epoch, seq: 0 }), 'page')
    t.equal(await readKind(mailbox, { epoch, seq: 3 }), 'page')
    t.equal(await readKind(mailbox, { epoch, seq: 4 }), 'diverged')
    t.equal(await readKind(mailbox, { epoch: 'unknown', seq: 0 }), 'diverged')
    t.equal(await readKind(mailbox, { epoch: 'unknown', seq: 2 }), 'diverged')
  })

  t.test('positions: who owns the device is checked before the position', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 3)
    await own(mailbox, 'd', 'another')
    t.equal(await readKind(mailbox, { epoch, seq: 9 }), 'not_owner')
  })

  t.test('positions: reopening without loss changes no epoch', async (t) => {
    const store = await openStore(t, factory)
    const first = await fill(store.mailbox, 'd', 3)
    await store.reopen()
    const later = await push(store.mailbox, 'd')
    t.strictSame([later.seq, later.epoch], [4, first.epoch])
  })

  t.test('positions: a generation is never used before', generations, async (t) => {
    const store = await openStore(t, factory)
    const seen = new Set([store.mailbox.generation])
    for (let i = 0; i < 4; i++) {
      await store.changeGeneration()
      seen.add(store.mailbox.generation)
    }
    t.equal(seen.size, 5)
    t.match(await store.mailbox.claim('d', { node: 'n', claimId: 'c' }, { force: true }), {
      generation: store.mailbox.generation,
    })
  })

  t.test(
    'positions: after a change of generation the next append starts an epoch at head + 1',
    generations,
    async (t) => {
      const store = await openStore(t, factory)
      const first = await fill(store.mailbox, 'd', 3)
      await store.changeGeneration()
      const start = await own(store.mailbox, 'd')
      t.strictSame(start, { epoch: first.epoch, seq: 0 }, 'looking and claiming start none')
      await ack(store.mailbox, 'd', { epoch: first.epoch, seq: 1 })
      await store.mailbox.cancel('d', 2, first.epoch)
      t.match(await store.mailbox.info('d'), { epoch: first.epoch, head: 3 }, 'nor do acks and cancels')
      const later = await push(store.mailbox, 'd')
      t.equal(later.seq, 4)
      t.not(later.epoch, first.epoch)
      const more = await fill(store.mailbox, 'd', 2)
      t.strictSame([more.seq, more.epoch], [6, later.epoch], 'one epoch for a generation')
      await store.reopen()
      const again = await push(store.mailbox, 'd')
      t.equal(again.epoch, later.epoch, 'a reopen under the same generation starts none')
    },
  )

  t.test('positions: a new epoch alone costs a device nothing', generations, async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 3)
    await ack(store.mailbox, 'd', { epoch, seq: 1 }, { epoch, seq: 2 })
    await store.changeGeneration()
    const later = await fill(store.mailbox, 'd', 2)
    await own(store.mailbox, 'd')
    const page = await readAll(store.mailbox, 'd', 'claim-1', { epoch, seq: 1 })
    // What was sent in an earlier generation a store need not know: 3 may be marked as sent before. New ones are not.
    const shown = outline(page.entries)
    t.strictSame(shown.map(unmarked), ['2', '3', '4', '5'])
    t.strictSame([shown[0], ...shown.slice(2)], ['2*', '4', '5'])
    t.strictSame(
      page.entries.map((e) => e.epoch),
      [epoch, epoch, later.epoch, later.epoch],
    )
    t.match(page, { head: 5, lastEpoch: later.epoch, next: { epoch: later.epoch, seq: 5 } })
    t.equal((await ack(store.mailbox, 'd', { epoch, seq: 2 })).counted, true, 'acks under the old epoch count')
    t.match(await ack(store.mailbox, 'd', { epoch: later.epoch, seq: 4 }), { cursor: 4, pending: 1 })
  })

  t.test('positions: an old epoch still resolves, with the end of its stretch', generations, async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 3)
    await store.changeGeneration()
    const later = await fill(store.mailbox, 'd', 3)
    await own(store.mailbox, 'd')
    t.equal(await readKind(store.mailbox, { epoch, seq: 3 }), 'page')
    t.equal(await readKind(store.mailbox, { epoch, seq: 4 }), 'diverged', 'past: 4 was lost and is another message now')
    t.equal(await readKind(store.mailbox, { epoch: later.epoch, seq: 6 }), 'page')
    const [head] = await store.mailbox.heads([{ device: 'd', acked: { epoch, seq: 5 } }])
    t.equal(head?.ackedSeq, 3)
    t.match(await ack(store.mailbox, 'd', { epoch, seq: 5 }), { counted: true, cursor: 3, pending: 3 })
    t.strictSame(await own(store.mailbox, 'd'), { epoch, seq: 3 }, "the position's epoch is the cursor's")
    t.equal(await stateOf(store.mailbox, 'd', 4, epoch), 'gone', 'not that epoch’s')
    t.equal(await stateOf(store.mailbox, 'd', 4, later.epoch), 'queued')
    t.equal(await stateOf(store.mailbox, 'd', 3, later.epoch), 'gone')
    t.strictSame(await store.mailbox.cancel('d', 4, epoch), { kind: 'gone' })
    await ack(store.mailbox, 'd', { epoch, seq: 0 }, { epoch, seq: 9 })
    t.equal(await stateOf(store.mailbox, 'd', 4), 'queued', 'the sent watermark is clamped like an ack')
  })

  t.test('positions: entries never mix epochs', generations, async (t) => {
    const store = await openStore(t, factory)
    const { epoch } = await fill(store.mailbox, 'd', 3)
    await store.changeGeneration()
    const later = await fill(store.mailbox, 'd', 3)
    for (const seq of [2, 3, 4, 5]) await store.mailbox.cancel('d', seq, null)
    await own(store.mailbox, 'd')
    const { entries } = await readAll(store.mailbox, 'd', 'claim-1', { epoch, seq: 0 })
    const shown = outline(entries)
    t.strictSame(shown.map(unmarked), ['1', '2 cancelled', '3 cancelled', '4 cancelled', '5 cancelled', '6'])
    t.equal(shown.at(-1), '6', 'not marked as sent before')
    for (const entry of entries) {
      if (entry.kind === 'message') continue
      t.equal(entry.epoch, entry.to <= 3 ? epoch : later.epoch)
      t.ok(entry.to <= 3 || entry.from > 3, 'split where the epoch begins')
    }
  })

  t.test('positions: dedup answers across epochs with the first answer', generations, async (t) => {
    const store = await openStore(t, factory)
    const first = await push(store.mailbox, 'd', { dedupId: 'x' })
    await store.changeGeneration()
    t.strictSame(await push(store.mailbox, 'd', { dedupId: 'x' }), { ...first, duplicate: true, owner: null })
    t.equal((await store.mailbox.info('d'))?.epoch, first.epoch, 'a duplicate appends nothing and starts no epoch')
  })

  t.test('positions: an empty log takes a new epoch too', generations, async (t) => {
    const store = await openStore(t, factory)
    const start = await own(store.mailbox, 'd')
    await store.changeGeneration()
    const first = await push(store.mailbox, 'd')
    t.equal(first.seq, 1)
    t.not(first.epoch, start.epoch)
    await own(store.mailbox, 'd')
    t.equal(await readKind(store.mailbox, start), 'page', 'the place before the first message is the same in both')
    t.equal(await readKind(store.mailbox, { epoch: start.epoch, seq: 1 }), 'diverged')
  })

  t.test('positions: 16 epochs are kept', generations, async (t) => {
    const store = await openStore(t, factory)
    const epochs: string[] = []
    for (let i = 0; i < 20; i++) {
      const { epoch, seq } = await push(store.mailbox, 'd')
      epochs.push(epoch)
      await ack(store.mailbox, 'd', { epoch, seq })
      if (i < 19) await store.changeGeneration()
    }
    t.equal(new Set(epochs).size, 20)
    const counted = await store.mailbox.ack(epochs.map((epoch) => ({ device: 'd', position: { epoch, seq: 1 } })))
    t.strictSame(
      counted.map((r) => r.counted),
      epochs.map((_, i) => i >= 4),
    )
  })

  t.test('positions: more epochs are kept while messages after the cursor belong to them', generations, async (t) => {
    const store = await openStore(t, factory)
    const firsts: Position[] = []
    for (let i = 0; i < 20; i++) {
      firsts.push(await fill(store.mailbox, 'd', 2))
      if (i < 19) await store.changeGeneration()
    }
    await own(store.mailbox, 'd')
    for (const [i, { epoch }] of firsts.entries()) {
      t.equal(await readKind(store.mailbox, { epoch, seq: 2 * i + 2 }), 'page', `epoch ${i + 1}`)
    }
    const { entries } = await readAll(store.mailbox, 'd', 'claim-1', { epoch: firsts[0]?.epoch ?? '', seq: 0 })
    t.strictSame(
      entries.map((e) => e.epoch),
      range(0, 39).map((i) => firsts[Math.floor(i / 2)]?.epoch),
    )
    const last = firsts.at(-1)
    if (last === undefined) throw new Error('no epoch')
    await ack(store.mailbox, 'd', last)
    await store.changeGeneration()
    await push(store.mailbox, 'd')
    const first = await ack(store.mailbox, 'd', { epoch: firsts[0]?.epoch ?? '', seq: 1 })
    t.equal(first.counted, false, 'and forgotten when nothing needs them')
    t.equal((await ack(store.mailbox, 'd', last)).counted, true)
  })
}
