// Devices that handle messages and send uplink, while the receiver of their events is down, slow and failing, and the node that
// sends is killed.

import mqtt, { type MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { until } from '../road/wait.js'
import type { TestServer } from '../server.js'
import { Receiver } from './receiver.js'

export const WEBHOOK_FLAGS = ['--webhook-http', '--webhook-networks', 'loopback'] as const
export const ALL_EVENTS = [
  'device.offline_with_pending',
  'message.handled',
  'message.expired',
  'message.overflow',
  'uplink',
] as const

const LONG = process.env['CI_LONG'] === '1'
const DOWN_MS = LONG ? 60_000 : 4_000
const DEVICES = ['phone-1', 'phone-2', 'phone-3', 'phone-4']

export interface Stage {
  /** Takes pushes. */
  readonly api: TestServer
  /** Serves devices. */
  readonly broker: TestServer
  /** Kills the node that sends; resolves when somebody can send again. */
  readonly killSender: () => Promise<void>
}

export async function makeWebhook(t: Test, api: TestServer): Promise<Receiver> {
  const receiver = await Receiver.start(t)
  const { status, body } = await api.rest('PUT', '/v1/webhooks/backend', { url: receiver.url, events: ALL_EVENTS })
  t.equal(status, 201)
  const secret = typeof body === 'object' && body !== null && 'secret' in body ? body.secret : null
  receiver.secrets.push(String(secret))
  return receiver
}

/** A device that acknowledges whatever comes, and comes back by itself. */
export async function connectDevice(t: Test, broker: TestServer, id: string): Promise<MqttClient> {
  const client = mqtt.connect(broker.mqttUrl, {
    clientId: id,
    username: id,
    password: await broker.token(id),
    clean: false,
    reconnectPeriod: 300,
  })
  client.on('error', () => undefined) // it tries again
  t.teardown(() => client.endAsync(true))
  await new Promise<void>((resolve) => void client.once('connect', () => resolve()))
  await client.subscribeAsync(`inbox/${id}`, { qos: 1 })
  return client
}

/** Pushes until it is accepted; the dedup id makes one message of it. */
async function push(api: TestServer, device: string, n: number): Promise<void> {
  await until(`the push ${n} to ${device}`, async () => {
    const body = { payload: `m${n}`, receipt: true, dedupId: `id-${n}` }
    const status = await api.rest('POST', `/v1/devices/${device}/messages`, body).then(
      (answer) => answer.status,
      () => 0,
    )
    return status === 202 || status === 200
  })
}

export async function runScenario(t: Test, { api, broker, killSender }: Stage): Promise<void> {
  const receiver = await makeWebhook(t, api)
  const clients = await Promise.all(DEVICES.map((id) => connectDevice(t, broker, id)))
  let pushed = 0
  const pushAll = async (count: number): Promise<void> => {
    for (const last = pushed + count; pushed < last;) {
      pushed++
      const n = pushed
      await Promise.all(DEVICES.map((device) => push(api, device, n)))
    }
  }
  await pushAll(3)
  await receiver.untilTaken('message.handled', 3 * DEVICES.length)

  await receiver.down()
  const downAt = performance.now()
  await pushAll(10)
  await Promise.all(
    clients.map(async (client, i) => {
      for (let n = 1; n <= 5; n++) await client.publishAsync(`uplink/${DEVICES[i]}/t`, `u${n}`, { qos: 1 })
    }),
  )
  await push(api, 'asleep', 1)
  await push(api, 'asleep', 2)
  await until('the receiver to have been down long enough', () => performance.now() - downAt > DOWN_MS, 2 * DOWN_MS)

  receiver.behave = () => ({ status: 200, delayMs: 150 })
  await receiver.up()
  await receiver.untilTaken('message.handled', 5 * DEVICES.length)
  await killSender()
  await receiver.untilTaken('message.handled', 13 * DEVICES.length)

  receiver.behave = (attempt) => ({ status: attempt % 3 === 0 ? 500 : 204 })
  await pushAll(10)
  await receiver.untilTaken('message.handled', pushed * DEVICES.length)
  await receiver.untilTaken('uplink', 5 * DEVICES.length)
  await receiver.untilTaken('device.offline_with_pending', 1)

  const { attempts, taken, events } = receiver
  t.comment(`${attempts} attempts, ${taken.length} of them taken: ${events.length} events`)
  t.strictSame(receiver.refusals, [], 'every signature verifies')
  for (const device of DEVICES) {
    const own = receiver.events.filter(({ data }) => data['device'] === device)
    const seqs = own.filter(({ type }) => type === 'message.handled').map(({ data }) => data['seq'])
    t.strictSame(
      seqs,
      Array.from({ length: pushed }, (_, i) => i + 1),
      `${device}: each message, in order`,
    )
    const uplinks = own.filter(({ type }) => type === 'uplink').map(({ data }) => data['payload'])
    t.strictSame(uplinks, ['u1', 'u2', 'u3', 'u4', 'u5'], `${device}: each uplink, in order`)
  }
  const asleep = receiver.events.filter(({ data }) => data['device'] === 'asleep')
  t.match(asleep, [{ type: 'device.offline_with_pending', data: { pending: 1, seq: 1 } }], 'told once')
  t.equal(asleep.length, 1)
}
