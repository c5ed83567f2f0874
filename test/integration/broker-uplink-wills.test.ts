// Wills to uplink.

import t from 'tap'
import { startNode, until } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { connected, Gate, numbers, publish, startFast, texts, uplinkLog } from '../support/broker/uplink.js'

void t.test(
  'broker uplink: a will is stored when the connection ends without DISCONNECT, behind what it sent',
  async (t) => {
    const node = await startNode(t)
    const will = { topic: 'uplink/d/state', payload: Buffer.from('gone'), qos: 1 as const, retain: true }
    const wills = async (): Promise<string[]> =>
      (await uplinkLog(node)).filter((u) => u.will).map(({ channel }) => channel)

    const polite = await connected(node, 'd', { will })
    polite.send({ cmd: 'disconnect' })
    await polite.untilClosed()
    const rude = await connected(node, 'd', { will })
    rude.send(publish('last words', 1))
    await rude.next('puback')
    rude.socket.destroy()
    await until('the will to be stored', async () => (await wills()).length === 1)
    t.strictSame(await texts(node), ['last words', 'gone'])

    const taken = await connected(node, 'd', { will })
    const silent = await connected(node, 'd', { will, keepalive: 1 })
    await taken.untilClosed()
    await until('the will of one that was taken over', async () => (await wills()).length === 2)
    await silent.untilClosed()
    await until('the will of one that fell silent', async () => (await wills()).length === 3)

    const bad = await connected(node, 'd', { will })
    bad.send(publish('x', 1, { topic: 'uplink/e/c' }))
    await bad.untilClosed()
    await until('the will of one that was denied', async () => (await wills()).length === 4)
    t.strictSame(
      await wills(),
      Array.from({ length: 4 }, () => 'state'),
    )
    await until('all to be counted', () => node.uplinkCounters.wills === 4)
    await until('none to be kept', async () => {
      const kept: string[] = []
      for await (const { client } of node.store.sessions.wills()) kept.push(client)
      return kept.length === 0
    })
  },
)

void t.test('broker uplink: wills to anything else of uplink are refused', async (t) => {
  const node = await startNode(t)
  for (const [topic, qos] of [
    ['uplink/e/c', 0],
    ['uplink/d', 0],
    ['uplink/d/c', 2],
  ] as const) {
    const client = await RawClient.to(node.mqtt)
    client.send(
      connectPacket('d', await node.token('d'), { will: { topic, payload: Buffer.from('x'), qos, retain: false } }),
    )
    t.match(await client.next('connack'), { returnCode: 5 }, topic)
    await client.untilClosed()
  }
  t.equal(node.counters.connects.will_refused, 3)
})

void t.test('broker uplink: a stop in good order stores what it has, and wills', async (t) => {
  const node = await startFast(t)
  const will = { topic: 'uplink/d/state', payload: Buffer.from('gone'), qos: 0 as const, retain: false }
  const client = await connected(node, 'd', { will })
  client.send(...numbers(100).map((n) => publish(n, 0)))
  await until('some to arrive', () => node.uplinkCounters.stored > 0)
  await node.couriers.stop()
  await node.broker.stop()
  const stored = await texts(node)
  t.equal(stored.at(-1), 'gone')
  t.strictSame(stored.slice(0, -1), numbers(stored.length - 1))
})

void t.test(
  'broker uplink: a will that is still being stored takes nothing from that of the next connection',
  async (t) => {
    const gate = new Gate()
    const node = await startFast(t, { wrapUplink: gate.wrap })
    const will = { topic: 'uplink/d/state', payload: Buffer.from('gone'), qos: 0 as const, retain: false }
    const kept = async (): Promise<string[]> => {
      const clients: string[] = []
      for await (const { client } of node.store.sessions.wills()) clients.push(client)
      return clients
    }
    const first = await connected(node, 'd', { will })
    gate.close()
    first.socket.destroy()
    await until('the will to be on its way', () => gate.calls === 1)
    t.strictSame(await kept(), ['d'], 'kept until it is stored')
    const second = await connected(node, 'd', { will })
    gate.open()
    await until('the will to be stored', () => node.uplinkCounters.wills === 1)
    second.send({ cmd: 'pingreq' })
    await second.next('pingresp')
    t.strictSame(await kept(), ['d'], 'that of the second connection')
    second.send({ cmd: 'disconnect' })
    await until('it to be forgotten', async () => (await kept()).length === 0)
    t.strictSame(await texts(node), ['gone'])
  },
)

void t.test('broker uplink: a will that cannot be stored stays kept for the next start', async (t) => {
  const gate = new Gate()
  const node = await startFast(t, { wrapUplink: gate.wrap })
  const will = { topic: 'uplink/d/state', payload: Buffer.from('gone'), qos: 0 as const, retain: false }
  const client = await connected(node, 'd', { will })
  gate.refusing = true
  client.socket.destroy()
  await until('it to be refused', () => node.uplinkCounters.refused.store_unavailable === 1)
  const clients: string[] = []
  for await (const { client: id } of node.store.sessions.wills()) clients.push(id)
  t.strictSame(clients, ['d'])
  t.strictSame(await texts(node), [])
})
