// What a device remembers and what the server does may differ: a storage that was wiped or restored, a store that came back with
// less. The events say so, once, and nothing that is recorded runs again.

import { cpSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import type { Storage } from '../../sdk/device/storage/storage.js'
import { fileStorage } from '../../sdk/file-storage.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { CuttingProxy } from '../support/sdk/cutting-proxy.js'
import { copyStore, fromAnotherBoot } from '../support/sdk/older-store.js'
import { numbers, SdkDevice, texts } from '../support/sdk/sdk-device.js'

const DEVICE = 'phone-1'

async function newFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-sdk-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const cursorIs = (node: TestNode, seq: number): Promise<void> =>
  until(`the cursor ${seq}`, async () => (await node.mailbox.info(DEVICE))?.cursor === seq)

interface World {
  readonly node: TestNode
  readonly folder: string
  /** A new client over the storage. */
  readonly start: () => SdkDevice
}

async function world(t: Test): Promise<World> {
  const node = await startNode(t)
  const folder = join(await newFolder(t), 'storage')
  const token = await node.token(DEVICE)
  const start = (): SdkDevice =>
    new SdkDevice(t, {
      urls: `mqtt://127.0.0.1:${node.mqtt}`,
      deviceId: DEVICE,
      token,
      storage: fileStorage({ folder, fsync: false }),
    })
  return { node, folder, start }
}

const quiet = (t: Test, device: SdkDevice): void => {
  t.same(device.states, ['catching-up', 'live'], 'one connection')
  t.same(device.errors, [])
  t.same(device.resets, [])
}

void t.test('SDK memory: a storage that was wiped is told what it missed, once', async (t) => {
  const { node, folder, start } = await world(t)
  await node.push(DEVICE, ...texts(1, 5))
  const first = await start().has(5)
  await first.client.close()
  rmSync(folder, { recursive: true })
  await node.push(DEVICE, ...texts(6, 8))
  const second = await (await start().has(3)).is('live')
  t.match(second.gaps, [{ from: 1, to: 5, reason: 'handled-elsewhere' }])
  t.same(second.seqs, numbers(6, 8))
  quiet(t, second)
  await second.client.close()
  const third = await start().is('live')
  t.same(third.gaps, [])
  t.same(third.handled, [])
})

void t.test(
  'SDK memory: what was begun is known to the next client, and what waits comes also after a wipe',
  async (t) => {
    const { node, folder, start } = await world(t)
    await node.push(DEVICE, ...texts(1, 3))
    const stuck = new Promise<void>(() => undefined)
    const slow = new SdkDevice(
      t,
      {
        urls: `mqtt://127.0.0.1:${node.mqtt}`,
        deviceId: DEVICE,
        token: await node.token(DEVICE),
        storage: fileStorage({ folder, fsync: false }),
        closeTimeoutMs: 1,
      },
      ({ seq }) => (seq === 2 ? stuck : undefined),
    )
    await slow.has(2)
    await slow.client.close()
    const told = await (await start().has(2)).is('live')
    t.same(
      told.handled.map(({ seq, attempt }) => [seq, attempt]),
      [
        [2, 2],
        [3, 1],
      ],
      'the storage knows that the second was begun',
    )
    await told.client.close()
    await node.push(DEVICE, ...texts(4, 5))
    rmSync(folder, { recursive: true })
    const wiped = await (await start().has(2)).is('live')
    t.same(wiped.seqs, [4, 5])
    quiet(t, wiped)
  },
)

void t.test('SDK memory: a storage that was restored from an old copy goes on where the server stands', async (t) => {
  const { node, folder, start } = await world(t)
  await node.push(DEVICE, ...texts(1, 3))
  await (await start().has(3)).client.close()
  cpSync(folder, `${folder}.old`, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  await node.push(DEVICE, ...texts(4, 8))
  await (await start().has(5)).client.close()
  rmSync(folder, { recursive: true })
  cpSync(`${folder}.old`, folder, { recursive: true })
  await node.push(DEVICE, '9', '10')
  const restored = await (await start().has(2)).is('live')
  t.match(restored.gaps, [{ from: 4, to: 8, reason: 'handled-elsewhere' }])
  t.same(
    restored.handled.map(({ text, attempt }) => [text, attempt]),
    [
      ['9', 1],
      ['10', 1],
    ],
  )
  quiet(t, restored)
  await cursorIs(node, 10)
  await restored.client.close()
  const after = await start().is('live')
  t.same(after.gaps, [], 'and it has caught up with that')
})

async function storeComesBackOlder(t: Test, storage: Storage): Promise<void> {
  const folder = await newFolder(t)
  const first = await startNode(t, { folder: `${folder}/first` })
  const proxy = await CuttingProxy.start(t, first.mqtt)
  const device = new SdkDevice(t, {
    urls: `mqtt://127.0.0.1:${proxy.port}`,
    deviceId: DEVICE,
    token: await first.token(DEVICE),
    storage,
  })
  const names = numbers(1, 8).map((n) => `id-${n}`)
  await device.is('live')
  await first.pushNamed(DEVICE, ...names.slice(0, 3))
  await device.has(3)
  await cursorIs(first, 3)
  copyStore(`${folder}/first`, `${folder}/older`)
  await first.pushNamed(DEVICE, ...names.slice(3))
  await device.has(8)
  await cursorIs(first, 8)
  await first.stop()

  await fromAnotherBoot(`${folder}/older`)
  const older = await startNode(t, { folder: `${folder}/older` })
  // A producer that was told of no answer, and one that has something new.
  await older.pushNamed(DEVICE, ...names.slice(5), 'new-1')
  proxy.target = older.mqtt
  await device.has(9)
  await device.is('live')
  t.match(device.resets, [{ cursor: 3, head: 7 }], 'one reset')
  t.same(device.texts, [...names, 'new-1'], 'nothing that was handled is handled under another seq')
  t.same(device.duplicates, [4, 5, 6])
  await cursorIs(older, 7)
  proxy.breakAll()
  await older.pushNamed(DEVICE, 'new-2')
  await device.has(10)
  t.equal(device.resets.length, 1, 'and none on the next connection')
  t.same(device.gaps, [])
  t.equal(device.ended, undefined)
}

void t.test('SDK memory: a store that comes back older under a device is one reset, and repeats are known', (t) =>
  storeComesBackOlder(t, memoryStorage()),
)

void t.test('SDK memory: the same with a file', async (t) =>
  storeComesBackOlder(t, fileStorage({ folder: join(await newFolder(t), 'storage'), fsync: false })),
)
