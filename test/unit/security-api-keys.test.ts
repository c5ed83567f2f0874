import t from 'tap'
import type { ApiKeyRecord } from '../../core/ports/credentials.js'
import { createApiKey, createKeyring, KEY_CACHE_MS, OPERATOR_KEY_ID } from '../../core/security/api-keys.js'
import { hasScope, isScope } from '../../core/security/scopes.js'
import { FakeClock } from '../support/fake-clock.js'

/** The one read that a keyring makes, over a plain map, and how often it was made. */
function shelf(...records: readonly ApiKeyRecord[]) {
  const keys = new Map(records.map((record) => [record.id, record]))
  const subject = {
    reads: 0,
    keys,
    getKey: async (id: string): Promise<ApiKeyRecord | null> => {
      subject.reads += 1
      return keys.get(id) ?? null
    },
  }
  return subject
}

void t.test('API keys: a key is random, and its record does not hold it', async (t) => {
  const clock = new FakeClock()
  const a = createApiKey('ci', ['push'], clock)
  const b = createApiKey('ci', ['push'], clock)
  t.match(a.key, /^prk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
  t.not(a.key, b.key)
  t.not(a.record.id, b.record.id)
  t.equal(a.record.hash.byteLength, 32)
  t.match(a.record, { name: 'ci', scopes: ['push'], createdAt: clock.now() })
  const secret = a.key.slice(-43)
  t.notOk(JSON.stringify(a.record).includes(secret))
  t.notOk(Buffer.from(a.record.hash).includes(Buffer.from(secret)))
})

void t.test('keyring: knows a stored key and its scopes, and no other', async (t) => {
  const { key, record } = createApiKey('ci', ['push', 'read'], new FakeClock())
  const keyring = createKeyring({ credentials: shelf(record), clock: new FakeClock() })
  t.same(await keyring.authenticate(key), { id: record.id, scopes: ['push', 'read'] })
  const other = createApiKey('x', ['admin'], new FakeClock())
  const wrong = [
    '',
    'prk_',
    other.key,
    `prk_${record.id}_${other.key.slice(-43)}`,
    key.slice(0, -1),
    `${key}x`,
    ` ${key}`,
    key.toUpperCase(),
    `prk_${record.id}_`,
    '__proto__',
  ]
  for (const text of wrong) t.equal(await keyring.authenticate(text), null, `refuses "${text.slice(0, 24)}"`)
})

void t.test('keyring: the operator key has all scopes and needs no store', async (t) => {
  const store = shelf()
  const keyring = createKeyring({
    credentials: store,
    operatorKeys: ['the key of the operator'],
    clock: new FakeClock(),
  })
  t.same(await keyring.authenticate('the key of the operator'), { id: OPERATOR_KEY_ID, scopes: ['admin'] })
  t.equal(store.reads, 0)
  t.equal(await keyring.authenticate('the key of the operato'), null)
})

void t.test('keyring: without an operator key the empty key is nobody', async (t) => {
  t.equal(await createKeyring({ credentials: shelf() }).authenticate(''), null)
})

void t.test('keyring: a record is remembered for a second at most, then revocation shows', async (t) => {
  const clock = new FakeClock()
  const { key, record } = createApiKey('ci', ['push'], clock)
  const store = shelf(record)
  const keyring = createKeyring({ credentials: store, clock })
  await keyring.authenticate(key)
  await keyring.authenticate(key)
  t.equal(store.reads, 1)
  t.ok(KEY_CACHE_MS <= 1000)
  store.keys.delete(record.id)
  clock.advance(KEY_CACHE_MS)
  t.equal(await keyring.authenticate(key), null)
})

void t.test('keyring: a forgotten key is refused at once', async (t) => {
  const clock = new FakeClock()
  const { key, record } = createApiKey('ci', ['push'], clock)
  const store = shelf(record)
  const keyring = createKeyring({ credentials: store, clock })
  await keyring.authenticate(key)
  store.keys.delete(record.id)
  keyring.forget(record.id)
  t.equal(await keyring.authenticate(key), null)
})

void t.test('keyring: a key that did not exist works as soon as it does', async (t) => {
  const clock = new FakeClock()
  const { key, record } = createApiKey('ci', ['push'], clock)
  const store = shelf()
  const keyring = createKeyring({ credentials: store, clock })
  t.equal(await keyring.authenticate(key), null)
  store.keys.set(record.id, record)
  t.match(await keyring.authenticate(key), { id: record.id })
})

void t.test('keyring: a store that fails is not taken for a wrong key', async (t) => {
  const { key } = createApiKey('ci', ['push'], new FakeClock())
  const keyring = createKeyring({
    credentials: {
      getKey: async () => {
        throw new Error('the disk is gone')
      },
    },
  })
  await t.rejects(keyring.authenticate(key), { message: 'the disk is gone' })
})

void t.test('scopes: admin implies the others, and nothing else does', async (t) => {
  t.ok(hasScope(['admin'], 'push'))
  t.ok(hasScope(['admin'], 'read'))
  t.ok(hasScope(['read'], 'read'))
  t.notOk(hasScope(['read'], 'push'))
  t.notOk(hasScope(['push', 'read'], 'admin'))
  t.notOk(hasScope([], 'read'))
  t.ok(isScope('push'))
  t.notOk(isScope('Push'))
})
