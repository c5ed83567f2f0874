// G7 and G9 with two processes that do everything, on one Redis: one owner for each device, whichever node it comes to; and
// what a lost notice, a frozen node and a store that cannot be reached cost.

import t, { type Test } from 'tap'
import { connect, createServer, type Socket } from 'node:net'
import { killSubscribers, startClusterOn } from '../support/cluster.js'
import { RawClient } from '../support/broker/raw-client.js'
import { noRedis } from '../support/redis/server.js'
import type { RoadDevice } from '../support/road/device.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { SdkDevice } from '../support/sdk/sdk-device.js'
import type { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

const skip = { skip: noRedis }
const TURNS = LONG ? 60 : 10

async function sdkDevice(t: Test, server: TestServer, device: string): Promise<SdkDevice> {
  return new SdkDevice(t, { urls: server.mqttUrl, deviceId: device, token: await server.token(device) })
}

t.test('claims: a connection on the other node closes the first one within 2 s, under load', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const flags = ['--connect-rate-per-device', 'off', '--inbox-max', '50000']
  const nodes = [await node(...flags), await node(...flags)] as const
  const ledger = new RoadLedger()
  const devices = ['prompt', 'slow', 'stays']
  await (await roadDevice(t, nodes[1], ledger, 'stays')).start().untilReady()
  const producer = await producerFor(t, nodes[0], ledger, { devices, batch: 10, rate: 500 })
  producer.start()

  async function moves(device: string, ackDelayMs: number): Promise<readonly number[]> {
    const livedOn: number[] = []
    let owner: RoadDevice | null = null
    for (let turn = 0; turn < TURNS; turn++) {
      const next = await roadDevice(t, nodes[turn % 2] ?? nodes[0], ledger, device, { ackDelayMs, returns: false })
      const from = performance.now()
      const elapsed = stopwatch(t)
      ledger.cut(device)
      next.start()
      await until(`${device} ${turn} to be connected`, () => next.connections === 1)
      const older: RoadDevice | null = owner
      if (older !== null) {
        await until(`${device} ${turn - 1} to be closed`, () => older.ends === 1)
        livedOn.push(Math.min(older.endedAt - from, elapsed()))
      }
      owner = next
      await pause(50 + Math.random() * 100)
    }
    return livedOn
  }
  const lives = (await Promise.all([moves('prompt', 0), moves('slow', 30)])).flat()

  // A device in stream mode, and another connection of it elsewhere.
  const first = await (await sdkDevice(t, nodes[0], 'stream')).is('live')
  const elapsed = stopwatch(t)
  const second = await sdkDevice(t, nodes[1], 'stream')
  await until('the first one to be told', () => first.ended !== undefined, 30_000)
  const told = elapsed()
  t.ok(told < 2_000, `told after ${Math.round(told)} ms`)
  t.match(first.ended, { code: 'taken_over' })
  await nodes[0].rest('POST', '/v1/devices/stream/messages', { payload: 'hello' })
  await second.has(1)
  t.strictSame(second.texts, ['hello'])
  t.strictSame(first.texts, [])

  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, nodes[1], devices)
  t.equal(lives.length, 2 * (TURNS - 1))
  t.ok(Math.max(...lives) < 2_000, `the slowest was closed after ${Math.round(Math.max(...lives))} ms`)
  const forced = (await Promise.all(nodes.map((each) => metric(each, 'takeovers_forced_total')))).reduce(
    (a, b) => a + b,
    0,
  )
  t.ok(forced < lives.length / 2, `${forced} of ${lives.length} owners did not flush and release in time`)
})

t.test('claims: of two simultaneous connections on two nodes exactly one survives', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const nodes = [await node('--connect-rate-per-device', 'off'), await node('--connect-rate-per-device', 'off')]
  const [one] = nodes
  if (one === undefined) throw new Error('no node')
  const token = await one.token('twin')
  for (let round = 1; round <= (LONG ? 200 : 20); round++) {
    const clients = await Promise.all(nodes.map((each) => RawClient.to(each.ports.mqtt)))
    for (const client of clients) {
      client.send({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clientId: 'twin',
        username: 'twin',
        password: Buffer.from(token),
        clean: true,
        keepalive: 60,
      })
    }
    const alive = () => clients.filter(({ closed }) => !closed)
    await until(
      `round ${round}: one survivor`,
      () => alive().length === 1,
      4_000,
      () => `${alive().length} live`,
    )
    const [survivor] = alive()
    if (survivor === undefined) throw new Error('none')
    await survivor.next('connack')
    survivor.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'inbox/twin', qos: 1 }] })
    await one.rest('POST', '/v1/devices/twin/messages', { payload: `${round}` })
    await until(`round ${round}: the message`, () => survivor.texts.includes(`${round}`))
    survivor.ack(...survivor.publishes)
    survivor.send({ cmd: 'disconnect' })
    await survivor.untilClosed()
  }
  await until('the device to be offline', async () => (await statusOf(one, 'twin'))['online'] === false)
})

t.test('claims: with every notice lost, messages arrive within the sweep interval', skip, async (t) => {
  const { redis, node } = await startClusterOn(t)
  // Notices go where nobody hears them: a user that may not publish is refused, and every notice is dropped and counted.
  await redis.admin.call('acl', 'setuser', 'mute', 'on', '>mute', '~*', '&*', '+@all', '-spublish')
  const api = await node('--store', redis.url.replace('redis://', 'redis://mute:mute@'))
  const broker = await node('--sweep-interval', '2s')
  const ledger = new RoadLedger()
  const latencies: number[] = []
  const devices = ['a', 'b', 'c']
  for (const id of devices) {
    const device = await roadDevice(t, broker, ledger, id, { onLatency: (ms) => latencies.push(ms) })
    await device.start().untilReady()
  }
  const producer = await producerFor(t, api, ledger, { devices, batch: 3, rate: 10 })
  producer.start()
  await until('messages', () => ledger.progress.arrived >= 40)
  await producer.stop()
  kept(t, await untilArrived(ledger))
  t.ok((await metric(api, 'bus_notices_unsent_total')) >= 40, 'no notice got through')
  t.equal(await metric(broker, 'notices_taken_total'), 0)
  t.ok(Math.max(...latencies) < 3_000, `the slowest took ${Math.round(Math.max(...latencies))} ms`)
})

t.test('claims: a node whose ear is cut under load loses nothing, and sweeps at once', skip, async (t) => {
  const { redis, node } = await startClusterOn(t)
  const [api, broker] = [await node(), await node('--sweep-interval', '60s')]
  const ledger = new RoadLedger()
  const devices = ['a', 'b', 'c', 'd']
  for (const id of devices) await (await roadDevice(t, broker, ledger, id)).start().untilReady()
  const producer = await producerFor(t, api, ledger, { devices, batch: 4, rate: 400 })
  producer.start()
  for (let cut = 0; cut < 5; cut++) {
    await pause(300)
    t.ok((await killSubscribers(redis)) >= 1)
  }
  await producer.stop()
  const verdict = await untilArrived(ledger)
  kept(t, verdict)
  t.ok((await metric(broker, 'bus_subscriptions_lost_total')) >= 4)
})

/** The port of a proxy to `target` that can hold everything back, both ways, with the connections open. */
async function holdingProxy(t: Test, target: number) {
  let held = false
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.on('data', (data) => to.write(data))
      if (held) from.pause()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    hold(on: boolean) {
      held = on
      for (const socket of sockets)
        if (on) socket.pause()
        else socket.resume()
    },
  }
}

async function losesItsClaims(t: Test, way: 'frozen' | 'cut off'): Promise<void> {
  const { redis, node } = await startClusterOn(t)
  const proxy = await holdingProxy(t, redis.port)
  const other = await node()
  const broken = await node('--store', `redis://127.0.0.1:${proxy.port}`, '--sweep-interval', '60s')
  const token = await other.token('moves')
  const moves = await RawClient.as(broken.ports.mqtt, 'moves', token)
  moves.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'inbox/moves', qos: 1 }] })
  await moves.next('suback')
  const ledger = new RoadLedger()
  const stays = await roadDevice(t, broken, ledger, 'stays')
  await stays.start().untilReady()
  const push = (device: string, payload: string) =>
    other.rest('POST', `/v1/devices/${device}/messages`, { payload, dedupId: payload })
  await push('moves', 'one')
  await until('the first message', () => moves.texts.includes('one'))
  moves.ack(...moves.publishes)
  await until('its ack to be stored', async () => (await statusOf(other, 'moves'))['cursor'] === 1)

  if (way === 'frozen') broken.child.signal('SIGSTOP')
  else proxy.hold(true)
  await push('moves', 'two') // its notice waits at the broken node
  await pause(200)
  const elapsed = stopwatch(t)
  const taken = await RawClient.as(other.ports.mqtt, 'moves', token)
  t.ok(elapsed() < 2_000, 'the device is taken by the other node meanwhile')
  taken.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'inbox/moves', qos: 1 }] })
  await until('the second message on the other node', () => taken.texts.includes('two'))
  taken.ack(...taken.publishes)
  await push('moves', 'three')
  await until('the third message', () => taken.texts.includes('three'))
  taken.ack(...taken.publishes.slice(-1))
  await pause(3_500)

  if (way === 'frozen') broken.child.signal('SIGCONT')
  else proxy.hold(false)
  const back = performance.now()
  await until('the connection that was lost to be closed', () => moves.closed, 3_000)
  t.comment(`closed ${Math.round(performance.now() - back)} ms after the node was back`)
  t.strictSame(moves.texts, ['one'], 'and nothing was written to it')
  t.ok((await metric(broken, 'unconfirmed_holds_total')) >= 1)
  // What it still owns goes on, on the same connection.
  const producer = await producerFor(t, other, ledger, { devices: ['stays'], batch: 1, rate: 50 })
  producer.start()
  await until('messages to the device that stayed', () => ledger.progress.arrived >= 20)
  await producer.stop()
  kept(t, await untilArrived(ledger))
  t.equal(stays.connections, 1)
  t.notOk(taken.closed)
}

t.test(
  'claims: a node that was frozen writes nothing until its claims are confirmed, and closes what it lost',
  skip,
  (t) => losesItsClaims(t, 'frozen'),
)

t.test('claims: so does a node that was cut off from the store', skip, (t) => losesItsClaims(t, 'cut off'))
