import type { Test } from 'tap'
import { ack, fill, outline, own, push, range, readAll } from '../messages.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { FakeClock } from '../../support/fake-clock.js'

const A = { node: 'node-a', claimId: 'claim-a' }
const B = { node: 'node-b', claimId: 'claim-b' }
const NICELY = { force: false }

/** G7: one claim owns a device; whoever holds an old one is refused. */
export function claimsConformance(t: Test, factory: StoreFactory): void {
  t.test('claims: the first claim creates the device and says where delivery begins', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const granted = await mailbox.claim('d', A, NICELY)
    if (!granted.ok) throw new Error('refused')
    t.match(granted, { position: { seq: 0 }, head: 0, pending: 0, subscription: null })
    t.equal(granted.generation, mailbox.generation)
    t.equal(granted.position.epoch, granted.lastEpoch)
    const { epoch, seq } = await push(mailbox, 'd')
    t.equal(epoch, granted.lastEpoch)
    t.equal(seq, 1)
  })

  t.test('claims: begin after the cursor', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const { epoch } = await fill(mailbox, 'd', 5)
    await ack(mailbox, 'd', { epoch, seq: 3 })
    t.match(await mailbox.claim('d', A, NICELY), { ok: true, position: { epoch, seq: 3 }, head: 5, pending: 2 })
  })

  t.test('claims: while another one is stored, refused with it, unless forced', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await mailbox.claim('d', A, NICELY)
    t.strictSame(await mailbox.claim('d', B, NICELY), { ok: false, claim: A })
    t.strictSame((await mailbox.info('d'))?.claim, A)
    t.match(await mailbox.claim('d', B, { force: true }), { ok: true })
    t.strictSame((await mailbox.info('d'))?.claim, B)
  })

  t.test('claims: the same claim again is granted again', async (t) => {
    const { mailbox } = await openStore(t, factory)
    t.match(await mailbox.claim('d', A, NICELY), { ok: true })
    await push(mailbox, 'd')
    t.match(await mailbox.claim('d', A, NICELY), { ok: true, head: 1, pending: 1 })
    t.match(await mailbox.claim('d', A, { force: true }), { ok: true })
    t.strictSame((await mailbox.info('d'))?.claim, A)
  })

  t.test('claims: a released device is free; a stale release changes nothing', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await mailbox.claim('d', A, NICELY)
    t.equal(await mailbox.release('d', A.claimId), true)
    t.equal((await mailbox.info('d'))?.claim, null)
    t.equal(await mailbox.release('d', A.claimId), false, 'twice')
    t.match(await mailbox.claim('d', B, NICELY), { ok: true })
    t.equal(await mailbox.release('d', A.claimId), false, 'the old one')
    t.strictSame((await mailbox.info('d'))?.claim, B)
    t.equal(await mailbox.release('nobody', A.claimId), false)
    t.equal(await mailbox.info('nobody'), null)
  })

  t.test('claims: a read with an old claim is refused with the stored one and the generation', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const start = await own(mailbox, 'd', 'old')
    await push(mailbox, 'd')
    const read = (device = 'd') =>
      mailbox.read({ device, claimId: 'old', position: start, maxMessages: 10, maxBytes: 1 << 20 })
    t.match(await read(), { kind: 'page' })
    await mailbox.claim('d', B, { force: true })
    t.strictSame(await read(), { kind: 'not_owner', claim: B, generation: mailbox.generation })
    await mailbox.release('d', B.claimId)
    t.strictSame(await read(), { kind: 'not_owner', claim: null, generation: mailbox.generation })
    t.strictSame(await read('nobody'), { kind: 'not_owner', claim: null, generation: mailbox.generation })
  })

  t.test('claims: of 20 claims at once exactly one is granted, and the others are told whose it is', async (t) => {
    const { mailbox } = await openStore(t, factory)
    for (const device of ['a', 'b', 'c']) {
      const results = await Promise.all(
        range(1, 20).map((i) => mailbox.claim(device, { node: `n${i}`, claimId: `c${i}` }, NICELY)),
      )
      const granted = results.findIndex((r) => r.ok)
      t.equal(results.filter((r) => r.ok).length, 1)
      const winner = { node: `n${granted + 1}`, claimId: `c${granted + 1}` }
      for (const r of results) if (!r.ok) t.strictSame(r.claim, winner)
      t.strictSame((await mailbox.info(device))?.claim, winner)
    }
  })

  t.test('claims: of forced claims at once the last one stored owns, and only it reads', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const ids = range(1, 20).map((i) => `c${i}`)
    const starts = await Promise.all(ids.map((id) => own(mailbox, 'd', id)))
    await push(mailbox, 'd')
    const kinds = await Promise.all(
      ids.map(async (claimId, i) => {
        const position = starts[i] ?? { epoch: '', seq: 0 }
        return (await mailbox.read({ device: 'd', claimId, position, maxMessages: 9, maxBytes: 9999 })).kind
      }),
    )
    const owner = (await mailbox.info('d'))?.claim?.claimId ?? ''
    t.strictSame(
      kinds,
      ids.map((id) => (id === owner ? 'page' : 'not_owner')),
    )
  })

  t.test('claims: times of connection', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const { mailbox } = await openStore(t, factory, { clock })
    await mailbox.ensure('d')
    t.match(await mailbox.info('d'), { createdAt: clock.now(), connectedAt: null, lastSeenAt: null })
    const created = clock.now()
    clock.advance(5000)
    await mailbox.claim('d', A, NICELY)
    t.match(await mailbox.info('d'), { createdAt: created, connectedAt: clock.now() })
    clock.advance(5000)
    await mailbox.release('d', A.claimId)
    t.match(await mailbox.info('d'), { connectedAt: null, lastSeenAt: clock.now() })
  })

  // What a driver says that it cannot be is no test of it.
  if (factory.supports.claimsKept === true)
    t.test('claims: a claim outlives the client of the store', async (t) => {
      const store = await openStore(t, factory)
      const start = await own(store.mailbox, 'd', 'c')
      await push(store.mailbox, 'd')
      await store.reopen()
      t.strictSame(outline((await readAll(store.mailbox, 'd', 'c', start)).entries), ['1'])
    })

  t.test('claims: after reopen a claim is there or gone, and can be made again', async (t) => {
    const store = await openStore(t, factory)
    await store.mailbox.claim('d', A, NICELY)
    await push(store.mailbox, 'd')
    await store.reopen()
    const claim = (await store.mailbox.info('d'))?.claim ?? null
    if (claim !== null) t.strictSame(claim, A)
    t.match(await store.mailbox.claim('d', A, NICELY), { ok: true, head: 1, pending: 1 })
    t.equal(await store.mailbox.release('d', A.claimId), true)
  })

  t.test('sessions: a kept subscription comes with every later claim', async (t) => {
    const store = await openStore(t, factory)
    const granted = async (claimId: string) => {
      const result = await store.mailbox.claim('d', { node: 'n', claimId }, { force: true })
      return result.ok ? result.subscription : 'refused'
    }
    t.equal(await granted('one'), null)
    t.equal(await store.mailbox.keepSubscription('d', 'one', 'inbox/d/+'), true)
    t.equal(await granted('one'), 'inbox/d/+')
    await store.mailbox.release('d', 'one')
    t.equal(await granted('two'), 'inbox/d/+')
    t.equal(await store.mailbox.keepSubscription('d', 'one', null), false, 'a stale claim')
    await store.reopen()
    t.equal(await granted('three'), 'inbox/d/+')
    t.equal(await store.mailbox.keepSubscription('d', 'three', 'inbox/d'), true)
    t.equal(await granted('four'), 'inbox/d')
    t.equal(await store.mailbox.keepSubscription('d', 'four', null), true)
    t.equal(await granted('five'), null)
    await store.reopen()
    t.equal(await granted('six'), null)
    t.equal(await store.mailbox.keepSubscription('nobody', 'six', 'inbox/d'), false)
    t.equal(await store.mailbox.info('nobody'), null)
  })
}
