// Devices of a broker that is killed, or hangs: their claims stay in the store, until the others find out.

import type { MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { statusOf } from '../road/fleet.js'
import { metric } from '../road/observe.js'
import { until } from '../road/wait.js'
import type { TestServer } from '../server.js'
import type { Receiver } from './receiver.js'
import { connectDevice, makeWebhook } from './scenario.js'

export interface DeadNodeStage {
  /** Takes pushes and sends webhooks. */
  readonly api: TestServer
  readonly survivor: TestServer
  readonly killed: TestServer
  readonly frozen: TestServer
  /** The metric of the claims that a process has ended. */
  readonly claimsEnded: string
  /** Resolves when nothing is kept of the dead nodes. */
  readonly nothingLeft: () => Promise<void>
}

/** A node that says nothing is dead after 20 s; the rest is for a machine with much to do. */
const PATIENCE_MS = 90_000

/** Acknowledges nothing, and does not come back by itself. */
async function connectStubborn(t: Test, broker: TestServer, id: string): Promise<MqttClient> {
  const client = await connectDevice(t, broker, id)
  client.handleMessage = () => undefined
  client.options.reconnectPeriod = 0
  return client
}

const push = (api: TestServer, device: string) => api.rest('POST', `/v1/devices/${device}/messages`, { payload: 'x' })

const toldOf = (receiver: Receiver, device: string) =>
  receiver.events.filter(({ type, data }) => type === 'device.offline_with_pending' && data['device'] === device)

export async function deadNodes(t: Test, stage: DeadNodeStage): Promise<void> {
  const { api, survivor, killed, frozen, claimsEnded } = stage
  const receiver = await makeWebhook(t, api)
  const clients = new Map<string, MqttClient>()
  for (const [id, broker] of [
    ['waits', killed],
    ['silent', killed],
    ['empty', killed],
    ['moves', killed],
    ['stuck', frozen],
    ['lives', survivor],
  ] as const) {
    clients.set(id, await connectStubborn(t, broker, id))
  }
  for (const id of ['waits', 'moves', 'stuck', 'lives']) await push(api, id)
  const sent = async (): Promise<number> =>
    (await Promise.all([survivor, killed, frozen].map((each) => metric(each, 'messages_sent_total')))).reduce(
      (a, b) => a + b,
      0,
    )
  await until('all to be sent', async () => (await sent()) === 4)
  t.strictSame(receiver.events, [])

  await killed.kill('SIGKILL')
  frozen.child.signal('SIGSTOP')
  const from = performance.now()
  await connectStubborn(t, survivor, 'moves')
  await push(api, 'silent')
  await push(api, 'stuck')
  await receiver.untilTaken('device.offline_with_pending', 3)
  t.comment(`told ${Math.round(performance.now() - from)} ms after the end of the node`)
  t.match(toldOf(receiver, 'waits'), [{ data: { pending: 1, seq: 1 } }])
  t.match(toldOf(receiver, 'silent'), [{ data: { pending: 1, seq: 1 } }])
  t.match(toldOf(receiver, 'stuck'), [{ data: { pending: 2, seq: 1 } }])
  const ended = async (): Promise<number> =>
    (await Promise.all([api, survivor].map((each) => metric(each, claimsEnded)))).reduce((a, b) => a + b, 0)
  await until('all claims of dead nodes to be ended', async () => (await ended()) === 4, PATIENCE_MS)
  await stage.nothingLeft()

  // The frozen one comes back, and is refused.
  const stuck = clients.get('stuck')
  if (stuck === undefined) throw new Error('it is there')
  const closed = new Promise<void>((resolve) => void stuck.once('close', () => resolve()))
  frozen.child.signal('SIGCONT')
  await closed
  t.equal(await metric(frozen, 'messages_sent_total'), 1, 'and nothing more was written to it')
  t.equal((await statusOf(api, 'stuck'))['online'], false)

  // Not again, until they have been there.
  for (const id of ['waits', 'silent', 'stuck', 'moves', 'lives']) await push(api, id)
  await push(api, 'empty')
  await receiver.untilTaken('device.offline_with_pending', 4)
  t.strictSame(receiver.events.map(({ data }) => String(data['device'])).toSorted(), [
    'empty',
    'silent',
    'stuck',
    'waits',
  ])
  const back = await connectDevice(t, frozen, 'stuck')
  await until('it to handle what waited', async () => (await statusOf(api, 'stuck'))['pending'] === 0)
  await back.endAsync()
  await until('it to be away', async () => (await statusOf(api, 'stuck'))['online'] === false)
  await push(api, 'stuck')
  await receiver.untilTaken('device.offline_with_pending', 5)
  t.match(toldOf(receiver, 'stuck')[1], { data: { pending: 1, seq: 4 } })
}
