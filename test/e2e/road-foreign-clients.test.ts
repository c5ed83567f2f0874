// Clients that others wrote, on the whole road: pushed by REST, received, acknowledged, seen by REST.

import { spawnSync } from 'node:child_process'
import mqtt, { type IConnackPacket, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { Child } from '../support/child.js'
import { statusOf } from '../support/road/fleet.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const texts = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `m${from + i}`)
const hasMosquitto = ['mosquitto_sub', 'mosquitto_pub'].every((name) => spawnSync(name, ['--help']).error === undefined)
const needsMosquitto = { skip: hasMosquitto ? false : 'mosquitto_sub and mosquitto_pub are not installed' }

async function push(server: TestServer, device: string, payloads: readonly string[]): Promise<void> {
  const { status } = await server.rest('POST', '/v1/messages', {
    messages: payloads.map((payload) => ({ device, payload })),
  })
  if (status !== 200) throw new Error(`not accepted: ${status}`)
}

async function handled(t: Test, server: TestServer, device: string, cursor: number): Promise<void> {
  await until(`${device} to have handled ${cursor}`, async () => (await statusOf(server, device))['cursor'] === cursor)
  t.match(await statusOf(server, device), { head: cursor, pending: 0 })
}

/** Waits until the store knows that the message was on the wire. */
async function sent(server: TestServer, device: string, seq: number): Promise<void> {
  await until(`${seq} to be sent`, async () => {
    const { body } = await server.rest('GET', `/v1/devices/${device}/messages/${seq}`)
    return JSON.stringify(body).includes('"sent"')
  })
}

/** mosquitto_sub or mosquitto_pub as the device. `%t %p` a line for each message. */
async function mosquitto(
  t: Test,
  server: TestServer,
  command: 'sub' | 'pub',
  device: string,
  args: readonly string[],
): Promise<Child> {
  const who = ['-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', device, '-u', device]
  const format = command === 'sub' ? ['-F', '%t %p'] : []
  return new Child(t, `mosquitto_${command}`, [...who, '-P', await server.token(device), ...format, ...args])
}

/** The messages that were printed; not what `-d` says besides. */
const lines = (child: Child): string[] => child.stdout.split('\n').filter((line) => line.startsWith('inbox/'))

/**
 * Waits for `count` messages and for their acknowledgements to be stored, then ends it. With `-C count` it would end with
 * packets of ours unread, and its kernel then drops what it has not sent yet: acknowledgements, and they would come again.
 */
async function receives(
  t: Test,
  server: TestServer,
  child: Child,
  device: string,
  count: number,
  cursor: number,
): Promise<void> {
  await child.until(`${count} messages`, () => lines(child).length >= count)
  await handled(t, server, device, cursor)
  t.same(await child.kill('SIGTERM'), { code: 0, signal: null })
}

void t.test('foreign clients: mosquitto_sub catches up and goes on, clean or not', needsMosquitto, async (t) => {
  const server = await TestServer.start(t)
  for (const session of [[], ['-c']]) {
    const device = session.length === 0 ? 'clean' : 'kept'
    const topic = `inbox/${device}/+`
    await push(server, device, texts(1, 100))
    const first = await mosquitto(t, server, 'sub', device, [...session, '-t', topic, '-q', '1'])
    await first.until('the backlog', (child) => lines(child).length >= 100)
    for (let n = 101; n <= 150; n += 10) await push(server, device, texts(n, n + 9))
    await receives(t, server, first, device, 150, 150)
    t.same(
      lines(first),
      texts(1, 150).map((text, i) => `inbox/${device}/${i + 1} ${text}`),
      `${device}: online`,
    )

    await push(server, device, texts(151, 250))
    const second = await mosquitto(t, server, 'sub', device, [...session, '-t', topic, '-q', '1'])
    await receives(t, server, second, device, 100, 250)
    t.same(
      lines(second),
      texts(151, 250).map((text, i) => `inbox/${device}/${i + 151} ${text}`),
      `${device}: what came while it was away`,
    )
  }
})

void t.test(
  'foreign clients: mosquitto_sub asks for QoS 2 and is granted 1, for QoS 0 and is refused',
  needsMosquitto,
  async (t) => {
    const server = await TestServer.start(t)
    await push(server, 'phone', texts(1, 5))
    const two = await mosquitto(t, server, 'sub', 'phone', ['-d', '-t', 'inbox/phone', '-q', '2'])
    await receives(t, server, two, 'phone', 5, 5)
    t.match(two.stdout, /Subscribed \(mid: 1\): 1\n/)
    t.match(two.stdout, /received PUBLISH \(d0, q1, r0/)

    await push(server, 'phone', texts(6, 6))
    for (const [topic, qos] of [
      ['inbox/phone', '0'],
      ['inbox/#', '1'],
      ['#', '1'],
      ['$SYS/#', '1'],
      ['inbox/other', '1'],
    ] as const) {
      const refused = await mosquitto(t, server, 'sub', 'phone', ['-t', topic, '-q', qos, '-C', '1'])
      await refused.exited
      t.match(refused.stderr, /denied/i, `${topic} at QoS ${qos}`)
      t.same(lines(refused), [])
    }
    t.match(await statusOf(server, 'phone'), { pending: 1 }, 'and it has not taken the message')
  },
)

void t.test('foreign clients: mosquitto_sub killed in between gets it again with DUP', needsMosquitto, async (t) => {
  const server = await TestServer.start(t)
  const subscribe = ['-d', '-c', '-t', 'inbox/phone', '-q', '1']
  const first = await mosquitto(t, server, 'sub', 'phone', subscribe)
  await until('its subscription', async () => (await metric(server, 'mqtt_subscribes_granted_total')) === 1)
  await push(server, 'phone', texts(1, 3))
  await first.until('three messages', () => lines(first).length === 3)
  await handled(t, server, 'phone', 3)
  first.signal('SIGSTOP')
  await push(server, 'phone', texts(4, 8))
  await sent(server, 'phone', 8)
  await first.kill('SIGKILL')
  await push(server, 'phone', texts(9, 10))
  const second = await mosquitto(t, server, 'sub', 'phone', subscribe)
  await receives(t, server, second, 'phone', 7, 10)
  t.same(
    lines(second),
    texts(4, 10).map((text) => `inbox/phone ${text}`),
  )
  t.same(
    [...second.stdout.matchAll(/received PUBLISH \(d(\d), q1/g)].map(([, dup]) => dup),
    ['1', '1', '1', '1', '1', '0', '0'],
  )
})

void t.test(
  'foreign clients: mosquitto_pub may not publish what no grant opens, and nobody receives it',
  needsMosquitto,
  async (t) => {
    const server = await TestServer.start(t)
    const witness = await mosquitto(t, server, 'sub', 'witness', ['-t', 'inbox/witness', '-q', '1', '-C', '1'])
    await until('the witness', async () => (await statusOf(server, 'witness'))['online'] === true)
    for (const topic of ['inbox/witness', 'inbox/phone', 'uplink/witness/a', '$SYS/a', 'a/b']) {
      const before = await metric(server, 'mqtt_publishes_denied_total')
      // It comes back by itself for ever, and never gets its PUBACK.
      const pub = await mosquitto(t, server, 'pub', 'phone', ['-t', topic, '-m', 'forged', '-q', '1'])
      await until(`${topic} to be denied`, async () => (await metric(server, 'mqtt_publishes_denied_total')) > before)
      t.not((await pub.kill('SIGKILL')).code, 0, topic)
    }
    const versions = ['-V', 'mqttv5']
    const five = await mosquitto(t, server, 'pub', 'phone', [...versions, '-t', 'a', '-m', 'x'])
    t.not((await five.exited).code, 0)
    t.match(five.stderr, /protocol version/i)
    await push(server, 'witness', ['real'])
    t.same(await witness.exited, { code: 0, signal: null })
    t.same(lines(witness), ['inbox/witness real'])
  },
)

interface Library {
  readonly client: MqttClient
  /** What came: topic and payload, and `again` with DUP. */
  readonly got: string[]
  readonly sessionPresent: boolean
}

/** MQTT.js, its handlers there before the first packet. `acks` false: it never gets done with a message. */
async function library(
  t: Test,
  server: TestServer,
  url: string,
  device: string,
  { acks = true, clean = true }: { readonly acks?: boolean; readonly clean?: boolean } = {},
): Promise<Library> {
  const client = mqtt.connect(url, {
    clientId: device,
    username: device,
    password: await server.token(device),
    clean,
    reconnectPeriod: 0,
    protocolVersion: 4,
  })
  t.teardown(() => client.end(true))
  if (!acks) client.handleMessage = () => {}
  const got: string[] = []
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'publish')
      got.push(
        `${packet.topic} ${packet.payload.toString()}${packet.qos === 1 ? '' : ' wrong'}${packet.dup ? ' again' : ''}`,
      )
  })
  const connack = await new Promise<IConnackPacket>((resolve, reject) => {
    client.once('connect', resolve)
    client.once('error', reject)
  })
  return { client, got, sessionPresent: connack.sessionPresent }
}

for (const scheme of ['mqtt', 'ws'] as const) {
  void t.test(
    `foreign clients: MQTT.js over ${scheme}, clean or not, QoS 1 or 2, catches up and goes on`,
    async (t) => {
      const server = await TestServer.start(t)
      const url = scheme === 'ws' ? server.wsUrl : server.mqttUrl
      for (const clean of [true, false]) {
        for (const qos of [1, 2] as const) {
          const device = `phone-${String(clean)}-${qos}`
          const expected = texts(1, 200).map((text, i) => `inbox/${device}/${i + 1} ${text}`)
          await push(server, device, texts(1, 100))
          const first = await library(t, server, url, device, { clean })
          t.match(await first.client.subscribeAsync(`inbox/${device}/+`, { qos }), [{ qos: 1 }])
          for (let n = 101; n <= 150; n += 10) await push(server, device, texts(n, n + 9))
          await handled(t, server, device, 150)
          t.same(first.got, expected.slice(0, 150))
          await first.client.endAsync()

          await push(server, device, texts(151, 190))
          const second = await library(t, server, url, device, { clean })
          t.equal(second.sessionPresent, !clean)
          if (clean) await second.client.subscribeAsync(`inbox/${device}/+`, { qos })
          await push(server, device, texts(191, 200))
          await handled(t, server, device, 200)
          t.same(second.got, expected.slice(150))
          await second.client.endAsync()
        }
      }
    },
  )

  void t.test(`foreign clients: MQTT.js over ${scheme} gets again with DUP what it did not acknowledge`, async (t) => {
    const server = await TestServer.start(t)
    const url = scheme === 'ws' ? server.wsUrl : server.mqttUrl
    await push(server, 'phone', texts(1, 5))
    const first = await library(t, server, url, 'phone', { acks: false, clean: false })
    await first.client.subscribeAsync('inbox/phone', { qos: 1 })
    await sent(server, 'phone', 5)
    t.same(first.got, ['inbox/phone m1'], 'it takes one after the other, and is not done with the first')
    first.client.end(true)
    await until('it to be gone', async () => (await statusOf(server, 'phone'))['online'] === false)
    await push(server, 'phone', texts(6, 6))
    const second = await library(t, server, url, 'phone', { clean: false })
    await handled(t, server, 'phone', 6)
    t.same(second.got, [...texts(1, 5).map((text) => `inbox/phone ${text} again`), 'inbox/phone m6'])
  })
}

void t.test('foreign clients: a subscription kept by one client is used by another', needsMosquitto, async (t) => {
  const server = await TestServer.start(t)
  const first = await library(t, server, server.wsUrl, 'phone', { clean: false })
  await first.client.subscribeAsync('inbox/phone/+', { qos: 1 })
  await first.client.endAsync()
  await push(server, 'phone', texts(1, 3))
  const second = await mosquitto(t, server, 'sub', 'phone', ['-c', '-t', 'inbox/phone/+', '-q', '1'])
  await receives(t, server, second, 'phone', 3, 3)
  t.same(lines(second), ['inbox/phone/1 m1', 'inbox/phone/2 m2', 'inbox/phone/3 m3'])
})
