import { counter, counterBy, gauge, metricGroup, type MetricRow } from '../../core/metrics/metric-row.js'
import { RedisCounters, type RedisClientState, type RedisServerReport } from '../../core/metrics/redis-counters.js'

interface RedisSource {
  readonly counters: RedisCounters
  readonly state: () => RedisClientState
}

const perServer = (
  name: string,
  help: string,
  tells: string,
  read: (report: RedisServerReport) => number,
): MetricRow<RedisSource> => ({
  name,
  type: 'gauge',
  labels: { server: { bounded: 'host and port of each master' } },
  help,
  tells,
  aggregate: 'max',
  bounds: [],
  samples: ({ counters }) => counters.servers.map((report) => [{ server: report.server }, read(report)] as const),
})

/** The Redis store: this process's connections, and what the servers say of themselves every 10 s. */
export const REDIS = metricGroup<RedisSource>('Redis store', 'with a Redis store', [
  gauge(
    'redis_masters',
    'Masters that the store is on',
    'A cluster has several',
    ({ state }) => state().masters,
    'max',
  ),
  gauge(
    'redis_masters_ready',
    'Masters that this process has a connection to',
    'Below `redis_masters`: a master is away',
    ({ state }) => state().mastersReady,
    'min',
  ),
  gauge(
    'redis_commands_under_way',
    'Commands that wait for their answers',
    'Bounded by 50,000; grows when Redis is slow',
    ({ state }) => state().underWay,
  ),
  gauge('redis_commands_under_way_bytes', 'Bytes of them', 'Bounded by 128 MiB', ({ state }) => state().bytesUnderWay),
  counter(
    'redis_commands_total',
    'Commands and scripts',
    'The load that this process makes',
    ({ counters }) => counters.commands,
  ),
  counterBy(
    'redis_command_failures_total',
    'failure',
    Object.keys(new RedisCounters().failures),
    'Commands without a good answer',
    '`refused`: memory used up, loading, a replica; `not_sent`: no connection; `unanswered`: too slow, or cut off',
    ({ counters }) => counters.failures,
  ),
  counter(
    'redis_claims_ended_total',
    'Claims of dead nodes that this process has ended',
    'A node was killed, or said nothing for 20 s: its devices that had not come back count as away since then',
    ({ counters }) => counters.claimsEnded,
  ),
  counter(
    'redis_connection_errors_total',
    'Connections that failed or ended',
    'Rises while Redis is away',
    ({ counters }) => counters.connectionErrors,
  ),
  counter(
    'redis_reports_failed_total',
    'Times that a master did not say how it is',
    'The values below are old then',
    ({ counters }) => counters.reportsFailed,
  ),
  perServer(
    'redis_server_memory_used_bytes',
    'Memory that the server uses',
    'At its limit it refuses new messages (503 `store_unavailable`)',
    (report) => report.usedMemoryBytes,
  ),
  perServer(
    'redis_server_memory_max_bytes',
    'Its limit; 0: none',
    'Set one, below the memory of the machine',
    (report) => report.maxMemoryBytes,
  ),
  perServer(
    'redis_server_aof_enabled',
    '1: it keeps an append-only file',
    '0: what was accepted is gone with the process',
    (report) => Number(report.aofEnabled),
  ),
  perServer(
    'redis_server_aof_ok',
    '1: its last write to that file, and the last rewrite, went well',
    '0: what is accepted now may not survive; look at its disk',
    (report) => Number(report.aofOk),
  ),
  perServer('redis_server_rdb_ok', '1: its last snapshot went well', '0: look at its disk and memory', (report) =>
    Number(report.rdbOk),
  ),
  perServer(
    'redis_server_replicas',
    'Replicas that are connected to it',
    'Below `--redis-wait`: no push is answered with success',
    (report) => report.connectedReplicas,
  ),
])
