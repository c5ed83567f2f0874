// The broker's limits, each over a real socket: refused in the protocol's own way, and counted.

import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { UNLIMITED } from '../../core/limits/token-bucket.js'
import { startNode, until } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { stopwatch } from '../support/stopwatch.js'

const PINGREQ: Packet = { cmd: 'pingreq' }
const pings = (client: RawClient): number => client.packets.filter(({ cmd }) => cmd === 'pingresp').length
const many = (packet: Packet, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => mqttPacket.generate(packet)))

/** The CONNACK code that a CONNECT gets. */
async function connack(port: number, device: string, token: string): Promise<number> {
  const client = await RawClient.to(port)
  client.send(connectPacket(device, token))
  const answer = await client.next('connack')
  await client.end()
  return answer.cmd === 'connack' ? (answer.returnCode ?? -1) : -1
}

void t.test('broker limits: CONNECT rates of a device and an address, connections of an address', async (t) => {
  const node = await startNode(t, {
    broker: {
      limits: {
        connectsPerDevice: { perSecond: 0.01, burst: 2 },
        connectsPerAddress: { perSecond: 0.01, burst: 8 },
        maxConnectionsPerAddress: 2,
      },
    },
  })
  const token = await node.token('p1')
  t.equal(await connack(node.mqtt, 'p1', 'x'), 4)
  t.equal(await connack(node.mqtt, 'p1', 'x'), 4, 'bad credentials use up nothing of the device’s')
  t.equal(await connack(node.mqtt, 'p1', token), 0)
  t.equal(await connack(node.mqtt, 'p1', token), 0)
  t.equal(await connack(node.mqtt, 'p1', token), 3, 'a third time')
  await until('room', () => node.counters.connections === 0)
  const p2 = await RawClient.as(node.mqtt, 'p2', await node.token('p2'))
  const p3 = await RawClient.as(node.mqtt, 'p3', await node.token('p3'))
  t.equal(await connack(node.mqtt, 'p4', await node.token('p4')), 3, 'a third connection')
  t.equal(await connack(node.mqtt, 'p5', await node.token('p5')), 3, 'a ninth CONNECT')
  t.match(node.counters.connects, {
    bad_token: 2,
    accepted: 4,
    device_rate: 1,
    address_connections: 1,
    address_rate: 1,
  })
  await p2.end()
  await p3.end()
})

void t.test('broker limits: packets over the rate wait unread, and none is lost', async (t) => {
  const node = await startNode(t, { broker: { limits: { packetsPerDevice: { perSecond: 100, burst: 20 } } } })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { keepalive: 1 })
  const from = performance.now()
  const elapsed = stopwatch(t)
  client.send(many(PINGREQ, 220))
  await until('the burst', () => pings(client) >= 20)
  t.ok(elapsed() < 300, 'the burst is answered at once')
  await until('half of them', () => pings(client) >= 100)
  await node.push('p1', 'one')
  await client.subscribe('inbox/p1')
  t.equal(pings(client), 220, 'what came later waits its turn')
  const took = performance.now() - from
  t.ok(
    took > 1_900 && elapsed() < 5_000,
    `200 more at 100 a second: ${Math.round(took)} ms, and longer than the keep-alive`,
  )
  await client.next('publish')
  t.ok(node.counters.throttled.packets > 0)
  t.equal(node.counters.closes.keepalive_timeout, 0)
})

void t.test('broker limits: a new connection is no new burst', async (t) => {
  const limits = { publishesPerDevice: { perSecond: 20, burst: 10 } }
  const node = await startNode(t, { broker: { limits } })
  const token = await node.token('p1')
  const from = performance.now()
  for (let round = 0; round < 8; round++) {
    const client = await RawClient.as(node.mqtt, 'p1', token)
    for (let messageId = 1; messageId <= 20; messageId++) {
      client.send({ cmd: 'publish', topic: 'uplink/p1/c', payload: 'x', qos: 1, messageId, dup: false, retain: false })
    }
    // Half of the connections end in good order, half are taken over by the next one.
    if (round % 2 === 0) await client.next('puback')
    if (round % 2 === 0) await client.end()
  }
  const seconds = (performance.now() - from) / 1_000
  const stored = node.uplinkCounters.stored
  t.ok(stored <= 10 + 20 * seconds + 1, `${stored} in ${seconds.toFixed(2)} s`)
  t.ok(node.counters.throttled.publishes > 0)
  const other = await RawClient.as(node.mqtt, 'p2', await node.token('p2'))
  other.send({ cmd: 'publish', topic: 'uplink/p2/c', payload: 'x', qos: 1, messageId: 1, dup: false, retain: false })
  await other.next('puback')
  await other.end()
})

void t.test('broker limits: bytes over the rate wait unread, and their time is not the device’s', async (t) => {
  const node = await startNode(t, {
    broker: { limits: { bytesPerDevice: { perSecond: 100_000, burst: 10_000 }, packetTimeoutMs: 200 } },
  })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { keepalive: 1 })
  const topic = 'x'.repeat(60_000)
  const from = performance.now()
  const elapsed = stopwatch(t)
  for (let i = 1; i <= 4; i++) client.send({ cmd: 'subscribe', messageId: i, subscriptions: [{ topic, qos: 1 }] })
  await client.next('suback', 4)
  const took = performance.now() - from
  t.ok(took > 1_000 && elapsed() < 5_000, `240 KB at 100 KB a second: ${Math.round(took)} ms`)
  t.ok(node.counters.throttled.bytes > 0)
  t.match(node.counters.subacksRefused, { too_long: 4 })
  t.match(node.counters.closes, { keepalive_timeout: 0, packet_timeout: 0 })
})

void t.test('broker limits: a flood of packets does not keep others waiting', async (t) => {
  const node = await startNode(t, { broker: { limits: { packetsPerDevice: UNLIMITED, bytesPerDevice: UNLIMITED } } })
  const flooder = await RawClient.as(node.mqtt, 'flooder', await node.token('flooder'))
  const other = await RawClient.as(node.mqtt, 'other', await node.token('other'))
  const count = 30_000
  flooder.send(many(PINGREQ, count))
  await until('the flood to begin', () => pings(flooder) > 0)
  other.send(PINGREQ)
  await other.next('pingresp')
  t.ok(pings(flooder) < count / 2, `answered after ${pings(flooder)} of the flood’s ${count}`)
  await until('all of it', () => pings(flooder) === count)
})

void t.test('broker limits: keep-alive is enforced, one and a half times [MQTT-3.1.2-24]', async (t) => {
  const node = await startNode(t)
  const token = await node.token('p1')
  const lively = await RawClient.as(node.mqtt, 'p2', await node.token('p2'), { keepalive: 2 })
  const half = await RawClient.as(node.mqtt, 'p3', await node.token('p3'), { keepalive: 1 })
  const off = await RawClient.as(node.mqtt, 'p4', await node.token('p4'), { keepalive: 0 })
  half.send(Buffer.from([0x82, 0xe0, 0xd4, 0x03])) // a SUBSCRIBE of 60,000 bytes
  const from = performance.now()
  const elapsed = stopwatch(t)
  const silent = await RawClient.as(node.mqtt, 'p1', token, { keepalive: 1 })
  const chatter = setInterval(() => {
    lively.send(PINGREQ)
    half.send(Buffer.alloc(1))
  }, 300)
  t.teardown(() => clearInterval(chatter))
  await silent.untilClosed()
  const took = performance.now() - from
  t.ok(took > 1_450 && elapsed() < 4_000, `closed after ${Math.round(took)} ms`)
  await half.untilClosed()
  t.match({ lively: lively.closed, off: off.closed }, { lively: false, off: false })
  t.equal(node.counters.closes.keepalive_timeout, 2)
})

void t.test('broker limits: a packet that has begun must come to its end', async (t) => {
  const node = await startNode(t, { broker: { limits: { packetTimeoutMs: 300 } } })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { keepalive: 0 })
  const subscribe = mqttPacket.generate({
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: 'inbox/p1', qos: 1 }],
  })
  client.send(subscribe.subarray(0, 5))
  await client.untilClosed(3_000)
  t.equal(node.counters.closes.packet_timeout, 1)

  const slow = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { keepalive: 0 })
  for (const byte of subscribe) slow.send(Buffer.from([byte]))
  await slow.next('suback')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  t.equal(slow.closed, false, 'between packets it may be silent')
})

void t.test('broker limits: a CONNECT and a SUBSCRIBE byte by byte are read like any other', async (t) => {
  const node = await startNode(t)
  const client = await RawClient.to(node.mqtt)
  for (const byte of mqttPacket.generate(connectPacket('p1', await node.token('p1')))) {
    client.send(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.match(await client.next('connack'), { returnCode: 0 })
  const filters = Array.from({ length: 100 }, (_, i) => ({ topic: `no/${i}`, qos: 1 as const }))
  for (const byte of mqttPacket.generate({ cmd: 'subscribe', messageId: 9, subscriptions: filters })) {
    client.send(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const suback = await client.next('suback')
  t.equal(suback.cmd === 'suback' ? suback.granted.length : 0, 100)
})

void t.test('broker limits: who asks and does not read the answers is closed', async (t) => {
  const node = await startNode(t, {
    broker: {
      limits: {
        packetsPerDevice: UNLIMITED,
        bytesPerDevice: UNLIMITED,
        maxUnsentBytes: 20_000,
        maxPublishBytes: 1_000,
      },
    },
  })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  client.socket.pause()
  // As many as it takes to fill the buffers of both kernels with answers of two bytes.
  const flood = many(PINGREQ, 50_000)
  const more = (): void => {
    if (!client.closed && node.counters.closes.slow_consumer === 0) client.socket.write(flood, () => setImmediate(more))
  }
  more()
  await until('it to be closed', () => node.counters.closes.slow_consumer === 1, 60_000)
  await client.end()
})

void t.test('broker limits: half a WebSocket handshake, and half a CONNECT over it, make room', async (t) => {
  const node = await startNode(t, { broker: { limits: { maxStrangers: 2 } } })
  const first = await RawClient.to(node.ws)
  first.send(Buffer.from('GET /mqtt HTTP/1.1\r\n'))
  const second = await RawClient.to(node.mqtt)
  await until('both', () => node.counters.sockets === 1)
  const third = await RawClient.to(node.mqtt)
  await first.untilClosed()
  t.same([second.closed, third.closed], [false, false])
  t.equal(await connack(node.mqtt, 'p1', await node.token('p1')), 0)
  await second.untilClosed()
})

void t.test('broker limits: SUBSCRIBE and UNSUBSCRIBE with too many filters', async (t) => {
  const node = await startNode(t, { broker: { limits: { maxFilters: 3 } } })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  const topics = ['inbox/p1', 'inbox/p1', 'inbox/p1', 'inbox/p1']
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos: 1 })) })
  t.match(await client.next('suback'), { granted: [1, 1, 1, 0x80] })
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: topics })
  await client.untilClosed()
  t.match(node.counters, { subacksRefused: { too_many: 1 }, protocolErrors: { too_many_filters: 1 } })
})

void t.test('broker limits: a will is bounded as every message is', async (t) => {
  const node = await startNode(t, {
    broker: { limits: { maxTopicBytes: 300, maxTopicLevels: 4, maxPayloadBytes: 100 } },
  })
  const token = await node.token('p1')
  const code = async (topic: string, bytes: number): Promise<unknown> => {
    const client = await RawClient.to(node.mqtt)
    const will = { topic, payload: Buffer.alloc(bytes), qos: 0 as const, retain: false }
    client.send(connectPacket('p1', token, { will }))
    const answer = await client.next('connack')
    await client.end()
    return answer.cmd === 'connack' ? answer.returnCode : null
  }
  t.equal(await code('uplink/p1/a', 100), 0)
  t.equal(await code('uplink/p1/a', 101), 5)
  t.equal(await code('uplink/p1/a/b/c', 1), 5)
  t.equal(await code(`uplink/p1/${'x'.repeat(300)}`, 1), 5)
  t.equal(node.counters.connects.will_refused, 3)
})

void t.test('broker limits: a WebSocket message in countless pieces is not kept', async (t) => {
  const node = await startNode(t)
  const masked = (first: number, byte: number): Buffer => Buffer.from([first, 0x81, 0, 0, 0, 0, byte])
  const upgrade =
    'GET /mqtt HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n\r\n'
  const fragments = await RawClient.to(node.ws)
  fragments.socket.removeAllListeners('data').resume() // it does not speak MQTT
  fragments.send(Buffer.from(upgrade), masked(0x02, 0x10))
  fragments.send(Buffer.concat(Array.from({ length: 3_000 }, () => masked(0x00, 0))))
  await fragments.untilClosed()
  t.match(node.counters, { protocolErrors: { bad_websocket: 1 }, closes: { protocol_error: 1 } })
})

void t.test('broker limits: pieces that a stranger has the WebSocket keep are counted as what they cost', async (t) => {
  const node = await startNode(t, { broker: { limits: { maxStrangerBytes: 64 * 1024 } } })
  const upgrade =
    'GET /mqtt HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n\r\n'
  const stranger = await RawClient.to(node.ws)
  stranger.socket.removeAllListeners('data').resume()
  stranger.send(Buffer.from(upgrade))
  await until('the upgrade', () => node.counters.sockets === 1)
  stranger.send(Buffer.from([0x02, 0xfe, 0x10, 0, 0, 0, 0, 0]), Buffer.alloc(3_000)) // of a frame of 4,096 bytes
  await stranger.untilClosed()
  t.equal(node.counters.closes.too_many_sockets, 1)
})
