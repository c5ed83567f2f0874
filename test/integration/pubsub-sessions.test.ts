// Sessions of ordinary pub/sub: what outlives a connection, and a server. Without tokens.

import t from 'tap'
import { startNode, until } from '../support/broker/node.js'
import { FakeClock } from '../support/fake-clock.js'
import { PubSubClient } from '../support/pubsub/client.js'
import { OPEN, openNode } from '../support/pubsub/open.js'

const KEPT = { clean: false }

void t.test(
  'sessions: QoS 1 and 2 wait for a session that is away [MQTT-3.1.2-5], clean session 1 ends it [MQTT-3.1.2-6]',
  async (t) => {
    const { mqtt, pubsubCounters } = await startNode(t, OPEN)
    const publisher = await PubSubClient.connect(mqtt, 'p')
    const first = await PubSubClient.connect(mqtt, 'c', KEPT)
    t.equal(first.sessionPresent, false, '[MQTT-3.2.2-3]')
    await first.subscribe(['a', 2], ['b', 1], ['z', 0])
    await first.disconnect()
    for (const topic of ['a', 'b', 'z']) {
      for (const qos of [0, 1, 2] as const) await publisher.publish(topic, `${qos}`, { qos })
    }
    const second = await PubSubClient.connect(mqtt, 'c', KEPT)
    t.equal(second.sessionPresent, true, '[MQTT-3.2.2-2]')
    await second.received(4)
    t.same(second.outline, ['a 1 1', 'a 2 2', 'b 1 1', 'b 2 1'], 'in order, not with QoS 0')
    await publisher.publish('z', 'live', { qos: 1 })
    await second.received(5)
    t.same(second.outline.slice(4), ['z live 0'])
    await second.drop()
    await publisher.publish('a', 'lost', { qos: 1 })
    const third = await PubSubClient.connect(mqtt, 'c')
    t.equal(third.sessionPresent, false, '[MQTT-3.2.2-1]')
    await publisher.publish('a', 'nobody', { qos: 1 })
    await third.caughtUp()
    t.equal(third.messages.length, 0)
    await third.disconnect()
    const fourth = await PubSubClient.connect(mqtt, 'c', KEPT)
    t.equal(fourth.sessionPresent, false)
    await fourth.caughtUp()
    t.equal(fourth.messages.length, 0)
    t.equal(pubsubCounters.storedSessions, 0, 'an empty session is not kept')
  },
)

void t.test(
  'sessions: what was not acknowledged comes again, in order, with DUP and its packet id [MQTT-4.4.0-1], [MQTT-3.3.1-1]',
  async (t) => {
    const { mqtt } = await startNode(t, OPEN)
    const publisher = await PubSubClient.connect(mqtt, 'p')
    const first = await PubSubClient.connect(mqtt, 'c', { ...KEPT, acks: false })
    await first.subscribe(['a', 2])
    for (const [i, qos] of ([1, 2, 1, 2, 1] as const).entries()) await publisher.publish('a', `${i}`, { qos })
    await first.received(5)
    const ids = first.messages.map(({ messageId }) => messageId ?? 0)
    t.notOk(
      first.messages.some(({ dup }) => dup),
      'the first time without DUP',
    )
    first.raw.send({ cmd: 'puback', messageId: ids[2] ?? 0 })
    first.raw.send({ cmd: 'pubrec', messageId: ids[1] ?? 0 })
    t.match(await first.raw.next('pubrel'), { messageId: ids[1] })
    await first.drop()
    await publisher.publish('a', '5', { qos: 1 })

    const second = await PubSubClient.connect(mqtt, 'c', { ...KEPT, acks: false })
    await second.received(4)
    t.same(second.outline, ['a 0 1 D', 'a 3 2 D', 'a 4 1 D', 'a 5 1'])
    t.same(
      second.messages.slice(0, 3).map(({ messageId }) => messageId),
      [ids[0], ids[3], ids[4]],
    )
    t.match(await second.raw.next('pubrel'), { messageId: ids[1] }, 'PUBREL, not PUBLISH, for what was received')
    second.raw.send({ cmd: 'pubcomp', messageId: ids[1] ?? 0 })
    second.raw.ack(...second.messages.filter(({ qos }) => qos === 1))
    second.raw.send({ cmd: 'pubrec', messageId: ids[3] ?? 0 })
    await second.raw.next('pubrel', 2)
    second.raw.send({ cmd: 'pubcomp', messageId: ids[3] ?? 0 })
    await second.caughtUp()
    await second.drop()
    const third = await PubSubClient.connect(mqtt, 'c', KEPT)
    await third.caughtUp()
    t.same(
      third.raw.packets.map(({ cmd }) => cmd),
      ['connack', 'pingresp'],
      'nothing is left',
    )
  },
)

void t.test('sessions: a QoS 2 message is taken once, also when it is repeated on another connection', async (t) => {
  const folder = t.testdir({})
  let node = await startNode(t, { ...OPEN, folder })
  const subscriber = await PubSubClient.connect(node.mqtt, 's', KEPT)
  await subscriber.subscribe(['a', 2])
  await subscriber.disconnect()
  const first = await PubSubClient.connect(node.mqtt, 'p', KEPT)
  first.send('a', 'x', { qos: 2, messageId: 9 })
  await first.raw.next('pubrec')
  await first.drop()
  const second = await PubSubClient.connect(node.mqtt, 'p', KEPT)
  t.equal(second.sessionPresent, true, 'the packet id is session state')
  second.send('a', 'x', { qos: 2, messageId: 9, dup: true })
  await second.raw.next('pubrec')
  await second.drop()
  await node.stop()
  node = await startNode(t, { ...OPEN, folder })
  const third = await PubSubClient.connect(node.mqtt, 'p', KEPT)
  third.send('a', 'x', { qos: 2, messageId: 9, dup: true })
  await third.raw.next('pubrec')
  third.raw.send({ cmd: 'pubrel', messageId: 9 })
  await third.raw.next('pubcomp')
  await third.publish('a', 'y', { qos: 2, messageId: 9 })
  await third.disconnect()
  const again = await PubSubClient.connect(node.mqtt, 's', KEPT)
  await again.received(2)
  await again.caughtUp()
  t.same(again.texts, ['x', 'y'])
  await until('the session without state to end', () => node.pubsubCounters.storedSessions === 1)
})

void t.test('sessions: subscriptions and queues outlive the server', async (t) => {
  const folder = t.testdir({})
  const first = await startNode(t, { ...OPEN, folder })
  const publisher = await PubSubClient.connect(first.mqtt, 'p')
  for (const id of ['c1', 'c2']) {
    const client = await PubSubClient.connect(first.mqtt, id, KEPT)
    await client.subscribe(['t/+', 2], ['other', 1])
    await client.unsubscribe('other')
    await client.disconnect()
  }
  const count = 400
  await Promise.all(Array.from({ length: count }, (_, i) => publisher.publish(`t/${i % 3}`, `${i}`, { qos: 1 })))
  const half = await PubSubClient.connect(first.mqtt, 'c1', KEPT)
  await half.received(count)
  await half.disconnect()
  await first.stop()

  const second = await startNode(t, { ...OPEN, folder })
  t.match(second.pubsubCounters, { storedSessions: 2, subscriptions: 2 })
  const [c1, c2] = await Promise.all([
    PubSubClient.connect(second.mqtt, 'c1', KEPT),
    PubSubClient.connect(second.mqtt, 'c2', KEPT),
  ])
  t.same([c1?.sessionPresent, c2?.sessionPresent], [true, true])
  const live = await PubSubClient.connect(second.mqtt, 'p')
  await live.publish('t/1', 'live', { qos: 2 })
  await live.publish('other', 'no', { qos: 1 })
  await c1?.received(1)
  await c2?.received(count + 1)
  t.same(c1?.texts, ['live'], 'what was acknowledged does not come again')
  t.same(c2?.texts, [...Array.from({ length: count }, (_, i) => `${i}`), 'live'], 'all, in order, live ones last')
})

void t.test('sessions: live messages do not overtake a backlog', async (t) => {
  const { mqtt } = await startNode(t, openNode({ queueMax: 5_000 }))
  const publisher = await PubSubClient.connect(mqtt, 'p')
  const away = await PubSubClient.connect(mqtt, 'c', KEPT)
  await away.subscribe(['t', 1])
  await away.disconnect()
  const numbers = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `${from + i}`)
  await Promise.all(numbers(0, 1_000).map((text) => publisher.publish('t', text, { qos: 1 })))
  const client = await PubSubClient.connect(mqtt, 'c', KEPT)
  // While the backlog is under way.
  await Promise.all(numbers(1_000, 1_000).map((text) => publisher.publish('t', text, { qos: 1 })))
  await client.received(2_000)
  t.same(client.texts, numbers(0, 2_000))
})

void t.test('sessions: a queue is bounded by count and bytes; what has no room is dropped and counted', async (t) => {
  const { mqtt, pubsubCounters } = await startNode(t, openNode({ queueMax: 10, queueMaxBytes: 1_000 }))
  const publisher = await PubSubClient.connect(mqtt, 'p')
  const away = await PubSubClient.connect(mqtt, 'c', KEPT)
  await away.subscribe(['t', 1])
  await away.disconnect()
  for (let i = 0; i < 12; i++) await publisher.publish('t', `${i}`, { qos: 1 })
  t.equal(pubsubCounters.dropped.queue_full, 2)
  const back = await PubSubClient.connect(mqtt, 'c', KEPT)
  await back.received(10)
  await back.caughtUp()
  t.same(
    back.texts,
    Array.from({ length: 10 }, (_, i) => `${i}`),
  )
  await back.disconnect()
  await publisher.publish('t', 'x'.repeat(700), { qos: 1 })
  await publisher.publish('t', 'y'.repeat(700), { qos: 1 })
  await publisher.publish('t', 'small', { qos: 1 })
  t.equal(pubsubCounters.dropped.queue_full, 3)
  const again = await PubSubClient.connect(mqtt, 'c', KEPT)
  await again.received(2)
  t.same(
    again.texts.map((text) => text.length),
    [700, 5],
  )
})

void t.test('sessions: a second connection takes over, and nothing is lost or doubled [MQTT-3.1.4-2]', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  const publisher = await PubSubClient.connect(mqtt, 'p')
  // A name outside the device pattern has no mailbox, and so no claim that ends the first connection.
  for (const id of ['device', 'no/device']) {
    let client = await PubSubClient.connect(mqtt, id, KEPT)
    await client.subscribe(['t', 2])
    const texts: string[] = []
    for (let round = 0; round < 10; round++) {
      const before = client
      client = await PubSubClient.connect(mqtt, id, KEPT)
      t.equal(client.sessionPresent, true)
      await before.raw.untilClosed()
      texts.push(...before.texts)
      await publisher.publish('t', `${round}`, { qos: 2 })
      await client.received(1)
      await client.caughtUp()
    }
    texts.push(...client.texts)
    t.same(
      texts,
      Array.from({ length: 10 }, (_, i) => `${i}`),
      id,
    )
    const clean = await PubSubClient.connect(mqtt, id)
    t.equal(clean.sessionPresent, false)
    await client.raw.untilClosed()
    await clean.disconnect()
  }
})

void t.test('sessions: two connections of one name at once leave one alive', async (t) => {
  const { mqtt } = await startNode(t, OPEN)
  for (const id of ['device', 'no/device']) {
    for (let round = 0; round < 20; round++) {
      const both = await Promise.allSettled([0, 1].map(() => PubSubClient.connect(mqtt, id, KEPT)))
      const open = both.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      await until('one of them to be closed', () => open.filter(({ raw }) => !raw.closed).length === 1)
      for (const client of open) await client.drop()
    }
  }
})

void t.test('sessions: one that nobody uses is ended', async (t) => {
  const folder = t.testdir({})
  const clock = new FakeClock()
  const day = 86_400_000
  const { broker } = openNode({ sessionIdleMs: 10 * day })
  const options = { folder, broker: { ...broker, clock } }
  let node = await startNode(t, options)
  for (const id of ['old', 'used']) {
    const client = await PubSubClient.connect(node.mqtt, id, KEPT)
    await client.subscribe('t')
    await client.disconnect()
  }
  await node.stop()
  clock.advance(9 * day)
  node = await startNode(t, options)
  const used = await PubSubClient.connect(node.mqtt, 'used', KEPT)
  t.equal(used.sessionPresent, true)
  await used.disconnect()
  await node.stop()
  clock.advance(2 * day)
  node = await startNode(t, options)
  t.match(node.pubsubCounters, { storedSessions: 1, sessionsExpired: 1 })
  const old = await PubSubClient.connect(node.mqtt, 'old', KEPT)
  t.equal(old.sessionPresent, false)
})

void t.test('sessions: no more are stored than may be; others get 0x80', async (t) => {
  const { mqtt, counters } = await startNode(t, openNode({ sessionsMax: 2 }))
  const clients = await Promise.all([1, 2, 3].map((n) => PubSubClient.connect(mqtt, `c${n}`, KEPT)))
  const codes: unknown[] = []
  for (const client of clients) codes.push(await client.subscribe('t'))
  t.same(codes, [[1], [1], [0x80]])
  t.equal(counters.subacksRefused.sessions_full, 1)
  const clean = await PubSubClient.connect(mqtt, 'clean')
  t.same(await clean.subscribe('t'), [1], 'one that is not stored needs no room')
  t.same(await clients[0]?.subscribe('u'), [1])
})
