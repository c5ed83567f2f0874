// The metrics of real nodes, as Prometheus scrapes them, against the table that the page is made of.

import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { METRIC_TABLE, seriesOf, type MetricSection } from '../../cli/metrics/metric-table.js'
import { METRIC_PREFIX } from '../../core/metrics/metrics.js'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { until } from '../support/road/wait.js'
import { scrape, type ScrapedFamily } from '../support/scrape.js'
import { TestServer } from '../support/server.js'

/** Sections that a node has, by what their `when` says. */
function sectionsWith(...there: readonly string[]): readonly MetricSection[] {
  return METRIC_TABLE.filter(({ when }) => when === null || there.some((word) => when.includes(word)))
}

/** The scrape has exactly these sections: each metric with its type, help and labels, and no other of ours. */
function matches(t: Test, families: ReadonlyMap<string, ScrapedFamily>, sections: readonly MetricSection[]): void {
  const rows = sections.flatMap((section) => section.rows)
  const ours = [...families.keys()].filter((name) => name.startsWith(METRIC_PREFIX))
  t.same(ours.toSorted(), rows.map(({ name }) => METRIC_PREFIX + name).toSorted())
  for (const row of rows) {
    const family = families.get(METRIC_PREFIX + row.name)
    if (family === undefined) continue
    t.equal(family.type, row.type, row.name)
    t.equal(family.help, row.help, row.name)
    const series = seriesOf(row)
    if (series !== null) t.ok(family.samples.length <= series, `${row.name}: ${family.samples.length} series`)
    for (const { labels } of family.samples) {
      const names = [...labels.keys()].filter((label) => label !== 'le')
      t.same(names.toSorted(), Object.keys(row.labels).toSorted(), row.name)
      for (const [label, value] of labels) {
        const values = row.labels[label]
        if (values !== undefined && 'length' in values) t.ok(values.includes(value), `${row.name}: ${label}=${value}`)
      }
    }
  }
}

function valueOf(
  families: ReadonlyMap<string, ScrapedFamily>,
  name: string,
  labels: Record<string, string> = {},
): number {
  for (const family of families.values()) {
    for (const sample of family.samples) {
      if (sample.name !== METRIC_PREFIX + name) continue
      if (Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value)) return sample.value
    }
  }
  throw new Error(`no metric ${name} ${JSON.stringify(labels)}`)
}

/** A device that acknowledges what it gets; what it got. */
async function device(t: Test, server: TestServer, id: string): Promise<{ readonly got: string[] }> {
  const password = await server.token(id)
  const client = await connectAsync(server.mqttUrl, { clientId: id, username: id, password, protocolVersion: 4 })
  t.teardown(() => client.end(true))
  const got: string[] = []
  client.on('message', (_topic, payload) => got.push(payload.toString()))
  await client.subscribeAsync(`inbox/${id}`, { qos: 1 })
  return { got }
}

const push = (server: TestServer, id: string, message: Record<string, unknown>) =>
  server.rest('POST', `/v1/devices/${id}/messages`, message)

/** Messages on all their ways: live, kept, repeated, refused, expired, cancelled, deleted. */
async function traffic(t: Test, api: TestServer, broker: TestServer): Promise<void> {
  await push(api, 'away', { payload: 'kept' })
  await push(api, 'away', { payload: 'kept', dedupId: 'one' })
  await push(api, 'away', { payload: 'kept', dedupId: 'one' })
  t.equal((await push(api, 'away', { payload: 'another', dedupId: 'one' })).status, 409)
  await push(api, 'gone', { payload: 'cancelled' })
  await push(api, 'gone', { payload: 'deleted with its device' })
  t.equal((await api.rest('DELETE', '/v1/devices/gone/messages/1')).status, 200)
  t.equal((await api.rest('DELETE', '/v1/devices/gone')).status, 204)
  await push(api, 'late', { payload: 'expires', ttl: 1 })
  const live = await device(t, broker, 'live')
  for (let i = 0; i < 5; i++) await push(api, 'live', { payload: `live ${i}` })
  const away = await device(t, broker, 'away')
  await until('all to arrive', () => live.got.length === 5 && away.got.length === 2)
  await until('the expiry', async () => {
    const { body } = await api.rest('GET', '/v1/devices/late')
    return typeof body === 'object' && body !== null && 'pending' in body && body.pending === 0
  })
}

void t.test('metrics: a scrape of a node has what the page lists, and counts what happened', async (t) => {
  const server = await TestServer.start(t)
  await traffic(t, server, server)
  await until('all to be handled', async () => valueOf(await scrape(server), 'messages_handled_total') === 7)
  t.equal((await server.rest('GET', '/v1/webhooks/none')).status, 404)
  const families = await scrape(server)
  matches(t, families, sectionsWith('serve devices', 'take pushes', 'REST API', 'file store'))

  const value = (name: string, labels: Record<string, string> = {}): number => valueOf(families, name, labels)
  t.equal(value('messages_accepted_total'), 10)
  t.equal(value('messages_duplicate_total'), 1)
  t.equal(value('api_problems_total', { code: 'dedup_conflict' }), 1)
  t.equal(value('messages_sent_total'), 7)
  t.equal(value('messages_acked_total'), 7)
  t.equal(value('messages_undelivered_total', { reason: 'cancelled' }), 1)
  t.equal(value('messages_undelivered_total', { reason: 'deleted' }), 1)
  t.equal(value('messages_undelivered_total', { reason: 'expired' }), 1)
  t.equal(value('accept_to_sent_seconds_count', { accepted_while: 'connected' }), 5)
  t.equal(value('accept_to_sent_seconds_count', { accepted_while: 'away' }), 2)
  t.equal(value('accept_to_handled_seconds_count', { accepted_while: 'connected' }), 5)
  t.ok(value('accept_to_sent_seconds_sum', { accepted_while: 'connected' }) < 60)
  t.equal(value('mqtt_connects_total', { result: 'accepted' }), 2)
  t.equal(value('connections'), 2)
  t.equal(value('claims_total'), 2)
  t.equal(value('notices_lost_total'), 0)
  const route = { method: 'POST', route: '/v1/devices/:id/messages' }
  t.equal(value('http_requests_total', { ...route, status: '202' }), 10)
  t.equal(value('http_requests_total', { ...route, status: '200' }), 1)
  t.equal(value('http_requests_total', { ...route, status: '409' }), 1)
  t.equal(value('http_requests_total', { ...route, status: '503' }), 0, 'there before the first one')
  t.equal(value('http_request_seconds_count', route), 12)
  t.equal(value('store_operation_seconds_count', { operation: 'append' }), 12)
  t.equal(value('store_operation_seconds_count', { operation: 'webhook_get' }), 1)
  t.ok(value('lmdb_commit_seconds_count') > 0)
  t.ok(value('lmdb_disk_free_bytes') > 0)
  t.equal(value('node_state', { state: 'serving' }), 1)
  t.equal(value('ready'), 1)
  t.equal(value('ready_check', { check: 'store' }), 1)
  t.equal(value('config_info', { store: 'file', durability: 'disk', role: 'all' }), 1)
  t.ok(value('connections_max') > 0)
})

void t.test('metrics: requests that no route takes are one series, whatever their paths', async (t) => {
  const server = await TestServer.start(t)
  for (let i = 0; i < 20; i++) await fetch(`${server.url}/secret-${i}/phone-1`)
  const families = await scrape(server)
  t.equal(valueOf(families, 'http_requests_total', { route: 'unmatched', status: '404' }), 20)
  t.notMatch(JSON.stringify([...families].map(([, { samples }]) => samples.map((s) => [...s.labels]))), /secret|phone/)
})

void t.test('metrics: off, there is nothing to scrape, and all else is as before', async (t) => {
  const server = await TestServer.start(t, { flags: ['--metrics', 'off'] })
  t.equal((await fetch(`${server.adminUrl}/metrics`)).status, 404)
  const live = await device(t, server, 'live')
  await push(server, 'live', { payload: 'x' })
  await until('it to arrive', () => live.got.length === 1)
  t.equal((await fetch(`${server.adminUrl}/readyz`)).status, 200)
})

void t.test('metrics: of API and broker nodes on Redis', { skip: noRedis }, async (t) => {
  const { node } = await startClusterOn(t)
  const api = await node('--role', 'api')
  const broker = await node('--role', 'broker')
  await traffic(t, api, broker)
  const outcome = async (name: string, labels: Record<string, string> = {}): Promise<number> =>
    valueOf(await scrape(api), name, labels) + valueOf(await scrape(broker), name, labels)
  await until('all to be handled', async () => (await outcome('messages_handled_total')) === 7)
  t.equal(await outcome('messages_undelivered_total', { reason: 'cancelled' }), 1)
  t.equal(await outcome('messages_undelivered_total', { reason: 'deleted' }), 1)
  t.equal(await outcome('messages_undelivered_total', { reason: 'expired' }), 1)
  const ofBroker = await scrape(broker)
  matches(t, await scrape(api), sectionsWith('take pushes', 'REST API', 'Redis'))
  matches(t, ofBroker, sectionsWith('serve devices', 'Redis'))
  t.equal(valueOf(ofBroker, 'redis_masters_ready'), 1)
  await until('the first report', async () => {
    const found = (await scrape(broker)).get('postrider_redis_server_aof_ok')
    return found?.samples.length === 1
  })
  t.equal(valueOf(await scrape(broker), 'redis_server_aof_ok'), 1)
})
