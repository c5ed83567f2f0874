// `--auth none`: any name, no password, all ordinary topics.

import t from 'tap'
import { startNode, until } from '../support/broker/node.js'
import { RawClient } from '../support/broker/raw-client.js'
import { PubSubClient } from '../support/pubsub/client.js'
import { OPEN } from '../support/pubsub/open.js'

const NAMES = [
  'a/b',
  'with space',
  '#',
  '$x',
  'ä€\u{1F4E8}',
  '..',
  '__proto__/',
  'x/'.repeat(64),
  '\u{1F4E8}'.repeat(128),
]

void t.test('auth none: any name of MQTT, with a session and without a mailbox', async (t) => {
  const node = await startNode(t, OPEN)
  const publisher = await PubSubClient.connect(node.mqtt, 'publisher', {
    username: 'whoever',
    password: Buffer.from('?'),
  })
  for (const name of NAMES) {
    const client = await PubSubClient.connect(node.mqtt, name, { clean: false })
    t.same(await client.subscribe('t', `inbox/${name}`, `stream/${name}`), [1, 0x80, 0x80], name)
    await client.disconnect()
  }
  t.equal(node.couriers.size, 1, 'only the publisher could have a mailbox')
  await publisher.publish('t', 'x', { qos: 1 })
  for (const name of NAMES) {
    const client = await PubSubClient.connect(node.mqtt, name, { clean: false })
    t.equal(client.sessionPresent, true)
    await client.received(1)
    client.send(`uplink/${name}/x`, 'x', { qos: 1 })
    await client.raw.untilClosed()
  }
  const { devices } = await node.mailbox.list({ after: null, limit: 100 })
  t.same(
    devices.map(({ device }) => device),
    ['publisher'],
  )
})

void t.test('auth none: no name is given one, with clean session alone [MQTT-3.1.3-6], [MQTT-3.1.3-8]', async (t) => {
  const node = await startNode(t, OPEN)
  const first = await PubSubClient.connect(node.mqtt, '')
  const second = await PubSubClient.connect(node.mqtt, '', { username: '' })
  await first.subscribe('t')
  await second.publish('t', 'x', { qos: 2 })
  await first.received(1)
  // The library does not make an empty id with clean session 0.
  const unnamed = await RawClient.to(node.mqtt)
  unnamed.send(Buffer.from('100c00044d5154540400003c0000', 'hex'))
  t.match(await unnamed.next('connack'), { returnCode: 2 })
  await unnamed.untilClosed()
  await t.rejects(PubSubClient.connect(node.mqtt, 'x'.repeat(129)), { message: 'CONNACK 2' })
  await t.rejects(PubSubClient.connect(node.mqtt, 'a\0'), 'NUL [MQTT-1.5.3-2]')
  await first.disconnect()
  await second.disconnect()
  await until('nothing to be left', () => node.counters.sockets === 0)
  t.match(node.pubsubCounters, { storedSessions: 0, subscriptions: 0 })
  t.equal((await node.mailbox.list({ after: null, limit: 1 })).devices.length, 0, 'and makes no device')
})

void t.test('auth none: a device pattern has a mailbox, as ever', async (t) => {
  const node = await startNode(t, OPEN)
  const client = await PubSubClient.connect(node.mqtt, 'phone-1')
  t.same(await client.subscribe('inbox/phone-1', 'inbox/phone-2'), [1, 0x80])
  await node.push('phone-1', 'mail')
  await client.received(1)
  t.same(client.texts, ['mail'])
})
