import type { Test } from 'tap'
import { StoreUnavailable } from '../../../core/errors.js'
import { type NewUplink, type StoredUplink, type Uplink, uplinkSize } from '../../../core/ports/uplink.js'
import { FakeClock } from '../../support/fake-clock.js'
import { needs, openStore, type StoreFactory } from '../factory.js'
import { eventually, range } from '../messages.js'
import { outline, readLog, send, uplink, uplinks } from './words.js'

/** Without what the store adds; the payload as hex, because drivers may answer with any kind of Uint8Array. */
const asSent = ({ device, channel, contentType, will, payload }: NewUplink | StoredUplink) => ({
  device,
  channel,
  contentType,
  will,
  payload: Buffer.from(payload).toString('hex'),
})

/** Whole, and there after reopen. */
export function keptConformance(t: Test, factory: StoreFactory): void {
  t.test('uplink: is read as it was sent, with an id and a time, also after reopen', async (t) => {
    const store = await openStore(t, factory)
    const sent = [
      uplink('d', { channel: 'a/b//c', payload: 'plain' }),
      uplink('x'.repeat(128), { channel: 'ü/☂'.repeat(100), contentType: 'text/plain; charset=utf-8' }),
      uplink('__proto__', { channel: 'constructor', payload: '', contentType: 'application/json' }),
      uplink('d', { payload: Uint8Array.from(range(0, 255)), will: true }),
      uplink('d', { payload: Buffer.alloc(256 * 1024, 'ab'), dedupId: '☂'.repeat(200) }),
      uplink('d', { contentType: '' }),
    ]
    const before = Date.now()
    const results = await store.uplink.append(sent)
    const after = Date.now()
    t.match(
      results,
      sent.map(() => ({ ok: true, duplicate: false })),
    )
    for (const when of ['at once', 'after reopen']) {
      const log = await readLog(store.uplink)
      t.strictSame(log.map(asSent), sent.map(asSent), when)
      t.strictSame(
        log.map(({ id, at }) => ({ ok: true, id, at, duplicate: false })),
        results,
        `${when}, what was answered`,
      )
      t.ok(
        log.every(({ id }) => /^[\x21-\x7e]{1,64}$/.test(id)),
        'ids are short and printable',
      )
      t.ok(log.every(({ at }) => Number.isInteger(at) && at >= before - 60_000 && at <= after + 60_000))
      t.strictSame(store.uplink.usage, {
        count: sent.length,
        bytes: sent.reduce((sum, item) => sum + uplinkSize(item), 0),
      })
      await store.reopen()
    }
  })

  t.test('uplink: ids are never given again, and what comes later is behind, also after reopen', async (t) => {
    const store = await openStore(t, factory)
    const ids: string[] = []
    for (const round of range(1, 4)) {
      const results = await Promise.all(
        range(1, 50).map((i) => send(store.uplink, `d${i % 7}`, { payload: `${round}` })),
      )
      ids.push(...results.map(({ id }) => id))
      await store.reopen()
    }
    t.equal(new Set(ids).size, ids.length)
    const log = await readLog(store.uplink)
    t.strictSame(
      log.map(({ id }) => id),
      ids,
    )
  })

  t.test(
    'uplink: a log that was empty goes on behind every id that it gave, whatever the wall clock does',
    needs(factory.supports.clock),
    async (t) => {
      const clock = new FakeClock()
      const store = await openStore(t, factory, { clock, uplinkLimits: { retentionSeconds: 60 } })
      const start = clock.now()
      const first = await send(store.uplink, 'd', { payload: 'old' })
      clock.setWall(start + 3_600_000)
      await eventually(async () => (store.uplink.usage.count === 0 ? true : undefined), 10_000, 'an empty log')
      const second = await send(store.uplink, 'd', { payload: 'b' })
      clock.setWall(start - 3_600_000)
      await store.reopen()
      const third = await send(store.uplink, 'd', { payload: 'c' })
      t.strictSame(outline(await readLog(store.uplink)), ['d:b', 'd:c'])
      t.strictSame(outline(await readLog(store.uplink, first.id)), ['d:b', 'd:c'])
      t.strictSame(outline(await readLog(store.uplink, second.id)), ['d:c'])
      t.strictSame(await readLog(store.uplink, third.id), [])
      t.equal(third.at, start - 3_600_000, 'the time is the clock’s')
    },
  )

  t.test('uplink: the purge of a device leaves what it sent', async (t) => {
    const store = await openStore(t, factory)
    await store.mailbox.ensure('d')
    await store.uplink.append(uplinks('d', 3))
    await store.mailbox.purge('d')
    t.strictSame(outline(await readLog(store.uplink)), ['d:u1', 'd:u2', 'd:u3'])
    t.equal(await store.mailbox.info('d'), null, 'and creates no device')
  })
}

const calls: Readonly<Record<string, (port: Uplink) => Promise<unknown>>> = {
  append: (port) => port.append([uplink('d')]),
  read: (port) => port.read({ after: null, limit: 1, maxBytes: 1 }),
}

/** After `close`. */
export function closedConformance(t: Test, factory: StoreFactory): void {
  t.test('uplink: what was asked before the close is stored, later calls are refused', async (t) => {
    const store = await openStore(t, factory)
    const before = store.uplink.append(uplinks('d', 3))
    await store.uplink.close()
    await store.uplink.close()
    for (const [name, call] of Object.entries(calls)) {
      const error: unknown = await call(store.uplink).then(
        () => 'it resolved',
        (reason: unknown) => reason,
      )
      t.ok(error instanceof StoreUnavailable, `${name}: ${String(error)}`)
    }
    t.equal((await before).length, 3)
    await store.reopen()
    t.equal((await readLog(store.uplink)).length, 3)
  })
}
