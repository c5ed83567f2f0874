import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import mqtt from 'mqtt'
import t from 'tap'
import type { DeviceTransport } from '../../courier/device-transport.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { RawClient } from '../support/broker/raw-client.js'

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

async function cursor(node: TestNode, device: string): Promise<number> {
  return (await node.mailbox.info(device))?.cursor ?? -1
}

void t.test('broker delivery: MQTT.js gets backlog, then live, in order, and its acks move the cursor', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...numbers(1, 500))
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqtt}`, {
    clientId: 'p1',
    username: 'p1',
    password: await node.token('p1'),
    protocolVersion: 4,
  })
  const got: string[] = []
  client.on('message', (topic, payload, packet) => got.push(`${topic} ${payload.toString()} ${packet.dup}`))
  t.match(await client.subscribeAsync('inbox/p1', { qos: 2 }), [{ topic: 'inbox/p1', qos: 1 }])
  for (let i = 501; i <= 600; i++) await node.push('p1', String(i))
  await until('600 messages', () => got.length >= 600)
  t.same(
    got,
    numbers(1, 600).map((n) => `inbox/p1 ${n} false`),
  )
  await until('the cursor', async () => (await cursor(node, 'p1')) === 600)
  t.match(await node.mailbox.info('p1'), { pending: 0, claim: { node: 'n1' } })
  await client.endAsync()
  await until('the release', async () => (await node.mailbox.info('p1'))?.claim === null)
  t.match(node.counters.closes, { disconnect: 1, client: 0 })
})

const mosquitto = spawnSync('mosquitto_sub', ['--help']).error === undefined
void t.test(
  'broker delivery: mosquitto_sub receives in order',
  { skip: mosquitto ? false : 'mosquitto_sub is not installed' },
  async (t) => {
    const node = await startNode(t)
    await node.push('phone-1', ...numbers(1, 200))
    const flags = `-h 127.0.0.1 -p ${node.mqtt} -i phone-1 -u phone-1 -t inbox/phone-1/+ -q 1 -C 300`.split(' ')
    const child = spawn('mosquitto_sub', [...flags, '-P', await node.token('phone-1'), '-F', '%t %p'])
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
    })
    await until('the subscription', () => node.counters.subscribesGranted === 1)
    for (let i = 201; i <= 300; i++) await node.push('phone-1', String(i))
    await once(child, 'exit')
    t.same(
      out.trim().split('\n'),
      numbers(1, 300).map((n) => `inbox/phone-1/${n} ${n}`),
    )
    await until('the cursor', async () => (await cursor(node, 'phone-1')) === 300)
  },
)

void t.test('broker delivery: what was not acknowledged comes again, with DUP, and only that', async (t) => {
  const node = await startNode(t)
  const token = await node.token('p1')
  await node.push('p1', ...numbers(1, 10))
  const first = await RawClient.as(node.mqtt, 'p1', token)
  await first.subscribe('inbox/p1/+')
  await until('10 messages', () => first.publishes.length === 10)
  t.ok(first.publishes.every((packet) => !packet.dup && packet.qos === 1 && (packet.messageId ?? 0) >= 0x8000))
  first.ack(...first.publishes.slice(0, 4))
  await until('the cursor', async () => (await cursor(node, 'p1')) === 4)
  await first.end()

  const second = await RawClient.as(node.mqtt, 'p1', token)
  await second.subscribe('inbox/p1/+')
  await node.push('p1', '11')
  await until('7 messages', () => second.publishes.length === 7)
  t.same(second.texts, numbers(5, 11))
  t.same(
    second.publishes.map((packet) => packet.dup),
    [...Array<boolean>(6).fill(true), false],
  )
  second.ack(...second.publishes)
  await until('the cursor', async () => (await cursor(node, 'p1')) === 11)
})

void t.test('broker delivery: PUBACKs out of order, twice, split and unknown', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...numbers(1, 6))
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  await until('6 messages', () => client.publishes.length === 6)
  const ids = client.publishes.map((packet) => packet.messageId ?? 0)
  const puback = (id: number): Buffer => Buffer.from([0x40, 2, id >> 8, id & 0xff])
  const at = (i: number): Buffer => puback(ids[i] ?? 0)
  client.send(at(1), at(3), at(3), puback(0x8000 | (((ids[0] ?? 0) + 1_000) & 0x7fff)), puback(77))
  for (const byte of Buffer.concat([at(0), at(5), at(2)])) {
    client.send(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await until('the cursor', async () => (await cursor(node, 'p1')) === 4)
  client.send(at(4))
  await until('the cursor', async () => (await cursor(node, 'p1')) === 6)
  t.equal(node.counters.pubacks, 8)
  await until('unknown ones', () => node.counters.pubacksUnknown === 3)
  t.notOk(client.closed)
})

void t.test('broker delivery: a device that never acknowledges is sent its window', async (t) => {
  const node = await startNode(t, { courier: { window: 16 } })
  await node.push('p1', ...numbers(1, 100))
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  await until('the window', () => client.publishes.length === 16)
  await node.push('p1', '101')
  client.send({ cmd: 'pingreq' })
  await client.next('pingresp')
  t.equal(client.publishes.length, 16)
  client.ack(...client.publishes.slice(0, 3))
  await until('three more', () => client.publishes.length === 19)
  t.same(client.texts, numbers(1, 19))
})

void t.test('broker delivery: large and binary payloads arrive byte for byte', async (t) => {
  const node = await startNode(t)
  const payloads = [0, 1, 16_000, 16_384, 70_000, 262_144].map((size) =>
    Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 7) & 0xff)),
  )
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  await node.push('p1', ...payloads)
  await until('all', () => client.publishes.length === payloads.length)
  t.ok(client.publishes.every((packet, i) => payloads[i]?.equals(Buffer.from(packet.payload))))
})

void t.test('broker delivery: UNSUBSCRIBE pauses, acks in flight count, SUBSCRIBE goes on', async (t) => {
  const node = await startNode(t)
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  await node.push('p1', '1', '2')
  await until('2 messages', () => client.publishes.length === 2)
  client.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['inbox/p1', 'other'] })
  t.match(await client.next('unsuback'), { messageId: 9 })
  await node.push('p1', '3')
  client.ack(...client.publishes)
  await until('the cursor', async () => (await cursor(node, 'p1')) === 2)
  client.send({ cmd: 'pingreq' })
  await client.next('pingresp')
  t.equal(client.publishes.length, 2, 'nothing after UNSUBSCRIBE')
  t.match(await client.subscribe('inbox/p1/+', 10), { granted: [1] }, 'another mode is free to take')
  await until('the third', () => client.publishes.length === 3)
  t.match(client.publishes[2], { topic: 'inbox/p1/3', dup: false })
})

void t.test('broker delivery: a second connection takes over; nothing lost, reordered or sent to both', async (t) => {
  const node = await startNode(t)
  const token = await node.token('p1')
  await node.push('p1', ...numbers(1, 20))
  const first = await RawClient.as(node.mqtt, 'p1', token)
  await first.subscribe('inbox/p1')
  await until('20 messages', () => first.publishes.length === 20)
  first.ack(...first.publishes.slice(0, 10))
  await until('the acks', () => node.counters.pubacks === 10)
  const second = await RawClient.as(node.mqtt, 'p1', token)
  await first.untilClosed(2_000)
  await second.subscribe('inbox/p1')
  await node.push('p1', '21')
  await until('11 messages', () => second.publishes.length === 11)
  t.same(second.texts, numbers(11, 21))
  t.equal(first.publishes.length, 20)
  t.equal(node.counters.closes.taken_over, 1)
  t.equal(node.couriers.size, 1)
})

void t.test(
  'broker delivery: of simultaneous connections of one id exactly one survives, and it receives',
  async (t) => {
    const node = await startNode(t)
    const token = await node.token('p1')
    for (let round = 1; round <= 30; round++) {
      const clients = await Promise.all(
        Array.from({ length: 2 }, () => RawClient.as(node.mqtt, 'p1', token).catch(() => null)),
      )
      const alive = (): RawClient[] => clients.filter((client) => client !== null).filter((client) => !client.closed)
      await until('one survivor', () => alive().length <= 1)
      const [survivor] = alive()
      if (survivor === undefined) throw new Error(`round ${round}: no connection survived`)
      await survivor.subscribe('inbox/p1')
      await node.push('p1', String(round))
      await until('the message', () => survivor.publishes.length === 1)
      survivor.ack(...survivor.publishes)
      t.equal(survivor.texts[0], String(round))
      survivor.send({ cmd: 'disconnect' })
      await survivor.untilClosed()
      await until('the cursor', async () => (await cursor(node, 'p1')) === round)
    }
  },
)

void t.test(
  'broker delivery: a stalled reader is closed, delays nobody, and gets everything when it returns',
  async (t) => {
    const node = await startNode(t, { courier: { window: 1024, windowBytes: 64 * 1024 * 1024, fullBufferMs: 1_000 } })
    const big = Buffer.alloc(64 * 1024)
    const stalled = await RawClient.as(node.mqtt, 'slow', await node.token('slow'))
    await stalled.subscribe('inbox/slow')
    stalled.socket.pause()
    for (let i = 0; i < 12; i++) await node.push('slow', ...Array<Buffer>(20).fill(big))
    const other = await RawClient.as(node.mqtt, 'p2', await node.token('p2'))
    await other.subscribe('inbox/p2')
    await node.push('p2', 'hello')
    await until('the other one', () => other.publishes.length === 1, 500)
    await until('the close', () => node.counters.closes.slow_consumer === 1)
    stalled.socket.destroy()
    const back = await RawClient.as(node.mqtt, 'slow', await node.token('slow'))
    await back.subscribe('inbox/slow/+')
    // Not one ack before all are there: only the draining socket lets the courier go on.
    await until('all 240', () => back.publishes.length === 240)
    back.ack(...back.publishes)
    await until('the cursor', async () => (await cursor(node, 'slow')) === 240)
    t.same(
      back.publishes.map((packet) => packet.topic),
      numbers(1, 240).map((n) => `inbox/slow/${n}`),
    )
  },
)

void t.test('broker delivery: a slow but reading device lives, and its buffer stays bounded', async (t) => {
  const transports: DeviceTransport[] = []
  const node = await startNode(t, {
    courier: { window: 1024, windowBytes: 64 * 1024 * 1024, bufferLimit: 64 * 1024, fullBufferMs: 1_000 },
    couriers: (couriers) => ({
      open(request) {
        transports.push(request.transport)
        return couriers.open(request)
      },
    }),
  })
  const payload = Buffer.alloc(32 * 1024)
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  client.socket.pause()
  for (let i = 0; i < 25; i++) await node.push('p1', ...Array<Buffer>(20).fill(payload))
  const buffered: number[] = []
  const [transport] = transports
  for (const end = performance.now() + 3_000; performance.now() < end;) {
    client.socket.resume()
    client.socket.once('data', () => client.socket.pause())
    await new Promise((resolve) => setTimeout(resolve, 20))
    buffered.push(transport?.bufferedBytes() ?? -1)
  }
  t.notOk(client.closed)
  const most = Math.max(...buffered)
  t.ok(most >= 64 * 1024 && most < 98 * 1024, `buffered at most ${most}`)
  client.socket.removeAllListeners('data')
  client.socket.destroy()
})

void t.test('broker delivery: what waits for a full socket goes on when it drains', async (t) => {
  const node = await startNode(t, { courier: { window: 1024, windowBytes: 64 * 1024 * 1024, bufferLimit: 16 * 1024 } })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  await node.push('p1', ...Array<Buffer>(100).fill(Buffer.alloc(64 * 1024)))
  // Not one ack: only the draining socket lets the courier go on.
  await until('all 100', () => client.publishes.length === 100)
})

void t.test('broker delivery: WebSocket clients receive the same', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...numbers(1, 100))
  const client = await mqtt.connectAsync(`ws://127.0.0.1:${node.ws}/mqtt`, {
    clientId: 'p1',
    username: 'p1',
    password: await node.token('p1'),
    protocolVersion: 4,
  })
  const got: string[] = []
  client.on('message', (_topic, payload) => got.push(payload.toString()))
  await client.subscribeAsync('inbox/p1', { qos: 1 })
  await node.push('p1', ...numbers(101, 150))
  await node.push('p1', Buffer.alloc(200_000))
  await until('151 messages', () => got.length === 151)
  t.same(got.slice(0, 150), numbers(1, 150))
  await until('the cursor', async () => (await cursor(node, 'p1')) === 151)
  await client.endAsync()
  await until('the release', async () => (await node.mailbox.info('p1'))?.claim === null)
})
