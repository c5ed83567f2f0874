// The server is asked to stop, or frozen, while it works: nothing is lost, and what was handled is not sent again.

import t, { type Test } from 'tap'
import type { RoadDevice } from '../support/road/device.js'
import { drained, kept, mqttjsDevice, producerFor, roadDevice, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import type { MqttjsDevice } from '../support/road/mqttjs-device.js'
import type { RoadProducer } from '../support/road/producer.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { troublesIn } from '../support/server-log.js'
import { TestServer } from '../support/server.js'

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

interface Road {
  readonly server: TestServer
  readonly ledger: RoadLedger
  readonly plain: readonly RoadDevice[]
  readonly online: ReadonlyArray<RoadDevice | MqttjsDevice>
  readonly ids: readonly string[]
  readonly producer: RoadProducer
  readonly allReady: () => Promise<void>
}

/** A server with devices of every kind, all connected, and a producer that has begun. */
async function busyRoad(t: Test): Promise<Road> {
  const server = await TestServer.start(t, { flags: ['--inbox-max', '50000'] })
  // In good order only what was not read yet gets lost, however late the acknowledgements would have been stored.
  const ledger = new RoadLedger({ graceMs: 200 })
  const count = LONG ? 100 : 20
  const plain = await Promise.all([
    ...names('prompt', count).map((id) => roadDevice(t, server, ledger, id)),
    ...names('remembered', 5).map((id) => roadDevice(t, server, ledger, id, { clean: false })),
    ...names('slow', 5).map((id) => roadDevice(t, server, ledger, id, { ackDelayMs: 100 })),
  ])
  for (const device of plain) device.start()
  const libraries = await Promise.all([
    ...names('mqttjs', 3).map((id) => mqttjsDevice(t, server, ledger, id)),
    ...names('mqttjs-ws', 3).map((id) => mqttjsDevice(t, server, ledger, id, { url: server.wsUrl, clean: false })),
  ])
  const online = [...plain, ...libraries]
  const ids = online.map(({ device }) => device)
  const producer = await producerFor(t, server, ledger, {
    devices: ids,
    lanes: 3,
    batch: 30,
    rate: 1_500,
  })
  const allReady = (): Promise<void> =>
    until(
      'all devices to be connected',
      () => online.every(({ ready }) => ready),
      20_000,
      () => `missing: ${online.flatMap(({ ready, device }) => (ready ? [] : [device])).join()}`,
    )
  await allReady()
  producer.start()
  await until('deliveries', () => ledger.progress.arrived > 300)
  return { server, ledger, plain, online, ids, producer, allReady }
}

void t.test('drain: SIGTERM under load ends with 0 in time, and nothing is lost over the restart', async (t) => {
  const { server, ledger, plain, ids, producer, allReady } = await busyRoad(t)
  for (let round = 1; round <= (LONG ? 10 : 3); round++) {
    const before = ledger.progress.arrived
    await until('deliveries to go on', () => ledger.progress.arrived > before + 200)
    // What a device acknowledged when its connection had been closed already may come again; nothing else.
    ledger.cut()
    const from = performance.now()
    t.same(await server.stop(), { code: 0, signal: null }, 'exit code 0')
    const took = performance.now() - from
    t.ok(took < 20_000, `within the deadline: ${Math.round(took)} ms`)
    t.match(server.child.stderr, '"clean":true')
    t.same(troublesIn(server.child.stderr), [], 'no error is logged')
    await server.restart()
    await allReady()
  }
  await producer.stop()
  const verdict = await untilArrived(ledger)
  kept(t, verdict)
  t.equal(verdict.unmarked, 0, 'what was on the wire is remembered, and comes again with DUP')
  await drained(t, server, ids)
  t.ok(
    plain.every(({ refusals }) => [...refusals.keys()].every((code) => code === 3)),
    'refused as draining, if at all',
  )
})

void t.test('drain: frozen for 3 s and thawed, nothing is lost, repeated or reordered', async (t) => {
  const { server, ledger, online, ids, producer } = await busyRoad(t)
  for (let round = 1; round <= (LONG ? 5 : 1); round++) {
    const before = ledger.progress
    process.kill(server.pid, 'SIGSTOP')
    await pause(3_100)
    t.ok(ledger.progress.accepted - before.accepted < 600, 'it was frozen')
    process.kill(server.pid, 'SIGCONT')
    await until('deliveries to go on', () => ledger.progress.arrived > before.accepted + 300)
  }
  await producer.stop()
  // No cut: whatever was acknowledged must not come again, at whatever moment.
  kept(t, await untilArrived(ledger))
  await drained(t, server, ids)
  t.ok(
    online.every(({ connections }) => connections === 1),
    'no device had to come back',
  )
  t.equal(await metric(server, 'sweep_errors_total'), 0)
})
