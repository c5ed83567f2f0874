// Every query of every panel, asked of a real Prometheus that watches real nodes under load: two brokers and an API on Redis,
// and beside them a node on its embedded store and, where there is one, another on a MongoDB.

import { randomBytes } from 'node:crypto'
import type { Packet } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { DASHBOARDS } from '../../grafana/dashboards/index.js'
import type { Panel } from '../../grafana/lib/panel.js'
import { startClusterOn } from '../support/cluster.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { TestPrometheus } from '../support/prometheus/server.js'
import { noPrometheus } from '../support/prometheus/tools.js'
import { noRedis } from '../support/redis/server.js'
import { producerFor, roadDevice } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

const DEVICES = 12
const RATE = 200

/** As Grafana would fill them in for somebody who looks at the last minutes. */
const filled = (expr: string): string =>
  expr.replaceAll('$job', 'postrider').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '10s')

const panels = DASHBOARDS.flatMap(({ title, sections }) =>
  sections.flatMap((section) => section.panels.map((panel) => ({ name: `${title} / ${panel.title}`, panel }))),
)

/** A node on a database of its own, which is dropped with the test. */
async function nodeOnMongo(t: Test): Promise<TestServer> {
  const mongo = await startMongo()
  const name = `postrider_test_${randomBytes(4).toString('hex')}`
  t.teardown(async () => {
    await mongo.admin.db(name).dropDatabase()
    await mongo.stop()
  })
  const env = {
    POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
    POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
  }
  return TestServer.start(t, { flags: ['--store', mongo.url(name)], env })
}

const uplink = (messageId: number): Packet => ({
  cmd: 'publish',
  topic: 'uplink/lone/bulk',
  payload: Buffer.alloc(40_000, 'y'),
  qos: 1,
  messageId,
  dup: false,
  retain: false,
})

async function answers(prometheus: TestPrometheus, panel: Panel): Promise<readonly boolean[]> {
  return Promise.all(
    panel.queries.map(async ({ expr }) => {
      const samples = await prometheus.query(filled(expr))
      return samples.some(({ value }) => Number.isFinite(value))
    }),
  )
}

t.test(
  'panels: each query has data under load, or when that fails which it shows',
  { skip: noPrometheus || noRedis },
  async (t) => {
    t.setTimeout(400_000)
    const cluster = await startClusterOn(t, ['--maxmemory', '512mb'])
    const api = await cluster.node('--role', 'api')
    const brokers = [await cluster.node('--role', 'broker'), await cluster.node('--role', 'broker')] as const
    const single = await TestServer.start(t, { flags: ['--uplink-max-per-device', '128KiB', ...WEBHOOK_FLAGS] })
    const prometheus = await TestPrometheus.start(t, t.testdir({}), { intervalMs: 1_000 })
    const onMongo = noMongo === false ? [await nodeOnMongo(t)] : []
    prometheus.scrape([api, ...brokers, single, ...onMongo].map(({ adminUrl }) => adminUrl))

    const ledger = new RoadLedger()
    const names = Array.from({ length: DEVICES }, (_, i) => `device-${i}`)
    const devices = await Promise.all(
      names.map(async (name, i) => {
        const device = await roadDevice(t, brokers[i % 2] ?? brokers[0], ledger, name)
        return device.start().untilReady()
      }),
    )
    const producer = (await producerFor(t, api, ledger, { devices: names, rate: RATE, batch: 10 })).start()
    const besides = new RoadLedger()
    const lone = (await roadDevice(t, single, besides, 'lone')).start()
    await lone.untilReady()
    const second = (await producerFor(t, single, besides, { devices: ['lone'], rate: 50, batch: 5 })).start()

    const there = panels.filter(({ panel }) => panel.needs === undefined || onMongo.length > 0)
    if (there.length < panels.length) t.pass('panels that need MongoDB', { skip: noMongo || 'there is none' })
    const waiting = new Map(
      there.filter(({ panel }) => panel.onlyWhen === undefined).map(({ name, panel }) => [name, panel]),
    )
    const patient = until(
      'every panel to have data',
      async () => {
        for (const [name, panel] of waiting) {
          if ((await answers(prometheus, panel)).every(Boolean)) waiting.delete(name)
        }
        return waiting.size === 0
      },
      120_000,
    )
    await patient.catch(() => undefined)
    t.same([...waiting.keys()], [], 'panels without data in health')

    // Nobody listens there.
    const nobody = { url: 'http://127.0.0.1:1/hook', events: ['uplink'] }
    t.equal((await single.rest('PUT', '/v1/webhooks/nobody', nobody)).status, 201)
    // What fails: a receiver that is not there, bad requests, connections that end, uplinks that nobody reads, a store that hangs.
    const failing = new Map(
      there.filter(({ panel }) => panel.onlyWhen !== undefined).map(({ name, panel }) => [name, panel]),
    )
    t.ok(failing.size > 0)
    let frozen = false
    let packetId = 100
    const failed = until(
      'every panel of failures to have data',
      async () => {
        await api.rest('POST', '/v1/devices/device-0/messages', { nothing: 1 })
        await single.rest('POST', '/v1/messages', { messages: [{ device: '..', payload: 'x' }] })
        if (lone.ready) lone.send(uplink(packetId++))
        devices[0]?.send({ cmd: 'disconnect' })
        if (!frozen) cluster.redis.signal('SIGSTOP')
        frozen = true
        for (const [name, panel] of failing) {
          if ((await answers(prometheus, panel)).every(Boolean)) failing.delete(name)
        }
        return failing.size === 0
      },
      90_000,
    )
    await failed.catch(() => undefined)
    cluster.redis.signal('SIGCONT')
    t.same([...failing.keys()], [], 'panels without data when that fails which they show')

    await producer.stop()
    await second.stop()
  },
)
