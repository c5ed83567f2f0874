import type { Test } from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import type { ApiKeyRecord, Credentials } from '../../core/ports/credentials.js'
import { FakeClock } from '../support/fake-clock.js'
import { needs, openStore, type StoreFactory } from './factory.js'
import { range } from './messages.js'

const key = (id: string, fields: Partial<ApiKeyRecord> = {}): ApiKeyRecord => ({
  id,
  name: `key ${id}`,
  scopes: ['push', 'read'],
  hash: Buffer.alloc(32, id),
  createdAt: 1_000,
  ...fields,
})

/** Records with the hash as hex: drivers may answer with any kind of Uint8Array. */
const plain = (record: ApiKeyRecord | null | undefined) =>
  record ? { ...record, scopes: [...record.scopes], hash: Buffer.from(record.hash).toString('hex') } : null

const calls: Readonly<Record<string, (credentials: Credentials) => Promise<unknown>>> = {
  addKey: (c) => c.addKey(key('k')),
  getKey: (c) => c.getKey('k'),
  listKeys: (c) => c.listKeys(),
  removeKey: (c) => c.removeKey('k'),
  revoke: (c) => c.revoke('d', 1, 2),
  revokedAt: (c) => c.revokedAt('d'),
}

/** The Credentials port. */
export function credentialsConformance(t: Test, factory: StoreFactory): void {
  t.test('credentials: a key is found as it was added, until it is removed', async (t) => {
    const store = await openStore(t, factory)
    const added = key('one', { name: 'ключ "x"', scopes: ['admin'], createdAt: 123 })
    t.equal(await store.credentials.getKey('one'), null)
    await store.credentials.addKey(added)
    t.strictSame(plain(await store.credentials.getKey('one')), plain(added))
    await store.reopen()
    t.strictSame(plain(await store.credentials.getKey('one')), plain(added), 'after reopen')
    t.equal(await store.credentials.removeKey('one'), true)
    t.equal(await store.credentials.removeKey('one'), false)
    t.equal(await store.credentials.getKey('one'), null)
    await store.reopen()
    t.equal(await store.credentials.getKey('one'), null)
  })

  t.test('credentials: an id that is taken is refused and stays what it was', async (t) => {
    const { credentials } = await openStore(t, factory)
    const first = key('one')
    await credentials.addKey(first)
    await t.rejects(credentials.addKey(key('one', { name: 'other' })), RangeError)
    t.strictSame(plain(await credentials.getKey('one')), plain(first))
    const results = await Promise.allSettled(range(1, 10).map((i) => credentials.addKey(key('two', { name: `${i}` }))))
    t.equal(results.filter((r) => r.status === 'fulfilled').length, 1, 'of ten at once, one')
  })

  t.test('credentials: keys are listed by createdAt, then id', async (t) => {
    const { credentials } = await openStore(t, factory)
    t.strictSame(await credentials.listKeys(), [])
    for (const [id, createdAt] of [
      ['b', 2],
      ['z', 1],
      ['a', 2],
      ['B', 2],
      ['__proto__', 3],
    ] as const) {
      await credentials.addKey(key(id, { createdAt }))
    }
    t.strictSame(
      (await credentials.listKeys()).map((k) => k.id),
      ['z', 'B', 'a', 'b', '__proto__'],
    )
    t.strictSame(plain((await credentials.listKeys())[0]), plain(key('z', { createdAt: 1 })))
    await credentials.removeKey('a')
    t.equal((await credentials.listKeys()).length, 4)
  })

  t.test('credentials: a revocation never moves back', async (t) => {
    const store = await openStore(t, factory)
    const now = Date.now()
    const later = now + 1_000_000
    t.equal(await store.credentials.revokedAt('d'), null)
    await store.credentials.revoke('d', now, later)
    t.equal(await store.credentials.revokedAt('d'), now)
    await store.credentials.revoke('d', now - 500, later)
    t.equal(await store.credentials.revokedAt('d'), now)
    await store.credentials.revoke('d', now + 500, later)
    t.equal(await store.credentials.revokedAt('d'), now + 500)
    t.equal(await store.credentials.revokedAt('other'), null)
    await store.reopen()
    t.equal(await store.credentials.revokedAt('d'), now + 500, 'after reopen')
    await Promise.all(range(1, 20).map((i) => store.credentials.revoke('e', now + ((i * 7) % 20), later)))
    t.equal(await store.credentials.revokedAt('e'), now + 19, 'concurrent ones end at the latest')
  })

  t.test('credentials: a revocation outlives the purge of the device', async (t) => {
    const store = await openStore(t, factory)
    const now = Date.now()
    await store.mailbox.ensure('d')
    await store.credentials.revoke('d', now, now + 1_000_000)
    await store.mailbox.purge('d')
    t.equal(await store.credentials.revokedAt('d'), now)
    t.equal(await store.mailbox.info('d'), null, 'and is no device')
  })

  t.test(
    'credentials: a revocation is kept as long as asked, also by a later call',
    needs(factory.supports.clock),
    async (t) => {
      const clock = new FakeClock()
      const store = await openStore(t, factory, { clock })
      const now = clock.now()
      await store.credentials.revoke('d', now, now + 10_000)
      await store.credentials.revoke('d', now - 1, now + 5_000)
      clock.advance(9_999)
      t.equal(await store.credentials.revokedAt('d'), now)
      await store.reopen()
      t.equal(await store.credentials.revokedAt('d'), now)
    },
  )

  t.test('credentials: closed, every call is refused with StoreUnavailable', async (t) => {
    const { credentials } = await openStore(t, factory)
    await credentials.close()
    await credentials.close()
    for (const [name, call] of Object.entries(calls)) {
      const error: unknown = await call(credentials).then(
        () => 'it resolved',
        (reason: unknown) => reason,
      )
      t.ok(error instanceof StoreUnavailable, `${name}: ${String(error)}`)
    }
  })
}
