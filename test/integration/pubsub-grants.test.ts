// What a token's acl opens of ordinary pub/sub, and what it never opens.

import t from 'tap'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { PubSubClient } from '../support/pubsub/client.js'
import type { Acl } from '../../protocol/acl.js'

async function connect(
  node: TestNode,
  id: string,
  acl: Partial<Acl>,
  options: { readonly clean?: boolean } = {},
): Promise<PubSubClient> {
  return PubSubClient.connect(node.mqtt, id, { token: await node.token(id, 600, acl), ...options })
}

void t.test('grants: what is granted is open, all else is refused', async (t) => {
  const node = await startNode(t)
  const home = await connect(node, 'home', { publish: ['home/+/set'], subscribe: ['home/#'] })
  const lamp = await connect(node, 'lamp', { publish: ['home/lamp/state'], subscribe: ['home/lamp/set'] })
  t.same(
    await home.subscribe('home/#', ['home/+/state', 0], 'home', '#', '+/lamp/set', 'other'),
    [1, 0, 1, 0x80, 0x80, 0x80],
  )
  t.same(
    await lamp.subscribe(['home/lamp/set', 2], 'home/+/set', 'home/lamp/#', 'home/lamp/state'),
    [2, 0x80, 0x80, 0x80],
  )
  await home.publish('home/lamp/set', 'on', { qos: 2 })
  await lamp.received(1)
  await lamp.publish('home/lamp/state', 'is on', { qos: 1 })
  await home.received(2)
  t.same([...home.texts, ...lamp.texts], ['on', 'is on', 'on'])
  lamp.send('home/door/set', 'open', { qos: 1 })
  await lamp.raw.untilClosed()
  t.equal(lamp.raw.packets.filter(({ cmd }) => cmd === 'puback').length, 1, 'no PUBACK for it')
  await home.caughtUp()
  t.equal(home.messages.length, 2)
  t.match(node.counters, { publishesDenied: { no_grant: 1 }, subacksRefused: { no_grant: 6 } })
})

void t.test('grants: a token without them opens nothing, and one with all opens no mailbox', async (t) => {
  const node = await startNode(t)
  const none = await connect(node, 'none', {})
  t.same(await none.subscribe('#', 'a', '+'), [0x80, 0x80, 0x80])
  none.send('a', 'x')
  await none.raw.untilClosed()

  const victim = await connect(node, 'victim', {})
  await victim.subscribe('inbox/victim')
  const all = await connect(node, 'all', { publish: ['#'], subscribe: ['#'] })
  t.same(
    await all.subscribe('#', '+/#', '+/victim', '+/+/+', 'inbox/victim', 'inbox/#', 'stream/victim', '$SYS/#'),
    [1, 1, 1, 1, 0x80, 0x80, 0x80, 0x80],
  )
  await node.push('victim', 'private')
  await victim.received(1)
  await all.publish('open', 'x', { qos: 1, retain: true })
  await all.received(1)
  await all.caughtUp()
  t.same(all.texts, ['x'])
  for (const topic of ['inbox/victim', 'inbox/victim/1', 'uplink/victim/a', 'stream/victim/ack']) {
    const bad = await connect(node, 'bad', { publish: ['#'], subscribe: ['#'] })
    bad.send(topic, 'forged', { qos: 1, retain: true })
    await bad.raw.untilClosed()
  }
  await victim.caughtUp()
  t.same(victim.texts, ['private'])
  t.equal(node.pubsubCounters.retained, 1)
})

void t.test('grants: a session that comes back with fewer of them loses what they covered', async (t) => {
  const node = await startNode(t)
  const publisher = await connect(node, 'p', { publish: ['#'] })
  const first = await connect(node, 'c', { subscribe: ['a/#', 'b/#'] }, { clean: false })
  t.same(await first.subscribe('a/#', 'b/1', 'b/#'), [1, 1, 1])
  await first.disconnect()
  await publisher.publish('a/1', 'a queued', { qos: 1 })
  await publisher.publish('b/1', 'b queued', { qos: 1 })
  await publisher.publish('b/2', 'b too', { qos: 1 })
  const second = await connect(node, 'c', { subscribe: ['a/+', 'b/1'] }, { clean: false })
  t.equal(second.sessionPresent, true)
  await second.received(2)
  await publisher.publish('a/1', 'a live', { qos: 1 })
  await publisher.publish('b/1', 'b live', { qos: 1 })
  await publisher.publish('b/2', 'b live', { qos: 1 })
  await second.received(3)
  await second.caughtUp()
  t.same(second.texts, ['a queued', 'b queued', 'b live'], 'only b/1 is still a subscription that is granted')
  t.equal(node.pubsubCounters.dropped.not_granted, 1)
  await second.disconnect()
  const third = await connect(node, 'c', { subscribe: ['#'] }, { clean: false })
  await publisher.publish('a/1', 'gone', { qos: 1 })
  await publisher.publish('b/1', 'kept', { qos: 1 })
  await third.received(1)
  t.same(third.texts, ['kept'], 'and it does not come back with the grant')
})

void t.test('grants: mailbox and ordinary filters in one SUBSCRIBE, and in one session', async (t) => {
  const node = await startNode(t)
  const acl = { publish: ['a'], subscribe: ['a'] }
  const first = await connect(node, 'c', acl, { clean: false })
  t.same(await first.subscribe('inbox/c', ['a', 2], 'inbox/c/+', ['inbox/c', 0]), [1, 2, 0x80, 0x80])
  await first.disconnect()
  await node.push('c', 'mail')
  const publisher = await connect(node, 'p', acl)
  await publisher.publish('a', 'ordinary', { qos: 1 })
  const second = await connect(node, 'c', acl, { clean: false })
  t.equal(second.sessionPresent, true)
  await second.received(2)
  t.same(second.texts.toSorted(), ['mail', 'ordinary'])
  await second.unsubscribe('a', 'inbox/c')
  await second.disconnect()
  const third = await connect(node, 'c', acl, { clean: false })
  t.equal(third.sessionPresent, false)
})

void t.test('grants: a device that is deleted leaves no session', async (t) => {
  const node = await startNode(t)
  const acl = { publish: ['a'], subscribe: ['a'] }
  for (const away of [true, false]) {
    const client = await connect(node, 'c', acl, { clean: false })
    await client.subscribe('a')
    if (away) await client.disconnect()
    t.equal(node.pubsubCounters.storedSessions, 1)
    await node.broker.forgetDevice('c')
    t.equal(node.pubsubCounters.storedSessions, 0)
    if (!away) await client.raw.untilClosed()
  }
  await node.broker.forgetDevice('never')
  const again = await connect(node, 'c', acl, { clean: false })
  t.equal(again.sessionPresent, false)
  await until('one connection', () => node.counters.connections === 1)
})
