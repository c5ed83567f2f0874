import { performance } from 'node:perf_hooks'
import { gauge, counter, gaugeBy, metricGroup, type MetricRow } from '../../core/metrics/metric-row.js'
import type { Readiness } from '../../core/admin/readiness.js'
import { isMongoUrl } from '../../core/config/mongo-location.js'
import { isRedisUrl } from '../../core/config/redis-location.js'
import type { ServerConfig } from '../../core/config/server-options.js'
import type { LineLimit } from '../../core/log.js'

export const NODE_STATES = ['starting', 'serving', 'draining'] as const
export type NodeState = (typeof NODE_STATES)[number]

export interface ReadyCheckState {
  readonly name: string
  readonly ok: boolean
}

/** What `/readyz` says. */
export interface ReadinessSource {
  readonly state: () => NodeState
  readonly ready: () => boolean
  readonly checks: () => readonly ReadyCheckState[]
}

export interface ProcessSource extends ReadinessSource {
  readonly version: string
  /** Words of the configuration that are no secrets and have few values. */
  readonly config: Readonly<Record<(typeof CONFIG_LABELS)[number], string>>
  readonly lines: Pick<LineLimit, 'leftOut'>
}

export const CONFIG_LABELS = ['role', 'store', 'durability', 'bus', 'auth', 'overflow', 'tls'] as const

export function processSource(parts: {
  readonly config: ServerConfig
  readonly version: string
  readonly lines: Pick<LineLimit, 'leftOut'>
  readonly readiness: Pick<Readiness, 'last'>
}): ProcessSource {
  const { config, version, lines, readiness } = parts
  const onRedis = isRedisUrl(config.store)
  const kind = onRedis ? 'redis' : isMongoUrl(config.store) ? 'mongodb' : 'file'
  return {
    version,
    config: {
      role: config.role,
      store: kind,
      durability: kind === 'file' ? config.durability : kind,
      bus: config.bus !== undefined ? 'redis' : onRedis ? 'store' : 'local',
      auth: config.auth,
      overflow: config.overflow,
      tls: config.tlsCert === undefined ? 'off' : 'on',
    },
    lines,
    ...readinessSource(readiness),
  }
}

export const readinessSource = (readiness: Pick<Readiness, 'last'>): ReadinessSource => ({
  state() {
    const { holds } = readiness.last
    return holds.includes('draining') ? 'draining' : holds.includes('starting') ? 'starting' : 'serving'
  },
  ready: () => readiness.last.ready,
  checks: () => readiness.last.checks,
})

const build: MetricRow<ProcessSource> = {
  name: 'build_info',
  type: 'gauge',
  labels: { version: { bounded: 'the version of the product' }, node_version: { bounded: "Node's" } },
  help: 'Always 1; what runs',
  tells: 'More than one version: an upgrade is under way',
  aggregate: 'first',
  bounds: [],
  samples: ({ version }) => [[{ version, node_version: process.version }, 1]],
}

const config: MetricRow<ProcessSource> = {
  name: 'config_info',
  type: 'gauge',
  labels: {
    role: ['all', 'api', 'broker'],
    store: ['file', 'redis', 'mongodb'],
    durability: ['disk', 'process', 'redis', 'mongodb'],
    bus: ['local', 'store', 'redis'],
    auth: ['token', 'none'],
    overflow: ['reject', 'drop-oldest'],
    tls: ['on', 'off'],
  },
  help: 'Always 1; how it is configured',
  tells: 'Nodes that differ where they should not',
  aggregate: 'first',
  bounds: [],
  samples: ({ config: words }) => [[words, 1]],
}

const checks: MetricRow<ReadinessSource> = {
  name: 'ready_check',
  type: 'gauge',
  labels: { check: { bounded: 'the names that `/readyz` shows' } },
  help: '1: the check of that name is good',
  tells: '`store` at 0: the store cannot be reached from this node',
  aggregate: 'min',
  bounds: [],
  samples: (source) => source.checks().map(({ name, ok }) => [{ check: name }, ok ? 1 : 0] as const),
}

const state: MetricRow<ReadinessSource> = gaugeBy(
  'node_state',
  'state',
  NODE_STATES,
  '1 for the state that the node is in',
  '`draining` for longer than `--drain-deadline`: the stop is stuck',
  (source) => ({ [source.state()]: 1 }),
  'max',
)

const ready: MetricRow<ReadinessSource> = gauge(
  'ready',
  '1: the node takes work (`/readyz` says 200); with `--workers`: all of them do',
  'Few ready nodes: no headroom. What is not good is in `ready_check`',
  (source) => (source.ready() ? 1 : 0),
  'min',
)

/** Of the parent of workers: what it answers on `/readyz`. Its workers' own `NODE_WIDE` are left out beside it. */
export const PARENT_READINESS = metricGroup<ReadinessSource>('Readiness of the parent', null, [state, ready, checks])

/** Names of what is said of a node once, however many processes it has. */
export const NODE_WIDE: readonly string[] = [state.name, ready.name]

/** The process itself; `process_…` and `nodejs_…` come with their usual names. */
export const PROCESS = metricGroup<ProcessSource>('The process', null, [
  build,
  config,
  state,
  ready,
  checks,
  counter(
    'event_loop_active_seconds_total',
    'Time that the event loop was busy',
    'Its rate is the utilization of the one thread that serves; over 0.8 latency grows. With `--workers` each has a series of its own (`worker`). See `nodejs_eventloop_lag_p99_seconds` as well',
    () => performance.eventLoopUtilization().active / 1000,
  ),
  counter(
    'log_lines_left_out_total',
    'Lines of the log that were not written',
    'Clients caused more than 100 a second',
    ({ lines }) => lines.leftOut,
  ),
])
