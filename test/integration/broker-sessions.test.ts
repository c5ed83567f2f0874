import t from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import { startNode, until } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'

void t.test('broker sessions: clean=false keeps the subscription and restores it, clean=true erases it', async (t) => {
  const node = await startNode(t)
  const token = await node.token('p1')
  const kept = { clean: false }
  const first = await RawClient.as(node.mqtt, 'p1', token, kept)
  t.match(first.packets[0], { cmd: 'connack', sessionPresent: false })
  await first.subscribe('inbox/p1/+')
  await first.end()

  await node.push('p1', 'a')
  const second = await RawClient.as(node.mqtt, 'p1', token, kept)
  await second.next('publish')
  t.match(second.packets, [
    { cmd: 'connack', sessionPresent: true },
    { cmd: 'publish', topic: 'inbox/p1/1' },
  ])
  t.match(await second.subscribe('inbox/p1/+'), { granted: [1] }, 'as clients do that ignore sessionPresent')
  second.ack(...second.publishes)
  second.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['inbox/p1/+'] })
  await second.next('unsuback')
  await second.end()

  const third = await RawClient.as(node.mqtt, 'p1', token, kept)
  t.match(third.packets[0], { sessionPresent: false }, 'UNSUBSCRIBE forgot it')
  await third.subscribe('inbox/p1')
  await third.end()

  const clean = await RawClient.as(node.mqtt, 'p1', token)
  t.match(clean.packets[0], { sessionPresent: false })
  await clean.subscribe('inbox/p1')
  await clean.end()
  const fourth = await RawClient.as(node.mqtt, 'p1', token, kept)
  t.match(fourth.packets[0], { sessionPresent: false }, 'clean=true erased it, and keeps nothing')
})

void t.test('broker sessions: SUBACK waits for the store, and packets behind it wait for the SUBACK', async (t) => {
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const node = await startNode(t, {
    couriers: (couriers) => ({
      async open(request) {
        const courier = await couriers.open(request)
        const keep = courier.keepSubscription.bind(courier)
        courier.keepSubscription = async (filter) => {
          await gate
          return keep(filter)
        }
        return courier
      },
    }),
  })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { clean: false })
  await node.push('p1', 'x')
  client.send(
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'inbox/p1', qos: 1 }] },
    { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['inbox/p1'] },
    { cmd: 'subscribe', messageId: 3, subscriptions: [{ topic: 'inbox/p1/+', qos: 1 }] },
  )
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.same(
    client.packets.map(({ cmd }) => cmd),
    ['connack'],
  )
  open()
  await until('the last answer', () => client.packets.some((packet) => packet.messageId === 3))
  t.same(
    client.packets.filter(({ cmd }) => cmd !== 'publish').map(({ cmd, messageId }) => `${cmd} ${messageId ?? ''}`),
    ['connack ', 'suback 1', 'unsuback 2', 'suback 3'],
  )
  client.send({ cmd: 'pingreq' })
  await client.next('pingresp')
})

void t.test('broker sessions: a subscription that cannot be kept is not acknowledged', async (t) => {
  const node = await startNode(t, {
    couriers: (couriers) => ({
      async open(request) {
        const courier = await couriers.open(request)
        courier.keepSubscription = () => Promise.reject(new StoreUnavailable('down'))
        return courier
      },
    }),
  })
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { clean: false })
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'inbox/p1', qos: 1 }] })
  await client.untilClosed()
  t.same(
    client.packets.map(({ cmd }) => cmd),
    ['connack'],
  )
  t.equal(node.counters.closes.overload, 1)
})

void t.test('broker sessions: packets sent right behind CONNECT are answered after CONNACK', async (t) => {
  const node = await startNode(t)
  await node.push('p1', 'x')
  const client = await RawClient.to(node.mqtt)
  client.send(
    connectPacket('p1', await node.token('p1')),
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'inbox/p1', qos: 1 }] },
    { cmd: 'pingreq' },
  )
  await client.next('publish')
  await client.next('pingresp')
  t.equal(client.packets[0]?.cmd, 'connack')
  t.equal(client.packets.filter(({ cmd }) => cmd === 'suback').length, 1)
})

void t.test('broker sessions: a PUBACK keeps a connection alive, silence ends it', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...Array.from({ length: 40 }, (_, i) => String(i)))
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'), { keepalive: 1 })
  await client.subscribe('inbox/p1')
  await until('40 messages', () => client.publishes.length === 40)
  for (let i = 0; i < 10; i++) {
    client.ack(...client.publishes.slice(i * 4, i * 4 + 4))
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  t.notOk(client.closed, 'three seconds of nothing but PUBACKs')
  await client.untilClosed(3_000)
  t.equal(node.counters.closes.keepalive_timeout, 1)
})

void t.test('broker sessions: a connection ends with its token', async (t) => {
  const node = await startNode(t)
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1', 1))
  await client.subscribe('inbox/p1')
  await client.untilClosed(4_000)
  t.equal(node.counters.closes.token_expired, 1)
  await until('the release', async () => (await node.mailbox.info('p1'))?.claim === null)
})

void t.test('broker sessions: stop closes what is left and releases its claims', async (t) => {
  const node = await startNode(t)
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  await client.subscribe('inbox/p1')
  await node.broker.stop()
  await client.untilClosed()
  t.equal(node.counters.closes.shutdown, 1)
  await until('the release', async () => (await node.mailbox.info('p1'))?.claim === null)
  t.match(node.counters, { sockets: 0, connections: 0 })
})
