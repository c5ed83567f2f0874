// Uplink on the whole road: clients that others wrote publish, the backend reads it by REST.

import { spawnSync } from 'node:child_process'
import mqtt from 'mqtt'
import t, { type Test } from 'tap'
import { Child } from '../support/child.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const hasMosquitto = spawnSync('mosquitto_pub', ['--help']).error === undefined
const needsMosquitto = { skip: hasMosquitto ? false : 'mosquitto_pub is not installed (Debian: mosquitto-clients)' }

interface Entry {
  readonly device: string
  readonly channel: string
  readonly will: boolean
  readonly contentType: string | null
  readonly payload?: unknown
  readonly payloadBase64?: unknown
}

async function log(server: TestServer): Promise<readonly Entry[]> {
  const { status, body } = await server.rest('GET', '/v1/uplink?limit=1000')
  const list: unknown = typeof body === 'object' && body !== null && 'uplink' in body ? body.uplink : null
  if (status !== 200 || !Array.isArray(list)) throw new Error(`${status} ${JSON.stringify(body)}`)
  return list
}

const payloads = async (server: TestServer): Promise<unknown[]> => (await log(server)).map(({ payload }) => payload)

/** mosquitto_pub as the device. */
async function publish(
  t: Test,
  server: TestServer,
  device: string,
  args: readonly string[],
  input?: string,
): Promise<Child> {
  const who = ['-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', device, '-u', device]
  const options = input === undefined ? {} : { input }
  return new Child(t, 'mosquitto_pub', [...who, '-P', await server.token(device), ...args], options)
}

const DONE = { code: 0, signal: null }
const lines = (count: number): string[] => Array.from({ length: count }, (_, i) => `line ${i + 1}`)

void t.test(
  'road uplink: mosquitto_pub is answered when it is stored, and the backend reads it',
  needsMosquitto,
  async (t) => {
    const server = await TestServer.start(t)
    const topic = 'uplink/phone-1/temperature/kitchen'
    const one = await publish(t, server, 'phone-1', ['-t', topic, '-q', '1', '-m', '21.5'])
    t.same(await one.exited, DONE)
    t.match(await log(server), [
      { device: 'phone-1', channel: 'temperature/kitchen', will: false, contentType: null, payload: '21.5' },
    ])
    const many = await publish(t, server, 'phone-1', ['-t', topic, '-q', '1', '-l'], `${lines(300).join('\n')}\n`)
    t.same(await many.exited, DONE)
    t.same(await payloads(server), ['21.5', ...lines(300)], 'in order')
    const tossed = await publish(t, server, 'phone-1', ['-t', topic, '-q', '0', '-r', '-m', 'tossed'])
    t.same(await tossed.exited, DONE)
    await until('QoS 0 to be stored', async () => (await payloads(server)).at(-1) === 'tossed')
    t.equal(await metric(server, 'uplink_stored_total'), 302)
    t.equal(await metric(server, 'uplink_kept'), 302)
  },
)

void t.test(
  'road uplink: mosquitto_pub with QoS 2, or to the uplink of another, is closed',
  needsMosquitto,
  async (t) => {
    const server = await TestServer.start(t)
    for (const [denial, ...args] of [
      ['qos_2', '-t', 'uplink/phone-1/c', '-q', '2'],
      ['foreign', '-t', 'uplink/phone-2/c', '-q', '1'],
    ] as const) {
      const denied = await publish(t, server, 'phone-1', [...args, '-m', 'x'])
      await until(
        `${denial} to be counted`,
        async () => (await metric(server, 'mqtt_publishes_denied_total', denial)) > 0,
      )
      await denied.kill('SIGKILL')
    }
    t.same(await log(server), [])
  },
)

void t.test('road uplink: the will of a client that is killed is stored', needsMosquitto, async (t) => {
  const server = await TestServer.start(t)
  const will = ['--will-topic', 'uplink/phone-1/state', '--will-payload', 'gone', '--will-qos', '1', '--will-retain']
  const who = ['-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', 'phone-1', '-u', 'phone-1']
  const inbox = ['-P', await server.token('phone-1'), '-t', 'inbox/phone-1', '-q', '1']
  const sub = new Child(t, 'mosquitto_sub', [...who, ...inbox, ...will])
  await until('it to be connected', async () => (await metric(server, 'mqtt_subscribes_granted_total')) === 1)
  await sub.kill('SIGKILL')
  await until('the will', async () => (await log(server)).length > 0)
  t.match(await log(server), [{ device: 'phone-1', channel: 'state', will: true, payload: 'gone' }])
})

void t.test('road uplink: MQTT.js, many at a time, over TCP and WebSocket', async (t) => {
  const server = await TestServer.start(t, { flags: ['--publish-rate-per-device', 'off'] })
  for (const [device, url] of [
    ['tcp', server.mqttUrl],
    ['ws', server.wsUrl],
  ] as const) {
    const client = await mqtt.connectAsync(url, {
      clientId: device,
      username: device,
      password: await server.token(device),
      protocolVersion: 4,
    })
    t.teardown(() => client.end(true))
    await Promise.all(lines(200).map((line) => client.publishAsync(`uplink/${device}/c`, line, { qos: 1 })))
    await client.endAsync()
    const mine = (await log(server)).filter((entry) => entry.device === device)
    t.same(
      mine.map(({ payload }) => payload),
      lines(200),
      device,
    )
  }
})
