// The table of metrics: docs/metrics.md is made of it, and what a scrape has is compared with it.

import type { MetricFacts } from '../../core/metrics/metric-row.js'
import { API } from './api.js'
import { BUS, REDIS_BUS } from './bus.js'
import { DELIVERY } from './delivery.js'
import { DRAIN, DRAIN_PHASE } from './drain.js'
import { LIMITS } from './limits.js'
import { MQTT } from './mqtt.js'
import { PROCESS } from './process.js'
import { PUBSUB } from './pubsub.js'
import { MONGODB } from './mongodb.js'
import { REDIS } from './redis.js'
import { KEY_SET, SECURITY, TLS } from './security.js'
import { LMDB, OUTCOMES, STORE } from './store.js'
import { TRACING } from './tracing.js'
import { UPLINK } from './uplink.js'
import { WEBHOOKS } from './webhooks.js'
import { WORKERS } from './workers.js'

export interface MetricSection {
  readonly title: string
  /** When these metrics are there; null: always. */
  readonly when: string | null
  readonly rows: readonly MetricFacts[]
}

export const METRIC_TABLE: readonly MetricSection[] = [
  API,
  OUTCOMES,
  DELIVERY,
  MQTT,
  UPLINK,
  WEBHOOKS,
  PUBSUB,
  STORE,
  LMDB,
  REDIS,
  MONGODB,
  BUS,
  REDIS_BUS,
  SECURITY,
  KEY_SET,
  TLS,
  LIMITS,
  DRAIN_PHASE,
  DRAIN,
  TRACING,
  WORKERS,
  PROCESS,
]

/** Time series that a row makes at most in one process; null: what its labels say in words. */
export function seriesOf({ labels, type, bounds, aggregate }: MetricFacts): number | null {
  let sets = 1
  for (const values of Object.values(labels)) {
    if (!('length' in values)) return null
    sets *= values.length
  }
  // Information: one set of values in each process.
  if (aggregate === 'first') return 1
  // A bucket for each bound and one over all of them, the sum and the count.
  return type === 'histogram' ? sets * (bounds.length + 3) : sets
}

/** Numbers have the unit that their names end in. */
export function unitOf({ name }: Pick<MetricFacts, 'name'>): string {
  const base = name.replace(/_total$/, '')
  if (base.endsWith('_timestamp_seconds')) return 'Unix time, seconds'
  if (base.endsWith('_seconds')) return 'seconds'
  return base.endsWith('_bytes') ? 'bytes' : ''
}
