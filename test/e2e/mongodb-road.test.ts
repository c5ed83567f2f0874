// `postrider serve --store mongodb://…` over a real server: the whole road for one node, and for nodes that share a bus.

import mqtt from 'mqtt'
import t, { type Test } from 'tap'
import { runCommand } from '../support/command.js'
import { startFakeMongo } from '../support/mongodb/fake-server.js'
import { databaseOf, noMongo } from '../support/mongodb/server.js'
import { freePort, noRedis, startRedis } from '../support/redis/server.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { pause, until } from '../support/road/wait.js'
import { wholeRoad } from '../support/road/whole-road.js'
import { TestServer } from '../support/server.js'

const skip = { skip: noMongo }
const skipCluster = { skip: noMongo === false ? noRedis : noMongo }
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}
const NO_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

/** The URL of an empty database; it is dropped with the test. */
const database = async (t: Test): Promise<string> => (await databaseOf(t)).url

const node = (t: Test, url: string, flags: readonly string[] = []): Promise<TestServer> =>
  TestServer.start(t, { flags: ['--store', url, ...flags], env: SECRETS })

void t.test('mongodb road: push, receive, acknowledge, and the same after SIGKILL and restart', skip, async (t) => {
  const server = await node(t, await database(t))
  await wholeRoad(t, server)
  t.equal(await metric(server, 'mongodb_writable'), 1)
  t.ok((await metric(server, 'mongodb_connections')) > 0)
  t.equal((await fetch(`${server.adminUrl}/readyz`)).status, 200)
  t.equal((await server.rest('DELETE', '/v1/devices/phone-1')).status, 204)
  t.equal((await server.rest('GET', '/v1/devices/phone-1')).status, 404)
  t.same(await server.stop(), { code: 0, signal: null })
})

void t.test('mongodb road: killed under load, and every accepted message arrives, in order', skip, async (t) => {
  const server = await node(t, await database(t), ['--inbox-max', '50000'])
  const ledger = new RoadLedger()
  const devices = await Promise.all([
    ...names('prompt', 12).map((id) => roadDevice(t, server, ledger, id)),
    ...names('slow', 4).map((id) => roadDevice(t, server, ledger, id, { clean: false, ackDelayMs: 100 })),
  ])
  for (const device of devices) device.start()
  const all = devices.map(({ device }) => device)
  const producer = await producerFor(t, server, ledger, { devices: all, lanes: 3, batch: 20, rate: 300 })
  const allReady = () => until('all devices to be connected', () => devices.every(({ ready }) => ready), 60_000)
  await allReady()
  producer.start()
  for (let kills = 0; kills < 3; kills++) {
    const before = ledger.progress.arrived
    await until('deliveries to go on', () => ledger.progress.arrived > before + 100, 60_000)
    await pause(300 + Math.random() * 300)
    ledger.cut()
    await server.kill('SIGKILL')
    await server.restart()
    await allReady()
  }
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, server, all)
  t.comment(`pushed again after: ${JSON.stringify(Object.fromEntries(producer.failures))}`)
})

void t.test('mongodb road: without a bus there is one process', skip, async (t) => {
  const url = await database(t)
  const first = await node(t, url)
  const second = await runCommand(t, ['serve', ...NO_PORTS], { env: { POSTRIDER_STORE: url, ...SECRETS } })
  t.match(second, { code: 78, stderr: /another process uses the store\. More nodes than one need a bus/ })
  t.equal((await first.rest('POST', '/v1/devices/a/messages', { payload: 'x' })).status, 202, 'the first goes on')
  await first.stop()
  const after = await node(t, url)
  t.match(await statusOf(after, 'a'), { head: 1 })
})

void t.test('mongodb road: nodes with a bus share devices and ordinary pub/sub', skipCluster, async (t) => {
  const url = await database(t)
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const bus = ['--bus', redis.url]
  const api = await node(t, url, ['--role', 'api', ...bus])
  const brokers = [await node(t, url, ['--role', 'broker', ...bus]), await node(t, url, ['--role', 'broker', ...bus])]
  const [a, b] = brokers
  if (a === undefined || b === undefined) throw new Error('there are two')
  const alone = await runCommand(t, ['serve', ...NO_PORTS], { env: { POSTRIDER_STORE: url, ...SECRETS } })
  t.match(alone, { code: 78, stderr: /give each of them --bus/ })

  const ledger = new RoadLedger()
  const devices = await Promise.all(
    names('phone', 10).map((id, i) => roadDevice(t, i % 2 === 0 ? a : b, ledger, id, { clean: i % 3 === 0 })),
  )
  for (const device of devices) device.start()
  await until('all devices to be connected', () => devices.every(({ ready }) => ready), 60_000)
  const all = devices.map(({ device }) => device)
  const producer = await producerFor(t, api, ledger, { devices: all, lanes: 2, batch: 20, rate: 300 })
  producer.start()
  for (const victim of [a, b, api]) {
    const before = ledger.progress.arrived
    await until('deliveries to go on', () => ledger.progress.arrived > before + 100, 60_000)
    ledger.cut()
    await victim.kill('SIGKILL')
    await victim.restart()
    await until('all devices to be connected again', () => devices.every(({ ready }) => ready), 60_000)
  }
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, api, all)

  const got: string[] = []
  const options = { reconnectPeriod: 0, keepalive: 0 } as const
  const connect = async (server: TestServer, clientId: string, clean: boolean) => {
    const password = await server.token(clientId, 3_600, { publish: ['news/#'], subscribe: ['news/#'] })
    const client = mqtt.connect(`mqtt://127.0.0.1:${server.ports.mqtt}`, {
      ...options,
      clientId,
      clean,
      password,
      username: clientId,
    })
    client.on('message', (topic, payload) => got.push(`${topic} ${payload.toString()}`))
    client.on('error', () => undefined)
    t.teardown(() => client.end(true))
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve())
      client.once('close', () => reject(new Error(`${clientId} was refused`)))
    })
    return client
  }
  const subscriber = await connect(a, 'reader', false)
  await subscriber.subscribeAsync('news/#', { qos: 1 })
  await subscriber.endAsync()
  const publisher = await connect(b, 'writer', true)
  for (const n of [1, 2, 3]) await publisher.publishAsync('news/today', `${n}`, { qos: 1, retain: n === 3 })
  await connect(b, 'reader', false)
  await until('what was published meanwhile, on the other node', () => got.length === 3, 20_000)
  t.strictSame(got, ['news/today 1', 'news/today 2', 'news/today 3'])
  for (const each of [api, a, b]) t.same(await each.stop(), { code: 0, signal: null })
})

void t.test('mongodb road: a store that cannot be used is told at the start, without its password', async (t) => {
  const port = await freePort()
  const serve = (store: string, env: Readonly<Record<string, string>> = SECRETS) =>
    runCommand(t, ['serve', ...NO_PORTS], { env: { POSTRIDER_STORE: store, ...env } })
  const gone = await serve(`mongodb://u:hush@127.0.0.1:${port}/db`)
  t.match(gone, { code: 69, stderr: /127\.0\.0\.1:\d+\/db: cannot be reached/ })
  const without = await serve(`mongodb://u:hush@127.0.0.1:${port}/db`, {})
  t.match(without, { code: 78, stderr: /POSTRIDER_API_KEY and POSTRIDER_TOKEN_SECRET: must be set/ })
  const wrong = await serve('mongodb:hush')
  t.match(wrong, { code: 78, stderr: /POSTRIDER_STORE: .* cannot be; it must be file: and a folder/ })
  for (const { stderr } of [gone, without]) t.notMatch(stderr, /hush/)
  const says = { ok: 1, isWritablePrimary: true, maxBsonObjectSize: 16_777_216, minWireVersion: 0 }
  const old = await startFakeMongo({ ...says, maxWireVersion: 5, version: '3.4.24' })
  const single = await startFakeMongo({ ...says, maxWireVersion: 21, version: '7.0.14' })
  t.teardown(() => {
    for (const server of [old, single]) server.stop()
  })
  const tooOld = await serve(`mongodb://u:hush@127.0.0.1:${old.port}/db`)
  t.match(tooOld, { code: 78, stderr: /127\.0\.0\.1:\d+\/db: the server is too old, 4\.2 or newer is needed/ })
  t.notMatch(tooOld.stderr, /hush/)
  const noSet = await serve(`mongodb://127.0.0.1:${single.port}/db`, {
    ...SECRETS,
    POSTRIDER_BUS: `redis://127.0.0.1:${port}`,
  })
  t.match(noSet, { code: 78, stderr: /the server is in no replica set, but more nodes than one need one/ })
})
