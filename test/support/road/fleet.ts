// Many devices of a test server, and what a test asks of all of them.

import type { Test } from 'tap'
import type { TestServer } from '../server.js'
import { RoadDevice, type RoadDeviceOptions } from './device.js'
import { isClean, type RoadLedger, type Verdict } from './ledger.js'
import { MqttjsDevice } from './mqttjs-device.js'
import { RoadProducer, type ProducerOptions } from './producer.js'
import { until } from './wait.js'

type Options = Omit<RoadDeviceOptions, 'device' | 'token' | 'port' | 'ledger'>

/** A device on a plain socket; it stops at the end of the test, and is not started yet. */
export async function roadDevice(
  t: Test,
  server: TestServer,
  ledger: RoadLedger,
  device: string,
  options: Options = {},
): Promise<RoadDevice> {
  const token = await server.token(device)
  const made = new RoadDevice({ ...options, device, token, ledger, port: () => server.ports.mqtt })
  t.teardown(() => made.stop(true))
  return made
}

/** An MQTT.js client; it connects at once and stops at the end of the test. */
export async function mqttjsDevice(
  t: Test,
  server: TestServer,
  ledger: RoadLedger,
  device: string,
  options: { readonly url?: string; readonly clean?: boolean; readonly qos?: 1 | 2 } = {},
): Promise<MqttjsDevice> {
  const made = new MqttjsDevice({ url: server.mqttUrl, ...options, device, ledger, token: await server.token(device) })
  t.teardown(() => made.client.end(true))
  return made
}

/** A producer for the server; it gives up at the end of the test, and is not started yet. */
export async function producerFor(
  t: Test,
  server: TestServer,
  ledger: RoadLedger,
  options: Omit<ProducerOptions, 'url' | 'apiKey' | 'ledger'>,
): Promise<RoadProducer> {
  const made = new RoadProducer({ ...options, url: () => server.url, apiKey: await server.apiKey(), ledger })
  t.teardown(() => made.abandon())
  return made
}

/** The status of a device as the API tells it. */
export async function statusOf(server: TestServer, device: string): Promise<Record<string, unknown>> {
  const { body } = await server.rest('GET', `/v1/devices/${device}`)
  return typeof body === 'object' && body !== null ? { ...body } : {}
}

/** Waits until everything that was accepted has arrived, or until no more comes; then judges. */
export async function untilArrived(ledger: RoadLedger, patienceMs = 20_000): Promise<Verdict> {
  let before = -1
  let quietSince = performance.now()
  await until(
    'arrivals to end',
    () => {
      const { accepted, arrived } = ledger.progress
      if (arrived !== before) quietSince = performance.now()
      before = arrived
      return arrived >= accepted || performance.now() - quietSince > patienceMs
    },
    600_000,
  )
  return ledger.verdict()
}

/** Asserts that nothing was lost, repeated, reordered or wrong. */
export function kept(t: Test, verdict: Verdict): void {
  const { accepted, delivered, repeats, unmarked, ...found } = verdict
  t.comment(`${accepted} accepted, ${delivered} delivered, ${repeats} came again as they may, ${unmarked} without DUP`)
  for (const [what, list] of Object.entries(found)) t.same(list.slice(0, 10), [], `${list.length} ${what}`)
  t.ok(isClean(verdict), 'the promise was kept')
}

/** Asserts that the store has nothing left for these devices, and what the ledger has as accepted as their heads. */
export async function drained(t: Test, server: TestServer, devices: readonly string[]): Promise<void> {
  const open = new Set(devices)
  await until('all acknowledgements to be stored', async () => {
    for (const device of open) {
      const { pending, cursor, head } = await statusOf(server, device)
      if (pending !== 0 || cursor !== head) return false
      open.delete(device)
    }
    return true
  }).catch(() => undefined)
  t.same([...open], [], 'every device has acknowledged all')
}
