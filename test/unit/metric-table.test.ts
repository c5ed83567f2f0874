import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { BrokerCounters, DrainCounters } from '../../broker/counters.js'
import { PubSubCounters } from '../../broker/pubsub/counters.js'
import { UplinkCounters } from '../../broker/uplink/uplink-counters.js'
import { API } from '../../cli/metrics/api.js'
import { BUS, REDIS_BUS } from '../../cli/metrics/bus.js'
import { DELIVERY } from '../../cli/metrics/delivery.js'
import { DRAIN } from '../../cli/metrics/drain.js'
import { METRIC_TABLE, unitOf } from '../../cli/metrics/metric-table.js'
import { metricsPage } from '../../cli/metrics/metrics-page.js'
import { MQTT } from '../../cli/metrics/mqtt.js'
import { PUBSUB } from '../../cli/metrics/pubsub.js'
import { REDIS } from '../../cli/metrics/redis.js'
import { TLS } from '../../cli/metrics/security.js'
import { LMDB, OUTCOMES, STORE } from '../../cli/metrics/store.js'
import { UPLINK } from '../../cli/metrics/uplink.js'
import { LocalBusCounters } from '../../core/bus/local/local-bus.js'
import { RedisBusCounters } from '../../core/bus/redis/counters.js'
import { Histogram } from '../../core/metrics/histogram.js'
import type { Metric } from '../../core/metrics/metric-row.js'
import { createMetrics } from '../../core/metrics/metrics.js'
import { StoreCounters } from '../../core/metrics/store-counters.js'
import { OutcomeCounters } from '../../core/model/outcome-counters.js'
import { LmdbCounters } from '../../core/metrics/lmdb-counters.js'
import { RedisCounters } from '../../core/metrics/redis-counters.js'
import { CertificateCounters } from '../../core/tls/certificates.js'
import { CourierCounters } from '../../courier/courier-counters.js'
import { ApiCounters } from '../../push-api/counters.js'
import { HttpCounters } from '../../push-api/http-counters.js'

const ALL = METRIC_TABLE.flatMap(({ rows }) => rows)

/** What a metric says now, as text that changes with every number in it. */
const reading = (metric: Metric): string => JSON.stringify(metric.samples())

/** Every number somewhere in `counters`, as a way to change it. Numbers that are read through methods only are private. */
function changes(counters: object, path: string): ReadonlyArray<readonly [path: string, change: () => unknown]> {
  if (counters instanceof Histogram) return [[path, () => counters.observe(1)]]
  return Object.entries(counters).flatMap(([field, value]): ReadonlyArray<readonly [string, () => unknown]> => {
    const at = `${path}${field}`
    if (typeof value === 'number') return [[at, () => Reflect.set(counters, field, value + 1)]]
    if (value instanceof Map) return [[at, () => value.set('inbox_full', 1)]]
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? changes(value, `${at}.`) : []
  })
}

/** Each number is changed, and exactly one metric must notice. */
function eachIsShown(t: Test, counters: object, metrics: readonly Metric[]): void {
  const found = changes(counters, '')
  t.ok(found.length > 0)
  for (const [path, change] of found) {
    const before = metrics.map(reading)
    change()
    const noticed = metrics.filter((metric, i) => reading(metric) !== before[i]).map(({ name }) => name)
    t.equal(noticed.length, 1, `${path}: ${noticed.join(', ')}`)
  }
}

void t.test('metrics: every number of every component is shown, once', async (t) => {
  const shown = <C extends object>(counters: C, metricsOf: (counters: C) => readonly Metric[]): void =>
    eachIsShown(t, counters, metricsOf(counters))
  shown(new CourierCounters(), (counters) => DELIVERY.of({ counters, monotonic: () => 0 }))
  shown(new BrokerCounters(), (counters) => MQTT.of(counters))
  shown(new DrainCounters(), (counters) => DRAIN.of(counters))
  shown(new PubSubCounters(), (counters) => PUBSUB.of(counters))
  shown(new ApiCounters(), (counters) =>
    API.of({
      counters,
      http: new HttpCounters(),
      queue: { count: 0, bytes: 0, age: () => 0 },
      connections: { open: 0 },
    }),
  )
  shown(new LocalBusCounters(), (counters) => BUS.of(counters))
  shown(new RedisBusCounters(), (counters) => [...BUS.of(counters.local), ...REDIS_BUS.of(counters)])
  shown(new UplinkCounters(), (counters) => UPLINK.of({ counters, uplink: { usage: { count: 0, bytes: 0 } } }))
  shown(new StoreCounters(), (counters) => STORE.of(counters))
  shown(new OutcomeCounters(), (counters) => OUTCOMES.of(counters))
  const usage = () => ({ journalBytes: 0, devicesChanged: 0, fileBytes: 0, diskFreeBytes: 0, refuses: false })
  shown(new LmdbCounters(), (counters) => [...LMDB.of({ counters, usage }), ...OUTCOMES.of(counters.outcomes)])
  const state = () => ({ masters: 1, mastersReady: 1, underWay: 0, bytesUnderWay: 0 })
  shown(new RedisCounters(), (counters) => [...REDIS.of({ counters, state }), ...OUTCOMES.of(counters.outcomes)])
  const material = { cert: '', key: '', clientCa: null, digest: '', notBefore: 0, expiresAt: 1_700_000_000_000 }
  shown(new CertificateCounters(), (counters) =>
    TLS.of({ counters, certificates: { current: { ...material, host: null, endsSelfSigned: false } } }),
  )
})

void t.test('metrics: names are unique and follow the conventions of Prometheus', async (t) => {
  t.equal(new Set(ALL.map(({ name }) => name)).size, ALL.length)
  for (const { name, type, help, tells, labels } of ALL) {
    t.match(name, /^[a-z][a-z0-9_]*[a-z0-9]$/)
    t.notMatch(name, /^postrider/, 'the prefix is added')
    t.equal(name.endsWith('_total'), type === 'counter', name)
    t.notMatch(name, /_(?:bucket|sum|count|ms|millis|minutes|kb|mb|percent)(?:_|$)/, `${name}: base units`)
    if (type === 'histogram') t.match(name, /_(?:seconds|items|changes)$/, 'a histogram says what it counts')
    t.match(help, /^[A-Z0-9].*[^.]$/, name)
    t.match(tells, /^[A-Z0-9`].*[^.]$/s, name)
    for (const label of Object.keys(labels)) {
      t.match(label, /^[a-z][a-z_]*$/)
      t.notMatch(label, /^(?:le|quantile|device|client|id|key|address|user|remote|job|instance)$/, `${name}: ${label}`)
    }
  }
  t.equal(unitOf({ name: 'a_seconds_total' }), 'seconds')
  t.equal(unitOf({ name: 'a_bytes' }), 'bytes')
})

void t.test('metrics: the page is what the table says', async (t) => {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  t.equal(page, metricsPage(), 'run: npm run docs:metrics')
})

void t.test('histogram: each value is in the first bucket that it does not exceed', async (t) => {
  const histogram = new Histogram([1, 2, 5])
  for (const value of [0, 1, 1.5, 2, 5, 5.1, 100]) histogram.observe(value)
  t.same(histogram.counts, [2, 2, 1, 2])
  t.equal(histogram.count, 7)
  t.equal(Math.round(histogram.sum * 10), 1_146)
})

void t.test('metrics: a scrape has none that goes through all open files and sockets', async (t) => {
  const text = await createMetrics().text()
  t.match(text, /^process_resident_memory_bytes /m, 'those of the process are there')
  t.match(text, /^nodejs_eventloop_lag_p99_seconds /m)
  t.notMatch(text, /process_open_fds|nodejs_active_(?:handles|resources)/)
})
