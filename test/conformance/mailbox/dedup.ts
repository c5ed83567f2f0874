import type { Test } from 'tap'
import { accepted, ack, fill, message, push, range, stateOf } from '../messages.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { FakeClock } from '../../support/fake-clock.js'

/** G4: the same (device, dedupId) is one message for the dedup window. */
export function dedupConformance(t: Test, factory: StoreFactory): void {
  t.test('dedup: a retry gets the first answer again, marked', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await fill(mailbox, 'd', 2)
    const first = await push(mailbox, 'd', { dedupId: 'x', ttl: 600 })
    await fill(mailbox, 'd', 2)
    const again = await push(mailbox, 'd', { dedupId: 'x', ttl: 600 })
    t.strictSame(again, { ...first, duplicate: true, owner: null })
    t.equal((await mailbox.info('d'))?.head, 5)
  })

  t.test('dedup: a duplicate names no owner, so that nobody is sent a notice of it', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await push(mailbox, 'd', { dedupId: 'x' })
    await mailbox.claim('d', { node: 'n', claimId: 'c' }, { force: true })
    t.equal((await push(mailbox, 'd', { dedupId: 'x' })).owner, null)
  })

  t.test('dedup: any part of the body that differs is a conflict, and nothing is stored', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await fill(mailbox, 'd', 1)
    const body = {
      dedupId: 'x',
      payload: 'p',
      contentType: 'text/plain',
      ttl: 60,
      attributes: [['k', 'v']] as const,
    }
    const { seq } = await push(mailbox, 'd', body)
    const others = [
      { ...body, payload: 'q' },
      { ...body, payload: '' },
      { ...body, contentType: 'text/html' },
      { ...body, ttl: 61 },
      { ...body, ttl: null },
      { ...body, attributes: null },
      { ...body, attributes: [['k', 'w']] as const },
      { ...body, attributes: [['kv', '']] as const },
      { ...body, priority: 'high' as const },
    ]
    for (const other of others) {
      const [result] = await mailbox.append([message('d', other)])
      t.strictSame(result, { ok: false, code: 'dedup_conflict', seq }, JSON.stringify(other))
    }
    t.equal((await mailbox.info('d'))?.head, 2)
  })

  t.test('dedup: ids are per device, compared exactly, and messages without one are never duplicates', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const ids = ['x', 'X', ' x', 'x ', '', 'é', 'e\u0301', 'x'.repeat(1000)]
    const results = (await mailbox.append(ids.map((dedupId) => message('a', { dedupId })))).map(accepted)
    t.ok(results.every((r) => !r.duplicate))
    t.equal((await push(mailbox, 'b', { dedupId: 'x' })).duplicate, false)
    t.equal((await push(mailbox, 'a')).duplicate, false)
    t.equal((await push(mailbox, 'a')).duplicate, false)
  })

  t.test('dedup: 50 equal appends at once are one message', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const results = await Promise.all(range(1, 50).map(() => push(mailbox, 'd', { dedupId: 'x' })))
    t.equal(results.filter((r) => !r.duplicate).length, 1)
    t.equal(new Set(results.map((r) => `${r.epoch} ${r.seq} ${r.at}`)).size, 1, 'one answer')
    t.equal((await mailbox.info('d'))?.pending, 1)
  })

  t.test('dedup: 50 different bodies under one id at once are one message and 49 conflicts', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const appends = range(1, 50).map((i) => mailbox.append([message('d', { dedupId: 'x', payload: `${i}` })]))
    const results = (await Promise.all(appends)).flat()
    t.equal(results.filter((r) => r.ok).length, 1)
    t.equal(results.filter((r) => !r.ok && r.code === 'dedup_conflict' && r.seq === 1).length, 49)
    t.equal((await mailbox.info('d'))?.head, 1)
  })

  t.test('dedup: two equal items of one call are one message; a third that differs is a conflict', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const item = message('d', { dedupId: 'x' })
    const results = await mailbox.append([item, item, message('d', { dedupId: 'x', payload: 'other' }), message('d')])
    const [first, second, third, fourth] = results
    t.equal(accepted(first).seq, 1)
    t.strictSame(second, { ...accepted(first), duplicate: true, owner: null })
    t.strictSame(third, { ok: false, code: 'dedup_conflict', seq: 1 })
    t.equal(accepted(fourth).seq, 2)
  })

  t.test('dedup: remembered after the message was handled and trimmed', async (t) => {
    const { mailbox } = await openStore(t, factory)
    const first = await push(mailbox, 'd', { dedupId: 'x' })
    await ack(mailbox, 'd', first)
    t.strictSame(await push(mailbox, 'd', { dedupId: 'x' }), { ...first, duplicate: true, owner: null })
    const [other] = await mailbox.append([message('d', { dedupId: 'x', payload: 'other' })])
    t.strictSame(other, { ok: false, code: 'dedup_conflict', seq: 1 })
    t.equal((await mailbox.info('d'))?.pending, 0)
    t.equal(await stateOf(mailbox, 'd', 1), 'handled')
  })

  t.test('dedup: remembered after reopen, with the first answer', async (t) => {
    const store = await openStore(t, factory)
    const first = await push(store.mailbox, 'd', { dedupId: 'x', ttl: 3600 })
    const second = await push(store.mailbox, 'd', { dedupId: 'y' })
    await ack(store.mailbox, 'd', first)
    await store.reopen()
    t.strictSame(await push(store.mailbox, 'd', { dedupId: 'x', ttl: 3600 }), {
      ...first,
      duplicate: true,
      owner: null,
    })
    t.strictSame(await push(store.mailbox, 'd', { dedupId: 'y' }), { ...second, duplicate: true, owner: null })
  })

  t.test('dedup: an id of a refused message is free', async (t) => {
    const { mailbox } = await openStore(t, factory, { limits: { inboxMax: 1 } })
    const first = await push(mailbox, 'd', { dedupId: 'x' })
    const refused = message('d', { dedupId: 'y' })
    t.strictSame(await mailbox.append([refused]), [{ ok: false, code: 'inbox_full' }])
    t.equal((await push(mailbox, 'd', { dedupId: 'x' })).duplicate, true, 'a full inbox still answers a retry')
    await ack(mailbox, 'd', first)
    t.match(await mailbox.append([refused]), [{ ok: true, seq: 2, duplicate: false }])
  })

  t.test('dedup: forgotten after the window, not before', needs(factory.supports.clock), async (t) => {
    const clock = new FakeClock()
    const limits = { dedupWindowSeconds: 100, retentionSeconds: 10_000 }
    const store = await openStore(t, factory, { clock, limits })
    const first = await push(store.mailbox, 'd', { dedupId: 'x' })
    await ack(store.mailbox, 'd', first)
    const kept = await push(store.mailbox, 'd', { dedupId: 'y' })
    for (const ms of [30_000, 60_000, 9_999]) {
      clock.advance(ms)
      t.equal((await push(store.mailbox, 'd', { dedupId: 'x' })).duplicate, true)
      t.equal((await push(store.mailbox, 'd', { dedupId: 'y' })).seq, kept.seq)
      await push(store.mailbox, 'other', { dedupId: `${ms}` }) // others may make windows rotate
      await store.reopen()
    }
    clock.advance(110_000) // a driver may keep ids for up to two windows
    const later = await push(store.mailbox, 'd', { dedupId: 'x', payload: 'new' })
    t.equal(later.duplicate, false, 'a new message')
    t.equal(later.seq, 3)
    t.equal((await push(store.mailbox, 'd', { dedupId: 'x', payload: 'new' })).duplicate, true, 'remembered anew')
    t.equal((await push(store.mailbox, 'd', { dedupId: 'y' })).duplicate, false, 'also when the first is still pending')
    await store.reopen()
    t.strictSame(
      await push(store.mailbox, 'd', { dedupId: 'x', payload: 'new' }),
      { ...later, duplicate: true, owner: null },
      'the new one is what is remembered after reopen',
    )
  })

  t.test('dedup: a purge forgets the ids', async (t) => {
    const store = await openStore(t, factory)
    const first = await push(store.mailbox, 'd', { dedupId: 'x' })
    await store.mailbox.purge('d')
    const second = await push(store.mailbox, 'd', { dedupId: 'x', payload: 'other' })
    t.equal(second.duplicate, false)
    t.equal(second.seq, 1)
    t.not(second.epoch, first.epoch)
    await store.reopen()
    t.strictSame(await push(store.mailbox, 'd', { dedupId: 'x', payload: 'other' }), {
      ...second,
      duplicate: true,
      owner: null,
    })
  })
}
