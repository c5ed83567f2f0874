// Wills: MQTT 3.1.1 section 3.1.2.5 over real sockets.

import t from 'tap'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { PubSubClient } from '../support/pubsub/client.js'
import { OPEN } from '../support/pubsub/open.js'

const will = (topic: string, payload: string, qos: 0 | 1 | 2 = 1, retain = false) => ({
  will: { topic, payload: Buffer.from(payload), qos, retain },
})

async function watcher({ mqtt }: TestNode, filter = 'gone/#'): Promise<PubSubClient> {
  const client = await PubSubClient.connect(mqtt, 'watcher')
  await client.subscribe([filter, 2])
  return client
}

void t.test('wills: published when a connection ends without DISCONNECT [MQTT-3.1.2-8]', async (t) => {
  const node = await startNode(t, OPEN)
  const spy = await watcher(node)
  const dropped = await PubSubClient.connect(node.mqtt, 'dropped', will('gone/dropped', 'socket', 0))
  await dropped.drop()
  await spy.received(1)
  const broken = await PubSubClient.connect(node.mqtt, 'broken', will('gone/broken', 'protocol', 1))
  broken.raw.send(Buffer.from([0xf0, 0]))
  await spy.received(2)
  const denied = await PubSubClient.connect(node.mqtt, 'denied', will('gone/denied', 'publish', 2))
  denied.send('$SYS/x', 'x')
  await spy.received(3)
  const slept = await PubSubClient.connect(node.mqtt, 'slept', { ...will('gone/slept', 'keep alive'), keepalive: 1 })
  await spy.received(4)
  t.ok(slept.raw.closed || (await slept.raw.untilClosed().then(() => true)), '[MQTT-3.1.2-24]')
  const taken = await PubSubClient.connect(node.mqtt, 'taken', will('gone/taken', 'taken over'))
  await PubSubClient.connect(node.mqtt, 'taken', will('gone/taken', 'of the second'))
  await taken.raw.untilClosed()
  await spy.received(5)
  t.same(spy.outline, [
    'gone/dropped socket 0',
    'gone/broken protocol 1',
    'gone/denied publish 2',
    'gone/slept keep alive 1',
    'gone/taken taken over 1',
  ])
  t.equal(node.pubsubCounters.willsPublished, 5)
})

void t.test(
  'wills: not after a DISCONNECT [MQTT-3.1.2-10], [MQTT-3.14.4-3], nor for a CONNECT that is refused',
  async (t) => {
    const folder = t.testdir({})
    const node = await startNode(t, { ...OPEN, folder })
    const spy = await watcher(node)
    const client = await PubSubClient.connect(node.mqtt, 'c', will('gone/c', 'x'))
    await client.disconnect()
    await t.rejects(PubSubClient.connect(node.mqtt, 'x'.repeat(129), will('gone/refused', 'x')))
    const again = await PubSubClient.connect(node.mqtt, 'c')
    await again.drop()
    await until('all sockets but one to close', () => node.counters.sockets === 1)
    await spy.caughtUp()
    t.equal(spy.messages.length, 0)
    await node.stop()
    const next = await startNode(t, { ...OPEN, folder })
    t.equal(next.pubsubCounters.willsPublished, 0, 'and not after a restart')
  },
)

void t.test(
  'wills: with RETAIN the message is retained [MQTT-3.1.2-17], without it is not [MQTT-3.1.2-16]',
  async (t) => {
    const node = await startNode(t, OPEN)
    const spy = await watcher(node)
    for (const retain of [true, false]) {
      const client = await PubSubClient.connect(node.mqtt, 'c', will(`gone/${retain}`, 'x', 1, retain))
      await client.drop()
    }
    await spy.received(2)
    const late = await PubSubClient.connect(node.mqtt, 'late')
    await late.subscribe('gone/#')
    await late.caughtUp()
    t.same(late.outline, ['gone/true x 1 R'])
  },
)

void t.test('wills: an empty one, and one that nobody waits for but a session that is away', async (t) => {
  const node = await startNode(t, OPEN)
  const away = await PubSubClient.connect(node.mqtt, 'away', { clean: false })
  await away.subscribe('gone')
  await away.disconnect()
  const client = await PubSubClient.connect(node.mqtt, 'c', will('gone', '', 1))
  await client.drop()
  await until('the will', () => node.pubsubCounters.willsPublished === 1)
  const back = await PubSubClient.connect(node.mqtt, 'away', { clean: false })
  await back.received(1)
  t.same(back.outline, ['gone  1'])
})

void t.test('wills: a topic that is not granted, or is none, is answered CONNACK 5', async (t) => {
  const node = await startNode(t)
  const token = await node.token('p1', 600, { publish: ['gone/+'], subscribe: ['gone/+'] })
  const connect = (topic: string): Promise<PubSubClient> =>
    PubSubClient.connect(node.mqtt, 'p1', { token, ...will(topic, 'x') })
  for (const topic of [
    'gone',
    'gone/a/b',
    'inbox/p1',
    'inbox/p2',
    'uplink/p2/a',
    'stream/p1/ack',
    '$SYS/x',
    'gone/#',
  ]) {
    await t.rejects(connect(topic), { message: 'CONNACK 5' }, topic)
  }
  const client = await connect('gone/a')
  const spy = await PubSubClient.connect(node.mqtt, 'p2', { token: await node.token('p2', 600, { subscribe: ['#'] }) })
  await spy.subscribe('#')
  await client.drop()
  await spy.received(1)
  t.same(spy.outline, ['gone/a x 1'])
})

void t.test('wills: the server that stops publishes them, and a later one does not again', async (t) => {
  const folder = t.testdir({})
  const first = await startNode(t, { ...OPEN, folder })
  const away = await PubSubClient.connect(first.mqtt, 'away', { clean: false })
  await away.subscribe('gone/#')
  await away.disconnect()
  await PubSubClient.connect(first.mqtt, 'c', will('gone/c', 'stopped', 1, true))
  await first.stop()
  const second = await startNode(t, { ...OPEN, folder })
  const back = await PubSubClient.connect(second.mqtt, 'away', { clean: false })
  await back.received(1)
  await back.caughtUp()
  t.same(back.outline, ['gone/c stopped 1'])
  t.equal(second.pubsubCounters.willsPublished, 0)
})
