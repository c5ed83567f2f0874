import t, { type Test } from 'tap'
import { BrokerCounters, DrainCounters } from '../../broker/counters.js'
import { PubSubCounters } from '../../broker/pubsub/counters.js'
import {
  apiMetrics,
  brokerMetrics,
  busMetrics,
  courierMetrics,
  drainMetrics,
  drainPhaseMetrics,
  pubsubMetrics,
  queueMetrics,
  redisBusMetrics,
  tlsMetrics,
  uplinkMetrics,
} from '../../cli/metric-tables.js'
import { UplinkCounters } from '../../broker/uplink/uplink-counters.js'
import { RedisBusCounters } from '../../core/bus/redis/counters.js'
import { LocalBusCounters } from '../../core/bus/local/local-bus.js'
import { createMetrics, type Metric } from '../../core/metrics/metrics.js'
import { CertificateCounters } from '../../core/tls/certificates.js'
import type { TlsMaterial } from '../../core/tls/material.js'
import { CourierCounters } from '../../courier/courier-counters.js'
import { ApiCounters } from '../../push-api/counters.js'

const MATERIAL: TlsMaterial = {
  cert: '',
  key: '',
  clientCa: null,
  digest: '',
  notBefore: 0,
  expiresAt: 1_700_000_000_000,
  host: null,
  endsSelfSigned: false,
}

/** What a metric says now, as text that changes with every number in it. */
function reading(metric: Metric): string {
  const value = metric.read()
  return JSON.stringify(value instanceof Map ? [...value] : value)
}

/** Fails for a number in `counters` that no metric shows: each one is changed, and exactly one metric must notice. */
function eachIsShown(t: Test, counters: object, metrics: readonly Metric[]): void {
  for (const [field, value] of Object.entries(counters)) {
    const change: (() => unknown) | null =
      typeof value === 'number'
        ? () => Reflect.set(counters, field, value + 1)
        : typeof value === 'object' && value !== null && 'byCode' in value && value.byCode instanceof Map
          ? (
              (map: Map<unknown, unknown>) => () =>
                map.set('changed', 1)
            )(value.byCode)
          : typeof value === 'object' && value !== null
            ? () => Reflect.set(value, Object.keys(value)[0] ?? 'changed', 1)
            : null
    if (change === null) continue
    const before = metrics.map(reading)
    change()
    const noticed = metrics.filter((metric, i) => reading(metric) !== before[i]).map(({ name }) => name)
    t.equal(noticed.length, 1, `${field}: ${noticed.join(', ')}`)
  }
}

void t.test('metrics: every counter of every component is shown, once', async (t) => {
  const courier = new CourierCounters()
  const broker = new BrokerCounters()
  const pubsub = new PubSubCounters()
  const api = new ApiCounters()
  const bus = new LocalBusCounters()
  eachIsShown(t, courier, courierMetrics(courier))
  eachIsShown(t, broker, brokerMetrics(broker))
  const drain = new DrainCounters()
  eachIsShown(t, drain, drainMetrics(drain))
  eachIsShown(t, pubsub, pubsubMetrics(pubsub))
  eachIsShown(t, api, apiMetrics(api))
  eachIsShown(t, bus, busMetrics(bus))
  const redisBus = new RedisBusCounters()
  eachIsShown(t, redisBus, redisBusMetrics(redisBus))
  const uplink = new UplinkCounters()
  eachIsShown(t, uplink, uplinkMetrics(uplink, { usage: { count: 0, bytes: 0 } }))
  const tls = new CertificateCounters()
  eachIsShown(t, tls, tlsMetrics(tls, { current: MATERIAL }))
})

void t.test('metrics: names are unique and follow the conventions of Prometheus', async (t) => {
  const all = [
    ...courierMetrics(new CourierCounters()),
    ...brokerMetrics(new BrokerCounters()),
    ...drainMetrics(new DrainCounters()),
    ...drainPhaseMetrics({ phase: 'serving' }),
    ...pubsubMetrics(new PubSubCounters()),
    ...apiMetrics(new ApiCounters()),
    ...redisBusMetrics(new RedisBusCounters()),
    ...uplinkMetrics(new UplinkCounters(), { usage: { count: 1, bytes: 2 } }),
    ...queueMetrics({ count: 1, bytes: 2, age: () => 1500 }),
    ...tlsMetrics(new CertificateCounters(), { current: MATERIAL }),
  ]
  for (const { name, kind, help } of all) {
    t.match(name, /^[a-z][a-z0-9_]*$/)
    t.equal(name.endsWith('_total'), kind === 'counter', name)
    t.match(help, /^[A-Z].*[^.]$/)
  }
  const metrics = createMetrics()
  metrics.expose(all)
  t.match(await metrics.text(), /^postrider_append_queue_age_seconds 1\.5$/m)
  t.match(await metrics.text(), /^postrider_tls_certificate_expiry_timestamp_seconds 1700000000$/m)
  t.throws(() => metrics.expose(all.slice(0, 1)), 'a name that is taken')
})
