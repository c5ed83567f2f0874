import type { Alert } from './alert.js'

const A = { job: 'postrider', instance: 'a' }
const AT_A = '{job="postrider",instance="a"}'
const SERVER = { job: 'postrider', server: 'redis:6379' }
const OF_SERVER = '{job="postrider",instance="a",server="redis:6379"}'

/** The store, before it costs anybody a message. */
export const STORE_ALERTS: readonly Alert[] = [
  {
    name: 'PostriderStoreUnreachable',
    severity: 'page',
    lasts: '1m',
    expr: () => 'postrider_ready_check{check="store"} == 0',
    summary: '{{ $labels.instance }} cannot reach its store',
    description: 'Pushes that come to this node are answered 503; its devices stay connected and get nothing.',
    fires: {
      series: [{ series: 'postrider_ready_check{job="postrider",instance="a",check="store"}', values: '1x5 0x30' }],
      at: '15m',
      labels: { ...A, check: 'store' },
    },
    quiet: {
      series: [{ series: 'postrider_ready_check{job="postrider",instance="a",check="store"}', values: '1x30' }],
      at: '15m',
    },
  },
  {
    name: 'PostriderRedisNotPersisting',
    severity: 'page',
    lasts: '1m',
    expr: () =>
      'min by (job, server) (postrider_redis_server_aof_enabled) == 0 or min by (job, server) (postrider_redis_server_aof_ok) == 0',
    summary: 'Redis {{ $labels.server }} does not write its append-only file',
    description: 'What is accepted now is gone if this server ends. Nothing else shows it until then.',
    fires: {
      series: [
        { series: `postrider_redis_server_aof_enabled${OF_SERVER}`, values: '1x30' },
        { series: `postrider_redis_server_aof_ok${OF_SERVER}`, values: '1x5 0x30' },
      ],
      at: '15m',
      labels: SERVER,
    },
    quiet: {
      series: [
        { series: `postrider_redis_server_aof_enabled${OF_SERVER}`, values: '1x30' },
        { series: `postrider_redis_server_aof_ok${OF_SERVER}`, values: '1x30' },
      ],
      at: '15m',
    },
  },
  {
    name: 'PostriderRedisMemoryHigh',
    severity: 'page',
    lasts: '5m',
    expr: () =>
      'max by (job, server) (postrider_redis_server_memory_used_bytes) / (max by (job, server) (postrider_redis_server_memory_max_bytes) > 0) > 0.85',
    summary: 'Redis {{ $labels.server }} uses {{ $value | humanizePercentage }} of its memory',
    description:
      'At its limit it refuses new messages: pushes are answered 503 until devices handle what waits, or there is more memory.',
    fires: {
      series: [
        { series: `postrider_redis_server_memory_used_bytes${OF_SERVER}`, values: '90x30' },
        { series: `postrider_redis_server_memory_max_bytes${OF_SERVER}`, values: '100x30' },
      ],
      at: '15m',
      labels: SERVER,
    },
    quiet: {
      series: [
        { series: `postrider_redis_server_memory_used_bytes${OF_SERVER}`, values: '90x30' },
        { series: `postrider_redis_server_memory_max_bytes${OF_SERVER}`, values: '0x30' },
      ],
      at: '15m',
    },
  },
  {
    name: 'PostriderDiskAlmostFull',
    severity: 'page',
    lasts: '1m',
    expr: () => 'postrider_lmdb_disk_free_bytes < 256 * 1024 * 1024 or postrider_lmdb_refuses == 1',
    summary: 'The disk of {{ $labels.instance }} is almost full',
    description:
      'With the last reserve new messages are refused: pushes are answered 503. Deliveries go on, and make room.',
    fires: {
      series: [
        { series: `postrider_lmdb_disk_free_bytes${AT_A}`, values: '100000000x30' },
        { series: `postrider_lmdb_refuses${AT_A}`, values: '0x30' },
      ],
      at: '15m',
      labels: A,
    },
    quiet: {
      series: [
        { series: `postrider_lmdb_disk_free_bytes${AT_A}`, values: '90000000000x30' },
        { series: `postrider_lmdb_refuses${AT_A}`, values: '0x30' },
      ],
      at: '15m',
    },
  },
]
