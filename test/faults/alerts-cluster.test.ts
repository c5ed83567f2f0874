// The alerts of a cluster, each under the fault that it is for, and none of them in health: an API and two brokers on Redis, a
// Redis of its own for the bus, and a real Prometheus.

import t, { type Test } from 'tap'
import { ALERTS } from '../../grafana/rules/index.js'
import { type Cluster, startClusterOn } from '../support/cluster.js'
import { FACTOR, NODE_FAULTS, startAlarm, untilFired } from '../support/prometheus/alarm.js'
import type { TestPrometheus } from '../support/prometheus/server.js'
import { noPrometheus } from '../support/prometheus/tools.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis/server.js'
import { RoadDevice } from '../support/road/device.js'
import { kept, producerFor, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import type { RoadProducer } from '../support/road/producer.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { SdkDevice } from '../support/sdk/sdk-device.js'
import type { TestServer } from '../support/server.js'
import { makeWebhook, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

const DEVICES = 20
const RATE = 200
const skip = noPrometheus || noRedis

/** An hour of health in 15 minutes; the short form is a part of it. */
const HEALTH_FACTOR = 1 / 4
const HEALTH_MS = LONG ? 900_000 : 45_000

t.setTimeout(LONG ? 2_400_000 : 600_000)

interface World {
  readonly cluster: Cluster
  readonly bus: RedisServer
  readonly api: TestServer
  readonly brokers: readonly [TestServer, TestServer]
  readonly open: Set<TestServer>
  readonly ledger: RoadLedger
  readonly producer: RoadProducer
  readonly prometheus: TestPrometheus
}

async function startWorld(t: Test, factor: number, intervalMs?: number): Promise<World> {
  const cluster = await startClusterOn(t, ['--appendfsync', 'always'])
  const bus = await startRedis()
  t.teardown(() => bus.stop())
  const node = (...flags: string[]): Promise<TestServer> => cluster.node('--bus', bus.url, ...flags)
  const api = await node('--role', 'api', ...WEBHOOK_FLAGS)
  const brokers = [await node('--role', 'broker'), await node('--role', 'broker')] as const
  const prometheus = await startAlarm(t, factor, intervalMs)
  prometheus.scrape([api, ...brokers].map(({ adminUrl }) => adminUrl))
  const ledger = new RoadLedger()
  const names = Array.from({ length: DEVICES }, (_, i) => `device-${i}`)
  const open = new Set<TestServer>(brokers)
  let turn = 0
  await Promise.all(
    names.map(async (device) => {
      const port = (): number => [...open][turn++ % open.size]?.ports.mqtt ?? 0
      const made = new RoadDevice({ device, token: await api.token(device), ledger, port })
      t.teardown(() => made.stop(true))
      return made.start().untilReady()
    }),
  )
  const producer = (await producerFor(t, api, ledger, { devices: names, rate: RATE, batch: 10 })).start()
  await until(
    'the nodes to be scraped',
    async () => (await prometheus.query('postrider_build_info')).length === 3,
    60_000,
  )
  return { cluster, bus, api, brokers, open, ledger, producer, prometheus }
}

/** Waits until these alerts have fired; `meanwhile` keeps the fault up. */
type Expect = (names: readonly string[], meanwhile?: () => Promise<void>) => Promise<void>

interface Fault {
  readonly what: string
  readonly alerts: readonly string[]
  readonly run: (t: Test, world: World, expect: Expect) => Promise<void>
}

const IN_ONE_CLUSTER: readonly Fault[] = [
  {
    what: 'the Redis of the bus hangs',
    alerts: ['PostriderNoticesLost', 'PostriderDeliverySlow', 'PostriderDeliveryBudgetBurns'],
    async run(_t, { bus }, expect) {
      bus.signal('SIGSTOP')
      await expect(this.alerts).finally(() => bus.signal('SIGCONT'))
    },
  },
  {
    what: 'somebody switches the append-only file off',
    alerts: ['PostriderRedisNotPersisting'],
    async run(_t, { cluster: { redis } }, expect) {
      await redis.admin.config('SET', 'appendonly', 'no')
      await expect(this.alerts)
      await redis.admin.config('SET', 'appendonly', 'yes')
    },
  },
  {
    what: 'a broker does not come to the end of its drain',
    alerts: ['PostriderDrainStuck'],
    async run(_t, { brokers: [, victim], open, ledger }, expect) {
      open.delete(victim)
      await victim.stop()
      await victim.restart({ flags: [...victim.flags, '--drain-delay', '60s', '--drain-deadline', '120s'] })
      ledger.cut()
      victim.child.signal('SIGTERM')
      await expect(this.alerts)
      await victim.kill('SIGKILL')
    },
  },
]
const IN_ANOTHER: readonly Fault[] = [
  {
    what: 'the Redis of the store hangs',
    alerts: ['PostriderStoreUnreachable', 'PostriderNodeNotReady', 'PostriderPushesFail', 'PostriderPushBudgetBurns'],
    async run(_t, { cluster, ledger }, expect) {
      ledger.cut()
      cluster.redis.signal('SIGSTOP')
      await expect(this.alerts).finally(() => cluster.redis.signal('SIGCONT'))
    },
  },
  {
    what: 'Redis has little memory left',
    alerts: ['PostriderRedisMemoryHigh'],
    async run(_t, { cluster: { redis } }, expect) {
      // Again and again: what it uses falls when it has just had much to catch up with.
      await expect(this.alerts, async () => {
        const used = Number(/used_memory:(\d+)/.exec(await redis.admin.info('memory'))?.[1] ?? 0)
        await redis.admin.config('SET', 'maxmemory', String(Math.round(used * 1.12)))
      })
      await redis.admin.config('SET', 'maxmemory', '0')
    },
  },
  {
    what: 'a broker is killed',
    alerts: ['PostriderNodeDown'],
    async run(_t, { brokers: [victim], open, ledger }, expect) {
      open.delete(victim)
      ledger.cut()
      await victim.kill('SIGKILL')
      await expect(this.alerts)
      await victim.restart()
      open.add(victim)
    },
  },
]

// They wait for their alerts most of the time.
t.jobs = 3
for (const [where, faults] of Object.entries({ 'a cluster': IN_ONE_CLUSTER, 'another cluster': IN_ANOTHER })) {
  t.test(`alerts: each fires under its fault in ${where}`, { skip }, async (t) => {
    const world = await startWorld(t, FACTOR)
    for (const fault of faults) {
      await t.test(`alerts: ${fault.what}`, async (t) => {
        await fault.run(t, world, (names, meanwhile) => untilFired(t, world.prometheus, names, meanwhile))
      })
    }
    await world.producer.stop()
    kept(t, await untilArrived(world.ledger))
  })
}

t.test('alerts: a store that comes back with less than it had', { skip }, async (t) => {
  const cluster = await startClusterOn(t)
  const server = await cluster.node()
  const prometheus = await startAlarm(t)
  prometheus.scrape([server.adminUrl])
  const device = 'remembers'
  const sdk = new SdkDevice(t, { urls: [server.mqttUrl], deviceId: device, token: await server.token(device) })
  const push = (): Promise<unknown> => server.rest('POST', `/v1/devices/${device}/messages`, { payload: 'x' })
  for (let i = 0; i < 3; i++) await push()
  await until('the messages to be handled', () => sdk.handled.length === 3)
  await until(
    'the node to be scraped',
    async () => (await prometheus.query('postrider_hellos_total')).length > 0,
    60_000,
  )
  await cluster.redis.admin.flushall()
  await untilFired(t, prometheus, ['PostriderDataLost'], async () => {
    if (sdk.resets.length === 0) await push()
  })
  t.ok(sdk.resets.length > 0, 'the device was told, too')
})

// By itself: it shall be the product that is well, on a machine that has time for it.
t.test('alerts: none fires in health, with a rolling restart in it', { skip, buffered: false }, async (t) => {
  const { api, brokers, open, ledger, producer, prometheus } = await startWorld(t, HEALTH_FACTOR, 1_000)
  // A backend that takes its events: of devices that are between two nodes, and of one that is never there.
  const receiver = await makeWebhook(t, api)
  await api.rest('POST', '/v1/devices/never-there/messages', { payload: 'x', ttl: 1 })
  const from = performance.now()
  await pause(HEALTH_MS / 3)
  for (const broker of brokers) {
    open.delete(broker)
    ledger.cut()
    await broker.stop()
    await broker.restart()
    open.add(broker)
    await pause(HEALTH_MS / 10)
  }
  await api.stop()
  await api.restart()
  await pause(Math.max(0, HEALTH_MS - (performance.now() - from)))
  t.same([...(await prometheus.fired((performance.now() - from) / 1000 + 5))], [])
  const rules = await prometheus.query('prometheus_rule_evaluation_failures_total')
  t.same(rules, [], 'Prometheus does not scrape itself: what failed is not hidden here')
  await receiver.untilTaken('device.offline_with_pending', 1)
  await producer.stop()
  kept(t, await untilArrived(ledger))
})

t.test('alerts: every alert has a fault', async (t) => {
  const here = new Set([...IN_ONE_CLUSTER, ...IN_ANOTHER].flatMap(({ alerts }) => alerts))
  const elsewhere = ['PostriderDataLost', ...NODE_FAULTS]
  t.same([...here, ...elsewhere].toSorted(), ALERTS.map(({ name }) => name).toSorted())
})
