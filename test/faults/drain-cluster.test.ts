// One of two brokers on one Redis is asked to stop, under load: its devices go to the other one at the pace that was set, idle
// ones first, and nothing is lost, repeated or reordered on the way.

import t, { type Test } from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { RoadDevice, type RoadDeviceOptions } from '../support/road/device.js'
import { drained, kept, producerFor, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { Latencies, metric } from '../support/road/observe.js'
import { readMark } from '../support/road/payload.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { SdkDevice } from '../support/sdk/sdk-device.js'
import { troublesIn } from '../support/server-log.js'
import type { TestServer } from '../support/server.js'

const skip = { skip: noRedis }

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

const PLAIN = LONG ? 1_000 : 160
const IDLE = LONG ? 500 : 80
const SDK = LONG ? 200 : 60
const RATE = LONG ? 250 : 60

if (LONG) t.setTimeout(600_000)

/** When a connection of an SDK device ended, and when it was live again. */
interface Outage {
  readonly from: number
  to: number | null
}

/** An SDK device that tells the ledger what its handler saw. */
async function sdkDevice(t: Test, servers: readonly TestServer[], ledger: RoadLedger, device: string) {
  const outages: Outage[] = []
  const [server] = servers
  if (server === undefined) throw new RangeError('no server')
  // The handler has one life, whatever becomes of connections: what it sees twice was repeated.
  const notes = ledger.connected(device)
  const made = new SdkDevice(
    t,
    { urls: servers.map(({ mqttUrl }) => mqttUrl), deviceId: device, token: await server.token(device) },
    (message) => notes.arrived(readMark(message.text()).number, message.seq, false),
  )
  made.client.on('state', ({ state }) => {
    const last = outages.at(-1)
    if (state === 'waiting') outages.push({ from: performance.now(), to: null })
    else if (state === 'live' && last?.to === null) last.to = performance.now()
  })
  return { made, outages }
}

t.test(
  'drain: a broker under load hands its devices over, paced and idle first, with nothing lost',
  skip,
  async (t) => {
    const { node } = await startClusterOn(t)
    const api = await node('--role', 'api', '--inbox-max', '50000')
    const flags = ['--role', 'broker', '--inbox-max', '50000', '--drain-delay', '3s', '--drain-rate', `${RATE}/s`]
    const leaving = await node(...flags)
    const staying = await node(...flags)
    const nodes = [leaving, staying] as const
    // No cut is noted: whatever a device acknowledged must not come again.
    const ledger = new RoadLedger()
    let first = 0
    const plain = async (device: string, options: Partial<RoadDeviceOptions> = {}): Promise<RoadDevice> => {
      // As behind a load balancer that has not noticed: half of what comes back is sent to the node that leaves.
      let turn = first++
      const token = await api.token(device)
      const made = new RoadDevice({
        ledger,
        ...options,
        device,
        token,
        port: () => nodes[turn++ % 2 === 0 ? 0 : 1].ports.mqtt,
      })
      t.teardown(() => made.stop(true))
      return made.start().untilReady()
    }
    const busy = await Promise.all(names('busy', PLAIN).map((id, i) => plain(id, { ackDelayMs: i % 4 === 0 ? 60 : 0 })))
    const idle = await Promise.all(names('idle', IDLE).map((id) => plain(id)))
    // Something is always in flight to these, and never acknowledged before the end.
    const stuck = await Promise.all(
      names('stuck', 6).map((id) => plain(id, { ackDelayMs: null, ledger: new RoadLedger() })),
    )
    const clients = await Promise.all(
      names('sdk', SDK).map((id, i) => sdkDevice(t, i % 2 === 0 ? nodes : nodes.toReversed(), ledger, id)),
    )
    await Promise.all(clients.map(({ made }) => made.is('live')))
    for (const { device } of stuck) await api.rest('POST', `/v1/devices/${device}/messages`, { payload: '1 0 ' })
    await until('the stuck ones to have one', () => stuck.every(({ received }) => received > 0))

    const fed = [...names('busy', PLAIN), ...names('sdk', SDK)]
    const producer = await producerFor(t, api, ledger, { devices: fed, lanes: 3, batch: 20, rate: LONG ? 2_000 : 600 })
    producer.start()
    await until('deliveries', () => ledger.progress.arrived > 600)
    const here = await metric(leaving, 'connections')
    t.ok(here > (PLAIN + IDLE + SDK) * 0.4, `${here} devices on the node that leaves`)

    const from = performance.now()
    const ended = leaving.child.exited
    leaving.child.signal('SIGTERM')
    await until('the node to say so', async () => (await fetch(`${leaving.adminUrl}/readyz`)).status === 503)
    const ready = await fetch(`${leaving.adminUrl}/readyz`, { headers: { accept: 'application/json' } })
    t.match(await ready.json(), { status: 'not_ready', holds: ['draining'] })
    t.equal(await metric(leaving, 'drain_state'), 1, 'announced')
    t.equal(await metric(leaving, 'connections'), here, 'and still serving')
    await until('it to let go', async () => (await metric(leaving, 'drain_state')) === 2)
    const counted = new Map<string, number>()
    const count = async (): Promise<void> => {
      for (const which of ['idle', 'busy', 'rest'])
        counted.set(which, await metric(leaving, 'drain_connections_total', `="${which}"`))
    }
    while (leaving.child.status === null) {
      await count().catch(() => undefined) // it ends at some time
      await pause(20)
    }
    t.same(await ended, { code: 0, signal: null }, 'exit code 0')
    const tookMs = performance.now() - from
    t.ok(tookMs < 25_000, `within the deadline: ${Math.round(tookMs)} ms`)
    t.same(troublesIn(leaving.child.stderr), [])
    await until('all to be back', () => [...busy, ...idle, ...stuck].every((device) => device.ready), 30_000)
    await Promise.all(clients.map(({ made }) => made.is('live')))
    await producer.stop()

    const moved = (devices: readonly RoadDevice[]) => devices.filter(({ ends }) => ends > 0)
    const times = (devices: readonly RoadDevice[]): number[] =>
      moved(devices)
        .map(({ endedAt }) => endedAt)
        .toSorted((a, b) => a - b)
    const lastIdle = times(idle).at(-1) ?? Infinity
    const firstStuck = times(stuck)[0] ?? 0
    t.ok(lastIdle < firstStuck, 'idle ones go before those with something in flight')
    const sdkEnds = clients.flatMap(({ outages }) => outages.map(({ from: at }) => at))
    const paced = [...times(idle), ...times(busy), ...sdkEnds].toSorted((a, b) => a - b)
    t.equal(paced.length + moved(stuck).length, here, 'each of its devices moved once')
    const tenth = Math.floor(paced.length / 10)
    const [begin = 0, end = 0] = [paced[tenth], paced[paced.length - 1 - tenth]]
    const perSecond = ((paced.length - 2 * tenth - 1) / (end - begin)) * 1_000
    // Never faster; slower only on a machine that does not let the process run.
    t.ok(
      perSecond / RATE < 1.2 && perSecond / RATE > (LONG ? 0.8 : 0.4),
      `${perSecond.toFixed(0)} connections/s of ${RATE} set`,
    )
    t.comment(`${here} connections, ended as ${JSON.stringify(Object.fromEntries(counted))} when it was last asked`)
    t.ok((counted.get('idle') ?? 0) > here / 2)

    const plainOutages = new Latencies()
    for (const { endedAt, readyAt } of moved([...busy, ...idle])) plainOutages.add(readyAt - endedAt)
    const sdkOutages = new Latencies()
    for (const { outages } of clients) for (const { from: at, to } of outages) sdkOutages.add((to ?? Infinity) - at)
    const said = (name: string, l: ReturnType<Latencies['take']>): string =>
      `${name}: ${l.count} moved, away p50 ${l.p50.toFixed(0)} ms, p99 ${l.p99.toFixed(0)} ms, at most ${l.max.toFixed(0)} ms`
    const sdk = sdkOutages.take()
    t.comment(said('plain', plainOutages.take()))
    t.comment(said('SDK', sdk))
    t.ok(sdk.p99 < 15_000, 'SDK devices are back at once')
    t.ok(
      clients.every(({ outages }) => outages.length <= 1),
      'and did not need a second try',
    )
    const verdict = await untilArrived(ledger)
    kept(t, verdict)
    t.equal(verdict.repeats, 0, 'not even a plain device got anything twice')
    await drained(t, api, fed)
  },
)
