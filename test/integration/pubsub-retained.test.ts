// Retained messages: MQTT 3.1.1 section 3.3.1.3 over real sockets, without tokens.

import t from 'tap'
import { startNode } from '../support/broker/node.js'
import { PubSubClient } from '../support/pubsub/client.js'
import { OPEN, openNode } from '../support/pubsub/open.js'

void t.test(
  'retained: a new subscription gets the last message of each topic, with RETAIN [MQTT-3.3.1-6], [MQTT-3.3.1-8]',
  async (t) => {
    const { mqtt } = await startNode(t, OPEN)
    const publisher = await PubSubClient.connect(mqtt, 'p')
    const early = await PubSubClient.connect(mqtt, 'early')
    await early.subscribe(['#', 2])
    await publisher.publish('a/0', 'zero', { qos: 0, retain: true })
    await publisher.publish('a/1', 'old', { qos: 2, retain: true })
    await publisher.publish('a/1', 'one', { qos: 1, retain: true })
    await publisher.publish('a/2', 'two', { qos: 2, retain: true })
    await publisher.publish('a/2', 'passing', { qos: 2 })
    await early.received(5)
    t.same(
      early.outline.toSorted(),
      ['a/0 zero 0', 'a/1 old 2', 'a/1 one 1', 'a/2 passing 2', 'a/2 two 2'],
      'to an established subscription without RETAIN [MQTT-3.3.1-9]; a message without it changes nothing [MQTT-3.3.1-12]',
    )
    for (const clean of [true, false]) {
      for (const granted of [0, 1, 2] as const) {
        const late = await PubSubClient.connect(mqtt, `late${granted}${clean}`, { clean })
        await late.subscribe(['a/#', granted])
        await late.received(3)
        t.same(
          late.outline.toSorted(),
          [`a/0 zero 0 R`, `a/1 one ${Math.min(granted, 1)} R`, `a/2 two ${granted} R`],
          `granted ${granted}, clean ${clean}`,
        )
        await late.subscribe(['a/0', granted], ['a/#', granted])
        await late.received(7)
        t.equal(late.messages.length, 7, 'and again for each SUBSCRIBE [MQTT-3.8.4-3]')
      }
    }
  },
)

void t.test(
  'retained: an empty message takes it away, is delivered, and is not kept [MQTT-3.3.1-10], [MQTT-3.3.1-11]',
  async (t) => {
    const { mqtt } = await startNode(t, OPEN)
    const client = await PubSubClient.connect(mqtt, 'c')
    await client.publish('a', 'x', { qos: 1, retain: true })
    await client.subscribe('a')
    await client.received(1)
    await client.publish('a', '', { qos: 1, retain: true })
    await client.received(2)
    t.same(client.outline, ['a x 1 R', 'a  1'])
    const late = await PubSubClient.connect(mqtt, 'late')
    await late.subscribe('#')
    await late.caughtUp()
    t.equal(late.messages.length, 0)
  },
)

void t.test('retained: with QoS 0 too the old message is gone at once [MQTT-3.3.1-7]', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const client = await PubSubClient.connect(mqtt, 'c')
  await client.publish('a', 'old', { qos: 2, retain: true })
  client.send('a', 'new', { qos: 0, retain: true })
  await client.subscribe('a')
  await client.received(1)
  t.same(client.outline, ['a new 0 R'])
})

void t.test('retained: what was kept comes before what is new, also many', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const publisher = await PubSubClient.connect(mqtt, 'p')
  const count = 1_500
  for (const level of [0, 1] as const) {
    const acks = Array.from({ length: count }, (_, i) =>
      publisher.publish(`r${level}/${i}`, 'old', { qos: level, retain: true }),
    )
    await Promise.all(acks)
    const client = await PubSubClient.connect(mqtt, `c${level}`)
    const subscribed = client.subscribe([`r${level}/#`, level])
    await client.raw.next('suback')
    await publisher.publish(`r${level}/7`, 'new', { qos: level })
    await subscribed
    await client.received(count + 1)
    t.equal(new Set(client.messages.map(({ topic }) => topic)).size, count)
    const texts = client.messages
      .filter(({ topic }) => topic === `r${level}/7`)
      .map(({ payload }) => payload.toString())
    t.same(texts, ['old', 'new'], `QoS ${level}`)
  }
})

void t.test('retained: they outlive the server', async (t) => {
  const folder = t.testdir({})
  const first = await startNode(t, { ...OPEN, folder })
  const publisher = await PubSubClient.connect(first.mqtt, 'p')
  const long = `long/${'ä'.repeat(500)}`
  await publisher.publish('a', 'one', { qos: 1, retain: true })
  await publisher.publish('b', 'gone', { qos: 1, retain: true })
  await publisher.publish('b', '', { qos: 1, retain: true })
  await publisher.publish(long, 'two', { qos: 2, retain: true })
  await first.stop()
  const second = await startNode(t, { ...OPEN, folder })
  const client = await PubSubClient.connect(second.mqtt, 'c')
  await client.subscribe(['#', 2])
  await client.received(2)
  t.same(client.outline.toSorted(), ['a one 1 R', `${long} two 2 R`])
  t.match(second.pubsubCounters, { retained: 2, retainedBytes: 1 + 3 + long.length + 3 })
})

void t.test('retained: bounded by count and bytes; what has no room is delivered all the same', async (t) => {
  const { mqtt, pubsubCounters } = await startNode(t, openNode({ retainedMax: 3, retainedMaxBytes: 100 }))
  const client = await PubSubClient.connect(mqtt, 'c')
  await client.subscribe('#')
  for (const topic of ['a', 'b', 'c', 'd']) await client.publish(topic, 'x', { qos: 1, retain: true })
  await client.publish('a', 'y'.repeat(50), { qos: 1, retain: true })
  await client.publish('b', 'y'.repeat(50), { qos: 1, retain: true })
  await client.publish('c', '', { qos: 1, retain: true })
  await client.publish('d', 'x', { qos: 1, retain: true })
  await client.received(8)
  t.match(pubsubCounters, { retained: 3, retainedBytes: 51 + 2 + 2, dropped: { retained_full: 2 } })
  const late = await PubSubClient.connect(mqtt, 'late')
  await late.subscribe('#')
  await late.received(3)
  t.same(late.messages.map(({ topic, payload }) => `${topic}${payload.length}`).toSorted(), ['a50', 'b1', 'd1'])
})
