// Who gets what, and how: MQTT 3.1.1 over real sockets, without tokens.

import t from 'tap'
import { startNode } from '../support/broker/node.js'
import { PubSubClient } from '../support/pubsub/client.js'
import { OPEN, openNode } from '../support/pubsub/open.js'

void t.test('pubsub: a message arrives with the lower one of its QoS and the granted one [MQTT-3.8.4-6]', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const publisher = await PubSubClient.connect(mqtt, 'publisher')
  for (const clean of [true, false]) {
    for (const granted of [0, 1, 2] as const) {
      const subscriber = await PubSubClient.connect(mqtt, `s${granted}${clean}`, { clean })
      t.same(await subscriber.subscribe(['a/+', granted]), [granted])
      for (const qos of [0, 1, 2] as const) await publisher.publish('a/b', `${qos}`, { qos })
      await subscriber.received(3)
      t.same(
        subscriber.outline.toSorted(),
        [0, 1, 2].map((qos) => `a/b ${qos} ${Math.min(qos, granted)}`),
        `granted ${granted}, clean ${clean}`,
      )
      await subscriber.disconnect()
    }
  }
})

void t.test('pubsub: overlapping subscriptions give one copy, with the highest QoS [MQTT-3.3.5-1]', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const client = await PubSubClient.connect(mqtt, 'c')
  t.same(await client.subscribe(['a/+', 0], ['a/#', 2], ['a/b', 1], ['#', 0]), [0, 2, 1, 0])
  await client.publish('a/b', 'x', { qos: 2 })
  await client.publish('a', 'y', { qos: 2 })
  await client.caughtUp()
  t.same(client.outline, ['a/b x 2', 'a y 2'])
})

void t.test(
  'pubsub: a filter listed twice gets two codes, and the last QoS counts [MQTT-3.9.3-1], [MQTT-3.8.4-4]',
  async (t) => {
    const { mqtt } = await startNode(t, OPEN)
    const client = await PubSubClient.connect(mqtt, 'c')
    t.same(await client.subscribe(['a', 2], ['b', 1], ['a', 0]), [2, 1, 0])
    await client.publish('a', 'x', { qos: 2 })
    await client.caughtUp()
    t.same(client.outline, ['a x 0'])
    t.same(await client.subscribe(['a', 1]), [1])
    await client.publish('a', 'y', { qos: 2 })
    await client.received(2)
    t.same(client.outline.slice(1), ['a y 1'], 'a later SUBSCRIBE replaces it [MQTT-3.8.4-3]')
  },
)

void t.test(
  'pubsub: UNSUBSCRIBE names a filter exactly [MQTT-3.10.4-1], and what is in flight is completed [MQTT-3.10.4-3]',
  async (t) => {
    const { mqtt } = await startNode(t, OPEN)
    const publisher = await PubSubClient.connect(mqtt, 'p')
    const client = await PubSubClient.connect(mqtt, 'c', { acks: false })
    await client.subscribe(['a/+', 2], ['a/b', 0])
    await publisher.publish('a/x', 'one', { qos: 2 })
    await client.received(1)
    await client.unsubscribe('a/#', 'a/b', 'never')
    await publisher.publish('a/b', 'two', { qos: 1 })
    await client.received(2)
    t.same(client.outline, ['a/x one 2', 'a/b two 1'])
    await client.unsubscribe('a/+')
    await publisher.publish('a/b', 'three', { qos: 1 })
    const messageId = client.messages[0]?.messageId ?? 0
    client.raw.send({ cmd: 'pubrec', messageId })
    t.match(await client.raw.next('pubrel'), { messageId }, 'the handshake goes on')
    await client.caughtUp()
    t.equal(client.messages.length, 2)
  },
)

void t.test('pubsub: topics of the system cannot be published to, and wildcards match no mailbox', async (t) => {
  const node = await startNode(t, OPEN)
  const spy = await PubSubClient.connect(node.mqtt, 'spy')
  t.same(
    await spy.subscribe('#', '+/+', '+/phone', '$SYS/#', '$share/g/#', 'inbox/phone', 'uplink/phone/a'),
    [1, 1, 1, 0x80, 0x80, 0x80, 0x80],
  )
  const phone = await PubSubClient.connect(node.mqtt, 'phone')
  await phone.subscribe('inbox/phone')
  await node.push('phone', 'secret')
  await phone.received(1)
  await phone.publish('a/b', 'open', { qos: 1 })
  await spy.received(1)
  t.same(spy.outline, ['a/b open 1'])
  for (const topic of ['$SYS/x', '$share/g/a', 'inbox/phone', 'stream/spy', 'uplink/phone/a']) {
    const client = await PubSubClient.connect(node.mqtt, 'bad')
    client.send(topic, 'x', { qos: 1 })
    await client.raw.untilClosed()
  }
  await spy.caughtUp()
  t.equal(spy.messages.length, 1)
})

void t.test('pubsub: no filter that begins with a wildcard matches a $ topic [MQTT-4.7.2-1]', async (t) => {
  const node = await startNode(t, OPEN)
  const spy = await PubSubClient.connect(node.mqtt, 'spy', { clean: false })
  t.same(await spy.subscribe('#', '+/+', '+/#', '+/a', '+'), [1, 1, 1, 1, 1])
  const named = await PubSubClient.connect(node.mqtt, 'named')
  t.same(await named.subscribe('$x/+', '$x/a/#', '$', '$x'), [1, 1, 1, 1])
  const publisher = await PubSubClient.connect(node.mqtt, 'publisher', {
    will: { topic: '$x/will', payload: Buffer.from('will'), qos: 1, retain: true },
  })
  for (const [i, topic] of ['$x/a', '$', '$x'].entries()) {
    await publisher.publish(topic, String(i), { qos: 1, retain: true })
  }
  publisher.raw.socket.destroy()
  await named.received(4)
  t.same(named.texts, ['0', '1', '2', 'will'])
  t.equal(node.pubsubCounters.retained, 4)
  // Live, retained, and queued for a session that is away: nothing of it.
  t.same(await spy.subscribe('#', '+/+', '+'), [1, 1, 1])
  await spy.caughtUp()
  t.same(spy.messages, [])
  await spy.disconnect()
  const other = await PubSubClient.connect(node.mqtt, 'other')
  await other.publish('$x/a', 'away', { qos: 1 })
  await other.publish('x/a', 'open', { qos: 1 })
  const back = await PubSubClient.connect(node.mqtt, 'spy', { clean: false })
  await back.received(1)
  await back.caughtUp()
  t.same(back.texts, ['open'])
})

void t.test(
  'pubsub: order holds for each publisher, topic and QoS [MQTT-4.6.0-6], and nothing is missing',
  async (t) => {
    const { mqtt } = await startNode(t, OPEN)
    const subscribers = await Promise.all([
      PubSubClient.connect(mqtt, 'clean'),
      PubSubClient.connect(mqtt, 'kept', { clean: false }),
    ])
    for (const subscriber of subscribers) await subscriber.subscribe(['t/#', 2])
    const publishers = await Promise.all([1, 2, 3].map((n) => PubSubClient.connect(mqtt, `p${n}`)))
    const count = 300
    const sent = await Promise.all(
      publishers.map(async (publisher, p) => {
        const acks: Array<Promise<void>> = []
        for (let i = 0; i < count; i++) {
          const qos = ([0, 1, 2] as const)[i % 3] ?? 0
          // Some go to the store for themselves, some do not: none may overtake.
          acks.push(publisher.publish(`t/${i % 2}`, `${p}:${qos}:${i}`, { qos, retain: i % 5 === 0 }))
        }
        await Promise.all(acks)
        return acks.length
      }),
    )
    for (const subscriber of subscribers) {
      await subscriber.received(sent.reduce((sum, n) => sum + n, 0))
      const last = new Map<string, number>()
      let inversions = 0
      for (const { topic, payload } of subscriber.messages) {
        const [publisher, qos, i] = payload.toString().split(':')
        const stream = `${publisher} ${qos} ${topic}`
        if (Number(i) <= (last.get(stream) ?? -1)) inversions++
        last.set(stream, Number(i))
      }
      t.equal(inversions, 0)
      t.equal(new Set(subscriber.texts).size, subscriber.texts.length, 'none came twice')
    }
  },
)

void t.test('pubsub: acknowledgements come in the order of the publishes [MQTT-4.6.0-2], [MQTT-4.6.0-3]', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const kept = await PubSubClient.connect(mqtt, 'kept', { clean: false })
  await kept.subscribe(['stored/#', 2])
  const publisher = await PubSubClient.connect(mqtt, 'p')
  // Those with odd ids need the store, the others nothing.
  const ids = Array.from({ length: 200 }, (_, i) => i + 1)
  for (const messageId of ids) {
    publisher.send(messageId % 2 === 1 ? 'stored/x' : 'nobody', 'x', { qos: messageId % 3 === 0 ? 2 : 1, messageId })
  }
  await publisher.raw.next('puback', ids.filter((id) => id % 3 !== 0).length)
  await publisher.raw.next('pubrec', ids.filter((id) => id % 3 === 0).length)
  const acks = publisher.raw.packets.filter(({ cmd }) => cmd === 'puback' || cmd === 'pubrec')
  t.same(
    acks.map(({ messageId }) => messageId),
    ids,
  )
})

void t.test('pubsub: QoS 2 is delivered once, whatever the publisher repeats [MQTT-4.3.3-2]', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const subscriber = await PubSubClient.connect(mqtt, 's')
  await subscriber.subscribe(['a', 2])
  for (const clean of [true, false]) {
    const publisher = await PubSubClient.connect(mqtt, `p${clean}`, { clean })
    const before = subscriber.messages.length
    publisher.send('a', 'x', { qos: 2, messageId: 7 })
    publisher.send('a', 'x', { qos: 2, messageId: 7, dup: true })
    await publisher.raw.next('pubrec', 2)
    publisher.send('a', 'x', { qos: 2, messageId: 7, dup: true })
    await publisher.raw.next('pubrec', 3)
    publisher.raw.send({ cmd: 'pubrel', messageId: 7 }, { cmd: 'pubrel', messageId: 7 })
    await publisher.raw.next('pubcomp', 2)
    await publisher.publish('a', 'y', { qos: 2, messageId: 7 })
    await subscriber.received(before + 2)
    await subscriber.caughtUp()
    t.same(subscriber.texts.slice(before), ['x', 'y'], `clean ${clean}`)
  }
})

void t.test(
  'pubsub: packet ids of a session are below those of its mailbox, and free again after their ack',
  async (t) => {
    const node = await startNode(t, openNode({ window: 3 }))
    const client = await PubSubClient.connect(node.mqtt, 'phone', { acks: false })
    await client.subscribe('a', 'inbox/phone')
    const publisher = await PubSubClient.connect(node.mqtt, 'p')
    for (let i = 0; i < 5; i++) await publisher.publish('a', `${i}`, { qos: 1 })
    await node.push('phone', 'mail')
    await client.received(4)
    await client.caughtUp()
    t.same(client.texts.toSorted(), ['0', '1', '2', 'mail'], 'no more than the window; the mailbox has its own')
    for (const { topic, messageId = 0 } of client.messages) t.equal(messageId >= 0x8000, topic === 'inbox/phone')
    client.raw.ack(...client.messages.filter(({ topic }) => topic === 'a').slice(1))
    await client.received(6)
    t.same(client.texts.slice(4), ['3', '4'])
    t.equal(new Set(client.messages.map(({ messageId }) => messageId)).size, 6)
  },
)
