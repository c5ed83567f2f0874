// Uplink that is not stored, and what then becomes of the connection.

import t from 'tap'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { connected, Gate, pubacks, publish, startFast, texts, uplinkLog } from '../support/broker/uplink.js'
import type { Packet } from 'mqtt-packet'

void t.test('broker uplink: what is not stored in time ends the connection; acks that arrived count', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap, broker: { limits: { uplinkTimeoutMs: 400 } } })
  const client = await connected(node)
  await client.subscribe('inbox/d')
  const { last } = await node.push('d', 'm')
  await client.next('publish')
  client.send(publish('stored', 1))
  await client.next('puback')
  gate.close()
  client.ack(...client.publishes)
  client.send(publish('late', 2), publish('behind', 3), publish('tossed', 0))
  const began = performance.now()
  await client.untilClosed()
  t.ok(performance.now() - began > 350, 'it was given its time')
  t.strictSame(pubacks(client), [1])
  await until('the ack to be stored', async () => (await node.mailbox.info('d'))?.cursor === last)
  t.equal(node.counters.closes.uplink_refused, 1)
  t.ok(node.uplinkCounters.refused.timeout > 0)
  gate.open()
  const again = await connected(node)
  again.send(publish('late', 2, { dup: true }), publish('behind', 3, { dup: true }))
  await again.next('puback', 2)
  t.strictSame((await texts(node)).slice(-2), ['late', 'behind'], 'sent again, in order')
  await again.end()
})

void t.test(
  'broker uplink: a store that refuses ends connections with QoS 1, and drops and counts QoS 0',
  async (t) => {
    const gate = new Gate()
    const node = await startFast(t, { wrapUplink: gate.wrap })
    const [sure, loose] = [await connected(node, 'd'), await connected(node, 'e')]
    gate.refusing = true
    loose.send(publish('x', 0, { topic: 'uplink/e/c' }), { cmd: 'pingreq' })
    await loose.next('pingresp')
    sure.send(publish('1', 1), publish('2', 2))
    await sure.untilClosed()
    t.strictSame(pubacks(sure), [])
    await until('all to be counted', () => node.uplinkCounters.refused.store_unavailable === 3)
    gate.refusing = false
    loose.send(publish('y', 5, { topic: 'uplink/e/c' }))
    await loose.next('puback')
    t.strictSame(await texts(node, 'e'), ['y'])
    const again = await connected(node)
    again.send(publish('1', 1, { dup: true }), publish('2', 2, { dup: true }))
    await again.next('puback', 2)
    t.strictSame(await texts(node), ['1', '2'])
    await Promise.all([again.end(), loose.end()])
  },
)

void t.test('broker uplink: over the cap nothing is acknowledged, and nothing behind it is stored', async (t) => {
  const node = await startFast(t, { uplinkLimits: { maxBytes: 2_000 } })
  const client = await connected(node)
  client.send(publish('1', 1), publish('x'.repeat(3_000), 2), publish('3', 3), publish('4', 0))
  await client.untilClosed()
  t.strictSame(pubacks(client), [1])
  t.strictSame(await texts(node), ['1'])
  t.match(node.uplinkCounters.refused, { full: 3 })
  const loose = await connected(node)
  loose.send(publish('x'.repeat(3_000), 0), publish('5', 5))
  await loose.untilClosed()
  t.strictSame(pubacks(loose), [], 'behind a QoS 0 that found no room')
  const next = await connected(node)
  next.send(publish('x'.repeat(3_000), 0), { cmd: 'pingreq' })
  await next.next('pingresp')
  await until('it to be dropped', () => node.uplinkCounters.refused.full === 6)
  next.send(publish('6', 6))
  await next.next('puback')
  t.strictSame(await texts(node), ['1', '6'])
  await next.end()
})

void t.test('broker uplink: what is denied closes the connection, is counted and stores nothing', async (t) => {
  const node = await startNode(t, { broker: { limits: { maxPayloadBytes: 1_000 } } })
  const cases: ReadonlyArray<
    readonly [what: string, packet: Packet, denial: keyof TestNode['counters']['publishesDenied']]
  > = [
    ['another device', publish('x', 1, { topic: 'uplink/e/c' }), 'foreign'],
    ['another device, QoS 0', publish('x', 0, { topic: 'uplink/e/c' }), 'foreign'],
    ['QoS 2', publish('x', 1, { qos: 2 }), 'qos_2'],
    ['payload', publish('x'.repeat(1_001), 1), 'too_large'],
    ['no channel', publish('x', 1, { topic: 'uplink/d' }), 'reserved'],
    ['empty channel', publish('x', 1, { topic: 'uplink/d/' }), 'reserved'],
    ['depth', publish('x', 1, { topic: `uplink/d${'/c'.repeat(40)}` }), 'too_deep'],
    ['length', publish('x', 1, { topic: `uplink/d/${'c'.repeat(2_000)}` }), 'too_long'],
  ]
  for (const [what, packet, denial] of cases) {
    const before = node.counters.publishesDenied[denial]
    const client = await connected(node)
    client.send(packet)
    await client.untilClosed()
    t.strictSame(pubacks(client), [], what)
    t.equal(node.counters.publishesDenied[denial], before + 1, `${what}: counted`)
  }
  const client = await connected(node)
  client.send(Buffer.from('320f000a75706c696e6b2f642f63000078', 'hex')) // packet id 0
  await client.untilClosed()
  t.equal(node.counters.protocolErrors.packet_id_0, 1)
  for (const topic of ['uplink/d/+', 'uplink/d/c\u0000']) {
    const bad = await connected(node)
    const name = Buffer.from(topic)
    bad.send(Buffer.concat([Buffer.from([0x30, 2 + name.length, 0, name.length]), name]))
    await bad.untilClosed()
  }
  t.strictSame(await uplinkLog(node), [])
  const fine = await connected(node)
  fine.send(publish('x'.repeat(1_000), 1))
  await fine.next('puback')
  await fine.end()
})
