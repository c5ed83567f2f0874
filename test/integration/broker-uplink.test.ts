// Devices that publish to their uplink, over real sockets and the real store.

import t from 'tap'
import { startNode, until } from '../support/broker/node.js'
import { RawClient } from '../support/broker/raw-client.js'
import { connected, Gate, numbers, pubacks, publish, startFast, texts, uplinkLog } from '../support/broker/uplink.js'
import type { Packet } from 'mqtt-packet'

void t.test('broker uplink: stored as it was sent, then acknowledged', async (t) => {
  const node = await startNode(t)
  const client = await connected(node)
  const bytes = Buffer.from([0, 255, 10, 13])
  client.send(
    publish('21.5', 7, { topic: 'uplink/d/temperature/room 1', retain: true }),
    publish(bytes, 8, { topic: 'uplink/d/ü//☂' }),
    publish('', 9),
    publish('no answer', 0),
    publish('last', 10),
  )
  await client.next('puback', 4)
  t.strictSame(pubacks(client), [7, 8, 9, 10], 'in the order of the publishes')
  const stored = await uplinkLog(node)
  t.strictSame(
    stored.map(({ id: _id, at: _at, payload, ...rest }) => ({
      ...rest,
      payload: Buffer.from(payload).toString('hex'),
    })),
    [
      ['temperature/room 1', Buffer.from('21.5')],
      ['ü//☂', bytes],
      ['c', Buffer.alloc(0)],
      ['c', Buffer.from('no answer')],
      ['c', Buffer.from('last')],
    ].map(([channel, payload]) => ({
      device: 'd',
      channel,
      will: false,
      contentType: null,
      payload: payload?.toString('hex'),
    })),
  )
  t.match(node.uplinkCounters, { stored: 5, storedBytes: 4 + 4 + 0 + 9 + 4 })
  await client.end()
})

void t.test(
  'broker uplink: 1,000 at once, of both kinds, are stored and acknowledged in order; the rest goes on',
  async (t) => {
    const node = await startFast(t)
    const client = await connected(node)
    await client.subscribe('inbox/d')
    const { last } = await node.push('d', ...numbers(50))
    await client.next('publish', 50)
    const acks = client.publishes
    const all = numbers(1_000)
    client.send(
      ...all.map((n): Packet => publish(n, Number(n) % 3 === 0 ? 0 : Number(n))),
      ...acks.map((packet): Packet => ({ cmd: 'puback', messageId: packet.messageId ?? 0 })),
      { cmd: 'pingreq' },
    )
    const expected = all.map(Number).filter((n) => n % 3 !== 0)
    await client.next('puback', expected.length)
    t.strictSame(pubacks(client), expected)
    await until('all to be stored', async () => (await texts(node)).length === 1_000)
    t.strictSame(await texts(node), all)
    await client.next('pingresp')
    await until('acks to be stored', async () => (await node.mailbox.info('d'))?.cursor === last)
    await client.end()
  },
)

void t.test('broker uplink: many devices at once, each in its order', async (t) => {
  const node = await startFast(t)
  const devices = numbers(30).map((n) => `d${n}`)
  await Promise.all(
    devices.map(async (device) => {
      const client = await connected(node, device)
      for (let from = 1; from < 100; from += 10) {
        client.send(...numbers(10, from).map((n) => publish(n, Number(n), { topic: `uplink/${device}/c` })))
        await client.next('puback', from + 9)
      }
      t.strictSame(pubacks(client), numbers(100).map(Number))
      await client.end()
    }),
  )
  for (const device of devices) t.strictSame(await texts(node, device), numbers(100), device)
})

void t.test('broker uplink: while the store works, the connection answers PINGREQ and takes inbox acks', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap })
  const client = await connected(node)
  await client.subscribe('inbox/d')
  const { last } = await node.push('d', 'm')
  await client.next('publish')
  gate.close()
  client.send(publish('1', 1))
  await until('the store to be asked', () => gate.calls === 1)
  client.ack(...client.publishes)
  client.send({ cmd: 'pingreq' }, publish('2', 2))
  await client.next('pingresp')
  await until('the ack to be stored', async () => (await node.mailbox.info('d'))?.cursor === last)
  t.strictSame(pubacks(client), [], 'nothing is acknowledged before it is stored')
  gate.open()
  await client.next('puback', 2)
  t.strictSame(await texts(node), ['1', '2'])
  await client.end()
})

void t.test('broker uplink: sent again with DUP before its PUBACK it is one, after it another one', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap })
  const client = await connected(node)
  gate.close()
  client.send(publish('a', 1))
  await until('the store to be asked', () => gate.calls === 1)
  client.send(publish('b', 2), publish('a', 1, { dup: true }), publish('b', 2, { dup: true }), publish('c', 2))
  await until('the repeated ones to be found', () => node.uplinkCounters.repeated === 2)
  gate.open()
  await client.next('puback', 3)
  t.strictSame(pubacks(client), [1, 2, 2], 'one PUBACK for each that is stored')
  t.strictSame(await texts(node), ['a', 'b', 'c'])
  client.send(publish('a', 1, { dup: true }))
  await client.next('puback', 4)
  t.strictSame(await texts(node), ['a', 'b', 'c', 'a'], '[MQTT-4.3.2-2]')
  await client.end()
})

void t.test('broker uplink: a device that sends without end is read as fast as the store stores', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap, broker: { limits: { uplinkTimeoutMs: 60_000 } } })
  const [flood, other] = [await connected(node), await connected(node, 'e')]
  gate.close()
  const before = node.counters.bytesIn
  const count = 6_000
  const payload = (n: number): string => `${n}`.padEnd(500, '.')
  flood.send(...numbers(count).map((n) => publish(payload(Number(n)), (Number(n) % 60_000) + 1)))
  other.send({ cmd: 'pingreq' })
  await other.next('pingresp')
  let seen = -1
  await until('reading to stop', async () => {
    const now = node.counters.bytesIn
    const still = now === seen
    seen = now
    await new Promise((resolve) => setTimeout(resolve, 200))
    return still
  })
  t.ok(node.counters.bytesIn - before < 1 << 20, `${node.counters.bytesIn - before} of ${count * 500} bytes were read`)
  gate.open()
  await flood.next('puback', count)
  t.strictSame(
    (await texts(node)).map((line) => Number.parseInt(line)),
    numbers(count).map(Number),
  )
  await Promise.all([flood.end(), other.end()])
})

void t.test('broker uplink: a newer connection of the device does not overtake the older one', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap })
  const old = await connected(node)
  gate.close()
  old.send(publish('1', 1))
  await until('the store to be asked', () => gate.calls === 1)
  old.send(publish('2', 0), publish('3', 3), { cmd: 'pingreq' })
  await old.next('pingresp')
  const young = await connected(node)
  await old.untilClosed()
  young.send(publish('4', 1), { cmd: 'pingreq' })
  await young.next('pingresp')
  gate.open()
  await young.next('puback')
  t.strictSame(await texts(node), ['1', '2', '3', '4'])
  await young.end()
})

void t.test('broker uplink: what a device sent before it left is stored', async (t) => {
  const node = await startFast(t)
  const polite = await connected(node, 'd')
  polite.send(...numbers(200).map((n) => publish(n, 0)), { cmd: 'disconnect' })
  const rude = await connected(node, 'e')
  rude.send(...numbers(200).map((n) => publish(n, 0, { topic: 'uplink/e/c' })))
  rude.socket.end()
  await until('all to be stored', async () => (await uplinkLog(node)).length === 400)
  t.strictSame(await texts(node, 'd'), numbers(200))
  t.strictSame(await texts(node, 'e'), numbers(200))
})

void t.test('broker uplink: reaches no subscriber, is retained nowhere', async (t) => {
  const node = await startNode(t, { broker: { tokens: null } })
  const reader = await RawClient.as(node.mqtt, 'reader', '')
  await reader.subscribe('#', 1, 1)
  await reader.subscribe('+/+/+', 2, 1)
  const client = await RawClient.as(node.mqtt, 'd', '')
  client.send(publish('secret', 1, { retain: true }), publish('secret', 0, { retain: true }))
  await client.next('puback')
  client.send(publish('open', 2, { topic: 'a/b/c' }))
  await reader.next('publish')
  t.strictSame(new Set(reader.texts), new Set(['open']))
  const late = await RawClient.as(node.mqtt, 'late', '')
  await late.subscribe('#', 1, 1)
  await late.subscribe('uplink/#', 2, 1)
  late.send({ cmd: 'pingreq' })
  await late.next('pingresp')
  t.strictSame(late.texts, [])
  t.equal(node.pubsubCounters.retained, 0)
  await Promise.all([reader.end(), client.end(), late.end()])
})

void t.test('broker uplink: PUBACKs keep the order of the publishes over uplink and ordinary topics', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap, broker: { tokens: null } })
  const client = await RawClient.as(node.mqtt, 'd', '')
  gate.close()
  client.send(
    publish('1', 1, { topic: 'a/b' }),
    publish('2', 2),
    publish('3', 3, { topic: 'a/b', retain: true }),
    publish('4', 4),
    { cmd: 'pingreq' },
  )
  await client.next('pingresp')
  await client.next('puback')
  t.strictSame(pubacks(client), [1], 'the others wait for the second')
  gate.open()
  await client.next('puback', 4)
  t.strictSame(pubacks(client), [1, 2, 3, 4], '[MQTT-4.6.0-2]')
  await client.end()
})

void t.test(
  'broker uplink: QoS 0 without end is read as fast as the store stores; waiting is not silence',
  async (t) => {
    const gate = new Gate()
    const node = await startFast(t, { wrapUplink: gate.wrap, broker: { limits: { uplinkTimeoutMs: 60_000 } } })
    const client = await connected(node, 'd', { keepalive: 1 })
    gate.close()
    const before = node.counters.bytesIn
    const count = 4_000
    client.send(...numbers(count).map((n) => publish(n.padEnd(500, '.'), 0)))
    await new Promise((resolve) => setTimeout(resolve, 3_000)) // twice the keep-alive and a half [MQTT-3.1.2-24]
    t.ok(
      node.counters.bytesIn - before < 1 << 20,
      `${node.counters.bytesIn - before} of ${count * 500} bytes were read`,
    )
    t.notOk(client.closed, 'the device was not taken for dead')
    gate.open()
    await until('all to be stored', async () => (await texts(node)).length === count)
    t.strictSame(
      (await texts(node)).map((line) => Number.parseInt(line)),
      numbers(count).map(Number),
    )
    await client.end()
  },
)
