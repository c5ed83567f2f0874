import type { Test } from 'tap'
import { StoreUnavailable } from '../../../core/errors.js'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { accepted, ack, fill, message, messages, outline, own, push, range, readAll, stateOf } from '../messages.js'
import { openStore, type StoreFactory } from '../factory.js'

/** purge, reopen, format version, close. */
export function purgeConformance(t: Test, factory: StoreFactory): void {
  t.test('purge: forgets the device, and tells whose claim it ended', async (t) => {
    const store = await openStore(t, factory)
    const first = await fill(store.mailbox, 'd', 5)
    await fill(store.mailbox, 'other', 2)
    await own(store.mailbox, 'd', 'c')
    await store.mailbox.keepSubscription('d', 'c', 'inbox/d')
    t.strictSame(await store.mailbox.purge('d'), { existed: true, claim: { node: 'node-1', claimId: 'c' } })
    t.equal(await store.mailbox.info('d'), null)
    t.strictSame(await store.mailbox.state('d', 1, null), { kind: 'no_device' })
    t.strictSame(await store.mailbox.cancel('d', 1, null), { kind: 'no_device' })
    t.equal(await store.mailbox.peek('d', { after: 0, limit: 9, maxBytes: 9999 }), null)
    t.strictSame(await store.mailbox.heads([{ device: 'd', acked: null }]), [null])
    t.match(await ack(store.mailbox, 'd', first), { counted: false })
    t.equal(await store.mailbox.release('d', 'c'), false)
    t.match(await store.mailbox.read({ device: 'd', claimId: 'c', position: first, maxMessages: 9, maxBytes: 9999 }), {
      kind: 'not_owner',
      claim: null,
    })
    t.strictSame(await store.mailbox.purge('d'), { existed: false, claim: null })
    t.match(await store.mailbox.info('other'), { pending: 2 }, 'others are not touched')
    await store.reopen()
    t.equal(await store.mailbox.info('d'), null, 'after reopen')
    t.strictSame(
      (await store.mailbox.list({ after: null, limit: 9 })).devices.map((d) => d.device),
      ['other'],
    )
  })

  t.test(
    'purge: a device created again starts at seq 1 in a new epoch, and nothing of the old one counts',
    async (t) => {
      const store = await openStore(t, factory)
      const old = await fill(store.mailbox, 'd', 5)
      await store.mailbox.purge('d')
      const first = await push(store.mailbox, 'd', { payload: 'new' })
      t.equal(first.seq, 1)
      t.not(first.epoch, old.epoch)
      t.match(await ack(store.mailbox, 'd', old), { counted: false, cursor: 0, pending: 1 })
      const start = await own(store.mailbox, 'd')
      t.strictSame(start, { epoch: first.epoch, seq: 0 })
      t.strictSame(outline((await readAll(store.mailbox, 'd', 'claim-1', start)).entries), ['1'])
      t.strictSame(await store.mailbox.state('d', 1, old.epoch), { kind: 'gone' })
      await store.reopen()
      t.match(await store.mailbox.info('d'), { head: 1, pending: 1, epoch: first.epoch })
      const peek = await store.mailbox.peek('d', { after: 0, limit: 9, maxBytes: 9999 })
      t.equal(Buffer.from(peek?.messages[0]?.message.payload ?? '').toString(), 'new')
    },
  )

  t.test('purge: against appends at the same moment leaves one history', async (t) => {
    const { mailbox } = await openStore(t, factory)
    for (const i of range(1, 20)) {
      const device = `d${i}`
      const [before, , after] = await Promise.all([
        mailbox.append(messages(device, 3)),
        mailbox.purge(device),
        mailbox.append(messages(device, 3)),
      ])
      const info = await mailbox.info(device)
      const kept = [...before, ...after].map(accepted).filter((r) => r.epoch === info?.epoch)
      t.strictSame(
        kept.map((r) => r.seq).toSorted((a, b) => a - b),
        range(1, info?.head ?? 0),
      )
      t.equal(info?.pending ?? 0, kept.length)
    }
  })

  t.test('purge: of a stored device, calls at the same moment see it or do not, and none brings it back', async (t) => {
    const store = await openStore(t, factory)
    const looks: Array<(mailbox: Mailbox, device: string) => Promise<unknown>> = [
      (m, d) => m.info(d),
      (m, d) => m.state(d, 1, null),
      (m, d) => m.peek(d, { after: 0, limit: 9, maxBytes: 9999 }),
      (m, d) => m.heads([{ device: d, acked: null }]),
      (m) => m.list({ after: null, limit: 100 }),
      (m, d) => m.cancel(d, 1, null),
      (m, d) => m.ack([{ device: d, position: { epoch: 'e', seq: 1 } }]),
      (m, d) => m.release(d, 'c'),
    ]
    for (const [i, look] of looks.entries()) {
      const device = `d${i}`
      await fill(store.mailbox, device, 2)
      await store.reopen() // a driver may keep nothing in memory of what it has not touched
      await store.mailbox.info(device)
      await Promise.all([look(store.mailbox, device), store.mailbox.purge(device), look(store.mailbox, device)])
      t.equal(await store.mailbox.info(device), null, `${look.toString()}: purged`)
    }
    await store.reopen()
    t.strictSame(await store.mailbox.list({ after: null, limit: 100 }), { devices: [], next: null })
  })

  t.test('purge: an append at the same moment goes to the old history or begins a new one', async (t) => {
    const store = await openStore(t, factory)
    const devices = range(1, 10).map((i) => `d${i}`)
    const appended = new Map<string, string>()
    for (const device of devices) {
      const old = await fill(store.mailbox, device, 5, { dedupId: null })
      const [, result] = await Promise.all([
        store.mailbox.purge(device),
        push(store.mailbox, device, { payload: 'new' }),
      ])
      if (result.epoch === old.epoch)
        t.equal(await store.mailbox.info(device), null, 'appended, then purged with the rest')
      else {
        t.equal(result.seq, 1)
        appended.set(device, result.epoch)
      }
    }
    await store.reopen()
    for (const device of devices) {
      const info = await store.mailbox.info(device)
      const epoch = appended.get(device)
      if (epoch === undefined) t.equal(info, null)
      else {
        t.match(info, { head: 1, pending: 1, epoch }, 'accepted, so it is there')
        const peek = await store.mailbox.peek(device, { after: 0, limit: 9, maxBytes: 9999 })
        t.equal(Buffer.from(peek?.messages[0]?.message.payload ?? '').toString(), 'new')
      }
    }
  })
}

export function reopenConformance(t: Test, factory: StoreFactory): void {
  t.test('reopen: everything is as it was', async (t) => {
    const store = await openStore(t, factory)
    const a = await fill(store.mailbox, 'a', 20)
    await ack(store.mailbox, 'a', { epoch: a.epoch, seq: 5 }, { epoch: a.epoch, seq: 12 })
    for (const seq of [3, 8, 9, 20]) await store.mailbox.cancel('a', seq, null)
    await push(store.mailbox, 'b', { ttl: 100_000, dedupId: 'x', attributes: [['k', 'v']], priority: 'high' })
    await store.mailbox.ensure('c')
    const look = async () => ({
      infos: (await store.mailbox.list({ after: null, limit: 10 })).devices,
      heads: await store.mailbox.heads(
        ['a', 'b', 'c'].map((device) => ({ device, acked: { epoch: a.epoch, seq: 9 } })),
      ),
      peeks: await Promise.all(
        ['a', 'b', 'c'].map(async (device) => {
          const peek = await store.mailbox.peek(device, { after: 0, limit: 99, maxBytes: 1 << 20 })
          return peek?.messages.map(({ epoch, message: { payload, ...rest } }) => ({
            epoch,
            ...rest,
            payload: Buffer.from(payload).toString('hex'),
          }))
        }),
      ),
      states: await Promise.all(range(1, 21).map((seq) => stateOf(store.mailbox, 'a', seq))),
    })
    const before = await look()
    for (let i = 1; i <= 3; i++) {
      await store.reopen()
      t.strictSame(await look(), before, `reopened ${i} times`)
    }
    t.equal((await push(store.mailbox, 'a')).seq, 21)
  })

  t.test('reopen: appends and acks that were answered just before the close are there', async (t) => {
    const store = await openStore(t, factory)
    let head = 0
    let cursor = 0
    for (let round = 0; round < 5; round++) {
      const results = await Promise.all(range(1, 30).map(() => push(store.mailbox, 'd')))
      head += 30
      cursor += 20
      await ack(store.mailbox, 'd', { epoch: results[0]?.epoch ?? '', seq: cursor })
      await store.reopen()
      t.match(await store.mailbox.info('d'), { head, cursor, pending: head - cursor })
    }
  })

  // What a driver says that it cannot be is no test of it.
  if (factory.supports.formatVersion === true)
    t.test('format: a store that a newer version wrote is refused', async (t) => {
      const store = await openStore(t, factory)
      await push(store.mailbox, 'd')
      await store.makeNewer()
      await t.rejects(store.reopen(), /version|format|newer/i)
    })
}

/** Every call, each with harmless arguments. */
const calls: Readonly<Record<string, (mailbox: Mailbox) => Promise<unknown>>> = {
  append: (m) => m.append([message('d')]),
  read: (m) => m.read({ device: 'd', claimId: 'c', position: { epoch: 'e', seq: 0 }, maxMessages: 1, maxBytes: 1 }),
  ack: (m) => m.ack([{ device: 'd', position: { epoch: 'e', seq: 0 } }]),
  claim: (m) => m.claim('d', { node: 'n', claimId: 'c' }, { force: false }),
  release: (m) => m.release('d', 'c'),
  keepSubscription: (m) => m.keepSubscription('d', 'c', null),
  heads: (m) => m.heads([{ device: 'd', acked: null }]),
  info: (m) => m.info('d'),
  list: (m) => m.list({ after: null, limit: 1 }),
  peek: (m) => m.peek('d', { after: 0, limit: 1, maxBytes: 1 }),
  state: (m) => m.state('d', 1, null),
  cancel: (m) => m.cancel('d', 1, null),
  purge: (m) => m.purge('d'),
  ensure: (m) => m.ensure('d'),
  ping: (m) => m.ping(),
}

export function closedConformance(t: Test, factory: StoreFactory): void {
  t.test('closed: every call is refused with StoreUnavailable', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await push(mailbox, 'd')
    await mailbox.close()
    await mailbox.close() // idempotent
    for (const [name, call] of Object.entries(calls)) {
      const error: unknown = await call(mailbox).then(
        () => 'it resolved',
        (reason: unknown) => reason,
      )
      t.ok(error instanceof StoreUnavailable, `${name}: ${String(error)}`)
    }
  })

  t.test('closed: close waits for what is under way', async (t) => {
    const store = await openStore(t, factory)
    await push(store.mailbox, 'd', { dedupId: '0' })
    const appends = range(1, 50).map(async (i) => {
      try {
        return (await store.mailbox.append([message('d', { dedupId: `${i}` })]))[0]
      } catch (error) {
        if (error instanceof StoreUnavailable) return undefined
        throw error
      }
    })
    const closing = store.mailbox.close()
    const results = await Promise.all(appends)
    await closing
    await store.reopen()
    for (const [i, result] of results.entries()) {
      const retry = await push(store.mailbox, 'd', { dedupId: `${i + 1}` })
      if (result?.ok === true) t.match(retry, { duplicate: true, seq: result.seq }, 'what was accepted is there')
    }
    t.equal((await store.mailbox.info('d'))?.head, 51)
  })

  t.test('closed: concurrent closes all wait', async (t) => {
    const { mailbox } = await openStore(t, factory)
    await fill(mailbox, 'd', 3)
    await Promise.all([mailbox.close(), mailbox.close(), mailbox.close()])
    await t.rejects(mailbox.info('d'), StoreUnavailable)
  })
}
