// Ordinary pub/sub over several brokers on one Redis, with MQTT.js and the Mosquitto clients.

import { spawnSync } from 'node:child_process'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { Child } from '../support/child.js'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { metric as metricOf } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import type { TestServer } from '../support/server.js'

const skip = { skip: noRedis }
const clients = ['mosquitto_sub', 'mosquitto_pub'].every((name) => spawnSync(name, ['--help']).error === undefined)
const needsMosquitto = {
  skip: noRedis === false && !clients ? 'the Mosquitto clients are not installed (Debian: mosquitto-clients)' : noRedis,
}

interface Client {
  readonly mqtt: MqttClient
  readonly sessionPresent: boolean
  /** `topic payload`, `R` if retained. */
  readonly got: string[]
}

async function connect(t: Test, server: TestServer, clientId: string, options: IClientOptions = {}): Promise<Client> {
  const client = mqtt.connect(`mqtt://127.0.0.1:${server.ports.mqtt}`, {
    clientId,
    reconnectPeriod: 0,
    // Its timer outlives a client that is ended by force.
    keepalive: 0,
    connectTimeout: 20_000,
    ...options,
  })
  const got: string[] = []
  client.on('message', (topic, payload, { retain }) => got.push(`${topic} ${payload.toString()}${retain ? ' R' : ''}`))
  client.on('error', () => undefined)
  t.teardown(() => client.end(true))
  const sessionPresent = await new Promise<boolean>((resolve, reject) => {
    client.once('connect', (connack) => resolve(connack.sessionPresent))
    client.once('close', () => reject(new Error(`${clientId} was refused`)))
  })
  return { mqtt: client, sessionPresent, got }
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

async function brokers(t: Test, count: number, settings: readonly string[] = []) {
  const { redis, node } = await startClusterOn(t, settings)
  const nodes: TestServer[] = []
  for (let i = 0; i < count; i++) nodes.push(await node('--role', 'broker', '--auth', 'none'))
  const [a, b, c] = nodes
  if (a === undefined || b === undefined) throw new Error('at least two')
  return { redis, node, a, b, c: c ?? b }
}

t.test('pubsub cluster: a publish reaches subscribers on every node once, in order', skip, async (t) => {
  const { a, b, c } = await brokers(t, 3)
  const subscribers = await Promise.all(
    [a, b, c].map(async (server, i) => {
      const client = await connect(t, server, `sub-${i}`)
      await client.mqtt.subscribeAsync({ 'news/+': { qos: 1 }, 'news/#': { qos: 2 } })
      return client
    }),
  )
  const publisher = await connect(t, a, 'pub')
  await Promise.all(numbers(1, 300).map((n) => publisher.mqtt.publishAsync('news/a', `${n}`, { qos: 1 })))
  const expected = numbers(1, 300).map((n) => `news/a ${n}`)
  for (const { got } of subscribers) {
    await until('300 messages', () => got.length >= 300)
    t.same(got, expected)
    got.length = 0
  }
  for (const qos of [0, 2] as const) await publisher.mqtt.publishAsync('news/b', `q${qos}`, { qos })
  for (const { got } of subscribers) {
    await until('both', () => got.length >= 2)
    t.same(got, ['news/b q0', 'news/b q2'])
  }
})

const away = { clean: false } as const
const end = (client: Client): Promise<void> => client.mqtt.endAsync()

t.test('pubsub cluster: a session belongs to the client, wherever it connects', skip, async (t) => {
  const { a, b, c } = await brokers(t, 3)
  const first = await connect(t, a, 'phone', away)
  await first.mqtt.subscribeAsync({ 'news/#': { qos: 1 } })
  await end(first)
  const publisher = await connect(t, b, 'pub')
  for (const n of numbers(1, 20)) await publisher.mqtt.publishAsync('news/a', `${n}`, { qos: 1 })

  const second = await connect(t, c, 'phone', away)
  t.equal(second.sessionPresent, true)
  await until('what waited', () => second.got.length >= 20)
  await publisher.mqtt.publishAsync('news/a', '21', { qos: 1 })
  await until('what is new', () => second.got.length >= 21)
  t.same(
    second.got,
    numbers(1, 21).map((n) => `news/a ${n}`),
  )

  const third = await connect(t, b, 'phone', away)
  await until('the connection before to end', () => !second.mqtt.connected)
  await publisher.mqtt.publishAsync('news/a', '22', { qos: 1 })
  await until('the next', () => third.got.includes('news/a 22'))
  t.equal(third.got.filter((text) => text === 'news/a 22').length, 1)
  await end(third)
  const clean = await connect(t, a, 'phone')
  t.equal(clean.sessionPresent, false)
  await end(clean)
  t.equal((await connect(t, c, 'phone', away)).sessionPresent, false, 'clean session 1 ended it for all nodes')
})

t.test(
  'pubsub cluster: a broker is killed: its sessions go on elsewhere, nothing acknowledged is lost',
  skip,
  async (t) => {
    const { a, b, c } = await brokers(t, 3)
    const spy = await connect(t, c, 'spy')
    await spy.mqtt.subscribeAsync({ 'will/#': { qos: 1 } })
    const first = await connect(t, a, 'phone', { ...away, will: willOf('phone') })
    await first.mqtt.subscribeAsync({ 'news/#': { qos: 1 } })
    const clean = await connect(t, a, 'clean', { will: willOf('clean') })
    await clean.mqtt.subscribeAsync({ 'news/#': { qos: 1 } })
    const publisher = await connect(t, b, 'pub')
    const all = numbers(1, 400)
    const published = Promise.all(all.map((n) => publisher.mqtt.publishAsync('news/a', `${n}`, { qos: 1 })))
    await until('some', () => first.got.length > 50)
    await a.child.kill('SIGKILL')
    await published

    // Before anybody has noticed: the will comes with the new connection, and not again.
    const second = await connect(t, b, 'phone', { ...away, will: willOf('phone') })
    t.equal(second.sessionPresent, true)
    await until('the rest', () => second.got.at(-1) === 'news/a 400')
    const seen = new Set([...first.got, ...second.got])
    t.same(
      all.filter((n) => !seen.has(`news/a ${n}`)),
      [],
    )
    t.equal(second.got.length, new Set(second.got).size, 'each once on the new connection')
    await until('the wills', () => spy.got.length >= 2, 40_000)
    await publisher.mqtt.publishAsync('will/marker', 'x', { qos: 1 })
    await until('the marker', () => spy.got.includes('will/marker x'))
    t.same(spy.got, ['will/phone gone', 'will/clean gone', 'will/marker x'], 'each once, none of a client that lives')
  },
)

const willOf = (id: string) => ({ topic: `will/${id}`, payload: Buffer.from('gone'), qos: 1, retain: false }) as const

t.test('pubsub cluster: retained messages are one set, and wills of a stopped node come at once', skip, async (t) => {
  const { a, b, node } = await brokers(t, 2)
  const publisher = await connect(t, a, 'pub')
  for (const n of numbers(1, 5)) await publisher.mqtt.publishAsync(`state/${n}`, `v${n}`, { qos: 1, retain: true })
  await publisher.mqtt.publishAsync('state/5', '', { qos: 1, retain: true })
  await publisher.mqtt.publishAsync('state/1', 'new', { qos: 1, retain: true })
  const expected = ['state/1 new R', 'state/2 v2 R', 'state/3 v3 R', 'state/4 v4 R']
  const late = await node('--role', 'broker', '--auth', 'none')
  for (const [i, server] of [a, b, late].entries()) {
    const subscriber = await connect(t, server, `sub-${i}`, i === 1 ? away : {})
    await subscriber.mqtt.subscribeAsync({ 'state/+': { qos: 1 } })
    await until('what is retained', () => subscriber.got.length >= 4)
    t.same(subscriber.got.toSorted(), expected)
    if (i !== 1) continue
    await publisher.mqtt.publishAsync('state/9', 'live', { qos: 1, retain: true })
    await until('what is new', () => subscriber.got.length >= 5)
    t.equal(subscriber.got.at(-1), 'state/9 live')
    await publisher.mqtt.publishAsync('state/9', '', { qos: 1, retain: true })
  }
  const spy = await connect(t, b, 'spy')
  await spy.mqtt.subscribeAsync({ 'will/#': { qos: 1 } })
  await connect(t, late, 'leaver', { will: willOf('leaver') })
  t.same(await late.stop(), { code: 0, signal: null })
  await until('the will', () => spy.got.length >= 1, 5_000)
  t.same(spy.got, ['will/leaver gone'])
})

t.test('pubsub cluster: DELETE on an API node ends connection, session and queue', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const api = await node('--role', 'api')
  const a = await node('--role', 'broker')
  const b = await node('--role', 'broker')
  const acl = { publish: ['home/#'], subscribe: ['home/#'] }
  const login = async (id: string): Promise<IClientOptions> => ({
    username: id,
    password: await api.token(id, 600, acl),
    clean: false,
  })
  const publisher = await connect(t, b, 'pub', await login('pub'))
  for (const connected of [true, false]) {
    const id = connected ? 'here' : 'gone'
    const client = await connect(t, a, id, await login(id))
    await client.mqtt.subscribeAsync({ 'home/#': { qos: 1 } })
    if (!connected) {
      await end(client)
      await publisher.mqtt.publishAsync('home/x', 'waits', { qos: 1 })
    }
    t.equal((await api.rest('DELETE', `/v1/devices/${id}`)).status, 204)
    if (connected) await until('the connection to end', () => !client.mqtt.connected)
    await until('its session to be gone', async () => (await metricOf(b, 'pubsub_sessions')) === 0, 15_000)
  }
})

t.test('pubsub cluster: Redis away for seconds, and killed', skip, async (t) => {
  const { redis, a, b } = await brokers(t, 2, ['--appendfsync', 'always'])
  const phone = await connect(t, a, 'phone', away)
  await phone.mqtt.subscribeAsync({ 'news/#': { qos: 1 } })
  const clean = await connect(t, a, 'clean')
  await clean.mqtt.subscribeAsync({ 'news/#': { qos: 1 } })
  const acknowledged: number[] = []
  let n = 0
  const stop = new AbortController()
  const publishing = (async () => {
    while (!stop.signal.aborted) {
      const publisher = await connect(t, b, 'pub').catch(() => null)
      const ended = new Promise<boolean>((resolve) => publisher?.mqtt.once('close', () => resolve(false)))
      while (publisher?.mqtt.connected === true && !stop.signal.aborted) {
        const number = ++n
        // A PUBACK that never comes is not told: the connection ends.
        const outcome = publisher.mqtt.publishAsync('news/a', `${number}`, { qos: 1 }).then(
          () => true,
          () => false,
        )
        const done = await Promise.race([outcome, ended])
        if (done) acknowledged.push(number)
      }
      publisher?.mqtt.end(true)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  await until('a first', () => acknowledged.length > 20)
  redis.signal('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  redis.signal('SIGCONT')
  const goesOn = async (): Promise<void> => {
    const before = acknowledged.length
    await until('it goes on by itself', () => acknowledged.length > before + 50, 30_000)
  }
  await goesOn()
  await redis.restart('SIGKILL')
  await goesOn()
  stop.abort()
  await publishing
  const missing = (client: Client): number[] =>
    acknowledged.filter((number) => !client.got.includes(`news/a ${number}`))
  await until('everything that was acknowledged', () => missing(phone).length === 0, 20_000)
  t.equal(phone.mqtt.connected, true, 'the subscriber stayed connected')
  await until('the same for clean session 1', () => missing(clean).length === 0, 20_000)
  t.equal(clean.mqtt.connected, true)
})

t.test('pubsub cluster: inboxes and uplink do not cross', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const api = await node('--role', 'api')
  const a = await node('--role', 'broker', '--auth', 'none')
  const b = await node('--role', 'broker', '--auth', 'none')
  const spy = await connect(t, b, 'spy')
  await spy.mqtt.subscribeAsync({ '#': { qos: 1 }, '+/+': { qos: 1 } })
  const device = await connect(t, a, 'phone')
  await device.mqtt.subscribeAsync({ 'inbox/phone': { qos: 1 } })
  await device.mqtt.publishAsync('uplink/phone/x', 'up', { qos: 1 })
  t.match(await api.rest('POST', '/v1/devices/phone/messages', { payload: 'down' }), { status: 202 })
  await until('the push', () => device.got.length > 0)
  t.same(device.got, ['inbox/phone down'])
  await device.mqtt.publishAsync('marker', 'x', { qos: 1 })
  await until('the marker', () => spy.got.length > 0)
  t.same(spy.got, ['marker x'])
})

t.test('pubsub cluster: the Mosquitto clients, over two brokers', needsMosquitto, async (t) => {
  const { a, b } = await brokers(t, 2)
  const run = (command: string, server: TestServer, id: string, ...args: readonly string[]): Child =>
    new Child(t, 'stdbuf', ['-oL', command, '-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', id, ...args])
  const messages = ({ stdout }: Child): string[] =>
    stdout.split('\n').flatMap((line) => (line.startsWith('> ') ? [line.slice(2)] : []))
  const sub = (server: TestServer): Child =>
    run('mosquitto_sub', server, 'away', '-d', '-F', '> %t %p %q', '-c', '-q', '1', '-t', 'news/+')
  const first = sub(a)
  await first.until('the SUBACK', ({ stdout }) => stdout.includes('received SUBACK') || stdout.includes('Subscribed'))
  await first.kill('SIGKILL')
  const lines = numbers(1, 150).map((i) => `n${i}`)
  const bulk = new Child(
    t,
    'mosquitto_pub',
    ['-h', '127.0.0.1', '-p', String(b.ports.mqtt), '-i', 'bulk', '-q', '1', '-t', 'news/x', '-l'],
    { input: `${lines.join('\n')}\n` },
  )
  t.equal((await bulk.exited).code, 0)
  const second = sub(b)
  await second.until('all of them', () => messages(second).length >= lines.length)
  t.same(
    messages(second),
    lines.map((line) => `news/x ${line} 1`),
  )
})
