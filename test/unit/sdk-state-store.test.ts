import t from 'tap'
import { PostriderError } from '../../sdk/device/errors.js'
import { StateStore } from '../../sdk/device/storage/state-store.js'
import type { Storage, StorageChange } from '../../sdk/device/storage/storage.js'
import { readUplink, uplinkKey, writeUplink } from '../../sdk/device/storage/stored-values.js'
import { settle, TestStorage } from '../support/sdk/handling-rig.js'

const open = (storage: Storage, device = 'phone-1', told: PostriderError[] = []): Promise<StateStore> =>
  StateStore.open(storage, device, (error) => told.push(error))

const uplink = (id: string) => ({ channel: 'c', id, contentType: null, payload: Uint8Array.of(1, 2) })

void t.test('SDK state store: what was saved is there again', async (t) => {
  const storage = new TestStorage()
  const store = await open(storage)
  const log = store.log('d:phone-1')
  log.record.setHandled('e', 4)
  log.record.moveTo('e', 4)
  store.touch(log)
  store.touchDedup(log, log.dedup.remember('id/with/slashes', 'e', 4, 1))
  store.touch(store.log('g:all'))
  store.put(uplinkKey(12), writeUplink(uplink('b')))
  store.put(uplinkKey(9), writeUplink(uplink('a')))
  store.url = 'ws://one/'
  await store.save()
  const again = await open(storage)
  t.same([...again.logs.keys()], ['d:phone-1', 'g:all'])
  t.ok(again.log('d:phone-1').record.wasHandled('e', 4))
  t.same(
    [...again.log('d:phone-1').dedup.entries()].map(({ id }) => id),
    ['id/with/slashes'],
  )
  t.same(
    [...again.uplinks],
    [
      [9, uplink('a')],
      [12, uplink('b')],
    ],
    'in order',
  )
  t.equal(again.url, 'ws://one/')
})

void t.test('SDK state store: while a write is under way, all that changes goes into the next one', async (t) => {
  const storage = new TestStorage()
  const store = await open(storage)
  storage.hold()
  const saved: number[] = []
  for (let i = 1; i <= 20; i++) {
    store.put(uplinkKey(i), writeUplink(uplink(`${i}`)))
    void store.save()?.then(() => saved.push(i))
    if (i % 5 === 0) await settle()
  }
  t.same(saved, [])
  storage.letGo()
  await settle()
  t.equal(saved.length, 20)
  t.equal(storage.writes, 2)
  await store.save()
  t.equal(storage.writes, 2, 'nothing changed')
})

void t.test('SDK state store: a storage of another device, version or program is refused, and damage is', async (t) => {
  const refused = async (prepare: (storage: TestStorage) => void, device = 'phone-1'): Promise<unknown> => {
    const storage = new TestStorage()
    const store = await open(storage)
    const log = store.log('d:phone-1')
    log.record.setHandled('e', 4)
    store.touch(log)
    await store.save()
    prepare(storage)
    return open(storage, device).then(
      () => null,
      (error: unknown) => error,
    )
  }
  t.equal(await refused(() => undefined), null)
  t.match(await refused(() => undefined, 'phone-2'), {
    code: 'storage_unusable',
    message: /belongs to the device phone-1/,
  })
  const newer = await refused((storage) => storage.values.set('about', Uint8Array.of(0x92, 2, 0xa0)))
  t.match(newer, { code: 'storage_unusable', message: /format 2/ })
  t.match(await refused((storage) => storage.values.delete('about')), {
    code: 'storage_unusable',
    message: /something else/,
  })
  t.match(await refused((storage) => storage.values.set('up/x', Uint8Array.of(0x90))), { code: 'storage_unusable' })

  const [whole] = [new TestStorage()]
  const store = await open(whole)
  store.log('d:phone-1').record.setHandled('e', 4)
  store.touch(store.log('d:phone-1'))
  await store.save()
  for (const [key, value] of whole.values) {
    for (let length = 0; length < value.length; length++) {
      const cut = new TestStorage()
      for (const [each, bytes] of whole.values) cut.values.set(each, each === key ? bytes.slice(0, length) : bytes)
      await t.rejects(open(cut), { code: 'storage_unusable' }, `${key} cut to ${length} bytes`)
    }
  }
})

void t.test('SDK state store: elements that a later version appends are stepped over', async (t) => {
  const [, ...elements] = writeUplink(uplink('a'))
  t.same(readUplink(Uint8Array.from([0x95, ...elements, 7])), uplink('a'))
})

void t.test('SDK state store: a storage that cannot be read or written fails for good, by name', async (t) => {
  const unreadable = new TestStorage()
  unreadable.fails = new Error('no permission')
  await t.rejects(open(unreadable), { code: 'storage_failed', message: /no permission/ })
  unreadable.fails = new PostriderError('storage_in_use')
  await t.rejects(open(unreadable), { code: 'storage_in_use' }, 'its own errors stay')

  const storage = new TestStorage()
  const told: PostriderError[] = []
  const store = await open(storage, 'phone-1', told)
  storage.fails = new Error('disk full')
  store.put('x', Uint8Array.of(1))
  const first = store.save()
  store.put('y', Uint8Array.of(1))
  const second = store.save()
  await t.rejects(Promise.resolve(first), { code: 'storage_failed' })
  await t.rejects(Promise.resolve(second), { code: 'storage_failed' })
  storage.fails = null
  await t.rejects(
    Promise.resolve(store.save()),
    { code: 'storage_failed' },
    'what is in memory and in the storage may differ',
  )
  t.equal(told.length, 1)
  await store.close()
})

void t.test('SDK state store: a storage that cannot be closed says so, unless it failed before', async (t) => {
  class Sticky extends TestStorage {
    override close(): Promise<void> {
      return Promise.reject(new Error('busy'))
    }
  }
  const store = await open(new Sticky())
  await t.rejects(store.close(), { code: 'storage_failed', message: /busy/ })
  const failing = new Sticky()
  const failed = await open(failing)
  failing.fails = new Error('disk full')
  failed.put('x', Uint8Array.of(1))
  await t.rejects(Promise.resolve(failed.save()), { code: 'storage_failed' })
  await failed.close()
})

void t.test('SDK state store: a storage that throws instead of rejecting is no other', async (t) => {
  const storage: Storage = {
    load: () => Promise.resolve(new Map()),
    write(_changes: readonly StorageChange[]): Promise<void> {
      throw new TypeError('not a function')
    },
    close: () => Promise.resolve(),
  }
  const store = await open(storage)
  store.put('x', Uint8Array.of(1))
  await t.rejects(Promise.resolve(store.save()), { code: 'storage_failed' })
})
