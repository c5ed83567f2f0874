// The SDK before a real broker: what the application sees of the road of a message, and of everything that can happen on it.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { fileStorage } from '../../sdk/file-storage.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { copyStore, fromAnotherBoot } from '../support/sdk/older-store.js'
import { numbers, SdkDevice, texts } from '../support/sdk/sdk-device.js'

const mqttUrl = (node: TestNode): string => `mqtt://127.0.0.1:${node.mqtt}`
const wsUrl = (node: TestNode): string => `ws://127.0.0.1:${node.ws}/mqtt`

const cursorIs = (node: TestNode, device: string, seq: number): Promise<void> =>
  until(`the cursor ${seq}`, async () => (await node.mailbox.info(device))?.cursor === seq)

async function newFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-sdk-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

for (const [name, url] of [
  ['TCP', mqttUrl],
  ['WebSocket', wsUrl],
] as const) {
  void t.test(`SDK road: over ${name}, a backlog, then live, in order, and acknowledged`, async (t) => {
    const node = await startNode(t)
    await node.push('phone-1', ...texts(1, 500))
    const device = new SdkDevice(t, { urls: url(node), deviceId: 'phone-1', token: await node.token('phone-1') })
    await device.has(500)
    await device.is('live')
    for (const text of texts(501, 550)) await node.push('phone-1', text)
    await device.has(550)
    t.same(device.seqs, numbers(1, 550))
    t.same(device.texts, texts(1, 550))
    t.same(device.states, ['catching-up', 'live'])
    t.same(device.errors, [])
    await cursorIs(node, 'phone-1', 550)
    t.equal(await device.client.close(), null)
    await until('the device to be offline', async () => (await node.mailbox.info('phone-1'))?.connectedAt === null)
  })
}

void t.test(
  'SDK road: what is sent up is stored in order, also what was sent before the first connection',
  async (t) => {
    const node = await startNode(t)
    const storage = memoryStorage()
    const token = await node.token('phone-1')
    const offline = new SdkDevice(t, { urls: 'mqtt://127.0.0.1:1', deviceId: 'phone-1', token, storage })
    const early = offline.client.send('readings', { n: 1 }, { id: 'r-1' })
    await t.rejects(Promise.all([early, offline.client.close()]), { code: 'closed' })
    const device = new SdkDevice(t, { urls: wsUrl(node), deviceId: 'phone-1', token, storage })
    await Promise.all([device.client.send('readings', { n: 2 }), device.client.send('blob/x', Uint8Array.of(0, 255))])
    await device.client.send('readings', { n: 1 }, { id: 'r-1' })
    const page = await node.store.uplink.read({ after: null, limit: 10, maxBytes: 1 << 20 })
    t.same(
      page?.uplinks.map(({ channel, contentType, payload }) => [
        channel,
        contentType,
        Buffer.from(payload).toString('latin1'),
      ]),
      [
        ['readings', 'application/json', '{"n":1}'],
        ['readings', 'application/json', '{"n":2}'],
        ['blob/x', 'application/octet-stream', '\0\u00ff'],
      ],
      'and an id that was stored is not stored again',
    )
  },
)

void t.test(
  'SDK road: an uplink that the server refuses for good ends one client, and not those after it',
  async (t) => {
    const node = await startNode(t)
    const folder = await newFolder(t)
    const options = { urls: mqttUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
    const device = new SdkDevice(t, { ...options, storage: fileStorage({ folder }) })
    await device.client.send('c', 'one', { id: 'r-1' })
    await t.rejects(device.client.send('c', 'another one', { id: 'r-1' }), { code: 'uplink_refused' })
    t.equal((await device.end())?.code, 'protocol_error')
    const next = await new SdkDevice(t, { ...options, storage: fileStorage({ folder }) }).is('live')
    await next.client.send('c', 'two')
  },
)

void t.test(
  'SDK road: of two clients with one id the newer has the device, and the older says so and stays away',
  async (t) => {
    const node = await startNode(t)
    const options = { urls: mqttUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
    const first = await new SdkDevice(t, options).is('live')
    const second = await new SdkDevice(t, options).is('live')
    t.equal((await first.end())?.code, 'taken_over')
    await node.push('phone-1', 'for the second')
    await second.has(1)
    t.same(first.handled, [])
    t.equal(second.client.state, 'live')
  },
)

void t.test('SDK road: clients with one id that all start at once do not kick each other for ever', async (t) => {
  const node = await startNode(t)
  const options = { urls: mqttUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
  const devices = numbers(1, 8).map(() => new SdkDevice(t, options))
  await until('one to remain', () => devices.filter(({ ended }) => ended === undefined).length === 1)
  await node.push('phone-1', ...texts(1, 20))
  const left = devices.find(({ ended }) => ended === undefined)
  await left?.has(20)
  t.same(
    devices.map(({ ended }) => ended?.code).filter((code) => code !== undefined),
    Array.from({ length: 7 }, () => 'taken_over'),
  )
  t.equal(devices.flatMap(({ handled }) => handled).length, 20)
})

void t.test('SDK road: another client that consumed in between is told as a gap', async (t) => {
  const node = await startNode(t)
  const folder = await newFolder(t)
  const options = { urls: mqttUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
  await node.push('phone-1', ...texts(1, 5))
  const first = await new SdkDevice(t, { ...options, storage: fileStorage({ folder }) }).has(5)
  await first.client.close()
  await node.push('phone-1', ...texts(6, 9))
  const other = await new SdkDevice(t, options).has(4)
  t.match(other.gaps, [{ from: 1, to: 5, reason: 'handled-elsewhere' }], 'a storage that forgot, or never knew')
  await other.client.close()
  await node.push('phone-1', '10')
  const again = await new SdkDevice(t, { ...options, storage: fileStorage({ folder }) }).has(1)
  t.same(again.texts, ['10'])
  t.match(again.gaps, [{ log: 'd:phone-1', from: 6, to: 9, reason: 'handled-elsewhere' }])
  t.same(again.errors, [])
})

void t.test('SDK road: what a full inbox dropped is told as a gap, in its place', async (t) => {
  const node = await startNode(t, { inboxMax: 3, overflow: 'drop-oldest' })
  const options = { urls: mqttUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
  await node.push('phone-1', ...texts(1, 5))
  const device = await new SdkDevice(t, options).has(3)
  t.same(device.texts, texts(3, 5))
  t.match(device.gaps, [{ from: 1, to: 2, reason: 'overflow' }])
})

void t.test('SDK road: a device that was deleted is told, and begins again with a new token', async (t) => {
  const node = await startNode(t)
  const folder = await newFolder(t)
  const options = { urls: mqttUrl(node), deviceId: 'phone-1' }
  await node.push('phone-1', ...texts(1, 5))
  const first = await new SdkDevice(t, {
    ...options,
    token: await node.token('phone-1'),
    storage: fileStorage({ folder }),
  }).has(5)
  const info = await node.mailbox.info('phone-1')
  await node.kick('phone-1', info?.claim?.claimId ?? '', 'revoked')
  t.equal((await first.end())?.code, 'revoked')
  await node.mailbox.purge('phone-1')
  await node.push('phone-1', 'new one')
  const again = await new SdkDevice(t, {
    ...options,
    token: await node.token('phone-1'),
    storage: fileStorage({ folder }),
  }).has(1)
  t.same(again.texts, ['new one'], 'its seq was handled before, in another epoch')
  t.match(again.resets, [{ log: 'd:phone-1', cursor: 0, head: 1 }])
})

void t.test('SDK road: a store that comes back older is told as a reset; nothing recorded runs again', async (t) => {
  const folder = await newFolder(t)
  const memory = await newFolder(t)
  const first = await startNode(t, { folder: `${folder}/first` })
  const token = await first.token('phone-1')
  const storage = (): ReturnType<typeof fileStorage> => fileStorage({ folder: memory })
  await first.push('phone-1', ...texts(1, 3))
  const device = await new SdkDevice(t, { urls: mqttUrl(first), deviceId: 'phone-1', token, storage: storage() }).has(3)
  await cursorIs(first, 'phone-1', 3)
  copyStore(`${folder}/first`, `${folder}/older`)
  await first.push('phone-1', ...texts(4, 8))
  await device.has(8)
  await cursorIs(first, 'phone-1', 8)
  await device.client.close()
  await first.stop()

  await fromAnotherBoot(`${folder}/older`)
  const older = await startNode(t, { folder: `${folder}/older` })
  await older.push('phone-1', 'four, another one', 'five, another one')
  const again = new SdkDevice(t, { urls: mqttUrl(older), deviceId: 'phone-1', token, storage: storage() })
  await again.has(2)
  await again.is('live')
  t.match(again.resets, [{ log: 'd:phone-1', cursor: 3, head: 5 }])
  t.same(again.texts, ['four, another one', 'five, another one'], 'under the seqs of messages that it has handled')
  t.same(again.states, ['catching-up', 'live'], 'no loop')
  await cursorIs(older, 'phone-1', 5)
  await older.push('phone-1', 'six')
  await again.has(3)
})

void t.test('SDK road: a token is renewed while messages flow, and nothing is lost or repeated', async (t) => {
  const node = await startNode(t)
  const asked: string[] = []
  const device = new SdkDevice(t, {
    urls: wsUrl(node),
    deviceId: 'phone-1',
    getToken: ({ reason }) => {
      asked.push(reason)
      return node.token('phone-1', 7)
    },
  })
  await device.is('live')
  let sent = 0
  while (asked.length < 3) {
    await node.push('phone-1', String(++sent))
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await device.has(sent)
  t.same(device.seqs, numbers(1, sent))
  t.same(asked, ['first', 'expiring', 'expiring'])
  t.same(device.errors, [], 'before the server had to say so')
})

void t.test('SDK road: a token that the server does not take is the end, at once', async (t) => {
  const node = await startNode(t)
  let asked = 0
  const options = { urls: mqttUrl(node), deviceId: 'phone-1' }
  const wrong = new SdkDevice(t, { ...options, token: 'no token' })
  t.equal((await wrong.end())?.code, 'unauthorized')
  const others = new SdkDevice(t, { ...options, token: await node.token('phone-2') })
  t.equal((await others.end())?.code, 'forbidden')
  const stubborn = new SdkDevice(t, {
    ...options,
    getToken: () => {
      asked++
      return 'no token'
    },
  })
  t.equal((await stubborn.end())?.code, 'unauthorized')
  t.equal(asked, 1)
  const heals = new SdkDevice(t, {
    ...options,
    getToken: ({ reason }) => node.token('phone-1', reason === 'first' ? 2 : 60),
  })
  await heals.is('live')
  await until('the token to expire', () => heals.errors.some(({ code }) => code === 'server_closed'))
  await heals.is('live')
  t.equal(heals.ended, undefined)
})

void t.test('SDK road: a message larger than a frame travels alone', async (t) => {
  const node = await startNode(t)
  const large = 'x'.repeat(200_000)
  await node.push('phone-1', 'before', large, 'after')
  const options = { urls: wsUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
  const device = await new SdkDevice(t, { ...options, maxFrameBytes: 16_384 }).has(3)
  t.same(
    device.texts.map((text) => text.length),
    [6, 200_000, 5],
  )
})

void t.test('SDK road: a handler that takes long is no silence to the server', async (t) => {
  const node = await startNode(t, { courier: { unackedMs: 1_000 } })
  await node.push('phone-1', 'slow', 'after')
  const options = { urls: mqttUrl(node), deviceId: 'phone-1', token: await node.token('phone-1') }
  const device = new SdkDevice(
    t,
    { ...options, keepAliveSeconds: 1 },
    () => new Promise((resolve) => setTimeout(resolve, 2_500)),
  )
  await device.has(2)
  t.same(device.states, ['catching-up'])
  t.same(device.errors, [])
})
