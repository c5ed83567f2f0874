// A client that subscribes to all that is retained, again and again, and does not read it.

import mqttPacket from 'mqtt-packet'
import t from 'tap'
import { RawClient } from '../support/broker/raw-client.js'
import { metric, ownMegabytes } from '../support/road/observe.js'
import { pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const RETAINED = 5_000
const ALL = { publish: ['#'], subscribe: ['#'] }

/** A hundred filters that match each topic of `a/b/c/d/e/f/g/N`, none of which covers another one. */
const filters: readonly string[] = (() => {
  const levels = ['a', 'b', 'c', 'd', 'e', 'f', 'g', '+', '+']
  const found: string[] = []
  for (let mask = 0; mask < 1 << 7; mask++) {
    const filter = levels.slice(0, 7).map((level, i) => ((mask >> i) & 1 ? '+' : level))
    found.push([...filter, '+'].join('/'))
  }
  return found.slice(0, 99)
})()

void t.test('retained flood: who subscribes to everything again and again costs the others nothing', async (t) => {
  const server = await TestServer.start(t, { flags: ['--publish-rate-per-device', 'off'] })
  const publisher = await RawClient.as(server.ports.mqtt, 'publisher', await server.token('publisher', 3_600, ALL))
  for (let i = 0; i < RETAINED; i++) {
    const topic = `a/b/c/d/e/f/g/${i}`
    publisher.send({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: i + 1, retain: true, dup: false })
  }
  await until('them to be retained', async () => (await metric(server, 'pubsub_retained')) === RETAINED)
  const victim = await RawClient.as(server.ports.mqtt, 'victim', await server.token('victim'))
  await victim.subscribe('inbox/victim')
  victim.onPacket = (packet) => {
    if (packet.cmd === 'publish') victim.ack(packet)
  }

  const before = ownMegabytes(server)
  const flooders = await Promise.all(
    ['greedy-1', 'greedy-2'].map(async (id) => {
      const client = await RawClient.as(server.ports.mqtt, id, await server.token(id, 3_600, ALL))
      client.socket.pause()
      const all = ['#', ...filters]
      for (let messageId = 1; messageId <= 100; messageId++) {
        const qos = messageId % 2 === 0 ? 1 : 0
        const subscriptions = all.map((topic) => ({ topic, qos }) as const)
        client.send(mqttPacket.generate({ cmd: 'subscribe', messageId, subscriptions }))
      }
      return client
    }),
  )
  let slowest = 0
  for (let i = 0; i < 30; i++) {
    const from = performance.now()
    await server.rest('POST', '/v1/devices/victim/messages', { payload: String(i) })
    await victim.next('publish', i + 1)
    slowest = Math.max(slowest, performance.now() - from)
    await pause(50)
  }
  const after = ownMegabytes(server)
  t.comment(
    `pushed and received within ${slowest.toFixed(0)} ms; ${before.toFixed(0)} MB before, ${after.toFixed(0)} after`,
  )
  t.ok(slowest < 1_000, 'the others go on')
  t.ok(after - before < 80, 'what waits is bounded')
  t.ok((await metric(server, 'mqtt_throttled_total', 'rate="packets"')) > 0, 'it has to wait for its turns')

  // And it is a client like any other when it reads: everything once more for a new subscription.
  for (const client of flooders) await client.end()
  const reader = await RawClient.as(server.ports.mqtt, 'reader', await server.token('reader', 3_600, ALL))
  reader.onPacket = (packet) => {
    if (packet.cmd === 'publish') reader.ack(packet)
  }
  for (const [round, qos] of ([0, 1] as const).entries()) {
    await reader.subscribe('a/#', round + 1, qos)
    await until('all', () => reader.publishes.length >= (round + 1) * RETAINED)
  }
  t.equal(new Set(reader.publishes.map(({ topic }) => topic)).size, RETAINED)
  t.equal(reader.publishes.length, 2 * RETAINED)
})
