import { metric, nonZero, quantile, rate, sumRate, sumRateBy } from '../lib/metrics.js'
import type { Dashboard } from '../lib/panel.js'

export const STORE_AND_BUS: Dashboard = {
  uid: 'postrider-store-and-bus',
  title: 'Postrider / Store and bus',
  description: 'What messages are kept in, and what goes between nodes.',
  sections: [
    {
      title: 'Store',
      panels: [
        {
          title: 'Reachable',
          description: '0: this node cannot reach the store. Pushes are answered 503, devices stay connected.',
          kind: 'lines',
          unit: 'bool',
          queries: [{ expr: metric('ready_check', 'check="store"'), legend: '{{instance}}' }],
          alerts: ['PostriderStoreUnreachable'],
        },
        {
          title: 'Calls',
          description: 'By what was asked.',
          kind: 'lines',
          unit: 'ops',
          queries: [{ expr: sumRateBy('operation', 'store_operation_seconds_count'), legend: '{{operation}}' }],
          stacked: true,
        },
        {
          title: 'Duration, p99',
          description:
            '`append`: what pushes wait for; `read`: devices that catch up; `ack`: how long acknowledgements are at risk.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: quantile(0.99, 'store_operation_seconds', '', 'operation'), legend: '{{operation}}' }],
        },
        {
          title: 'Failed calls',
          description: '`store_unavailable`: nothing was done; `outcome_unknown`: it may have been.',
          kind: 'lines',
          unit: 'ops',
          queries: [
            {
              expr: nonZero(`sum by (operation, code) (${rate('store_operation_errors_total')})`),
              legend: '{{operation}}: {{code}}',
            },
          ],
          alerts: ['PostriderStoreUnreachable'],
          onlyWhen: 'the store fails',
        },
        {
          title: 'Items of a call',
          description: 'Messages, devices or events; more under load, because what comes together goes together.',
          kind: 'lines',
          unit: 'short',
          queries: [
            {
              expr: `sum by (operation) (${rate('store_batch_items_sum')}) / sum by (operation) (${rate('store_batch_items_count')})`,
              legend: '{{operation}}',
            },
          ],
        },
        {
          title: 'Sweeps',
          description:
            'Comparisons of connected devices with the store, and what they found. They find what notices did not tell.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('sweeps_total'), legend: 'sweeps' },
            { expr: sumRateBy('finding', 'sweep_findings_total'), legend: 'found: {{finding}}' },
          ],
          alerts: ['PostriderNoticesLost'],
        },
      ],
    },
    {
      title: 'Redis',
      panels: [
        {
          title: 'Memory, of the limit',
          description: 'At the limit new messages are refused. Empty without a limit: set one.',
          kind: 'lines',
          unit: 'percentunit',
          queries: [
            {
              expr: `max by (server) (${metric('redis_server_memory_used_bytes')}) / (max by (server) (${metric('redis_server_memory_max_bytes')}) > 0)`,
              legend: '{{server}}',
            },
          ],
          alerts: ['PostriderRedisMemoryHigh'],
        },
        {
          title: 'Memory used',
          description: 'Of each master. Falls as devices handle what waits, and as dedup ids are forgotten.',
          kind: 'lines',
          unit: 'bytes',
          queries: [{ expr: `max by (server) (${metric('redis_server_memory_used_bytes')})`, legend: '{{server}}' }],
        },
        {
          title: 'Append-only file in order',
          description: '0: what is accepted now may not survive the server.',
          kind: 'lines',
          unit: 'bool',
          queries: [
            {
              expr: `min by (server) (${metric('redis_server_aof_enabled')}) * min by (server) (${metric('redis_server_aof_ok')})`,
              legend: '{{server}}',
            },
          ],
          alerts: ['PostriderRedisNotPersisting'],
        },
        {
          title: 'Commands',
          description: 'Of all nodes.',
          kind: 'lines',
          unit: 'ops',
          queries: [{ expr: rate('redis_commands_total'), legend: '{{instance}}' }],
          stacked: true,
        },
        {
          title: 'Commands without a good answer',
          description:
            '`refused`: memory used up, loading, a replica; `not_sent`: no connection; `unanswered`: too slow, or cut off.',
          kind: 'lines',
          unit: 'ops',
          queries: [{ expr: nonZero(sumRateBy('failure', 'redis_command_failures_total')), legend: '{{failure}}' }],
          alerts: ['PostriderStoreUnreachable'],
          onlyWhen: 'the store fails',
        },
        {
          title: 'Commands under way',
          description: 'Waiting for their answers; bounded. Grows when Redis is slow.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: metric('redis_commands_under_way'), legend: '{{instance}}' }],
        },
        {
          title: 'Masters with a connection',
          description: 'Below the number of masters: one is away.',
          kind: 'lines',
          unit: 'short',
          queries: [
            { expr: metric('redis_masters_ready'), legend: '{{instance}}' },
            { expr: `max(${metric('redis_masters')})`, legend: 'masters' },
          ],
        },
        {
          title: 'Replicas',
          description: 'Connected to each master. Below `--redis-wait` no push is answered with success.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: `max by (server) (${metric('redis_server_replicas')})`, legend: '{{server}}' }],
        },
      ],
    },
    {
      title: 'MongoDB',
      panels: [
        {
          title: 'Takes writes',
          description:
            '0: this node knows no primary, or cannot reach it. Pushes are answered 503, devices stay connected.',
          kind: 'lines',
          unit: 'bool',
          queries: [{ expr: metric('mongodb_writable'), legend: '{{instance}}' }],
          alerts: ['PostriderStoreUnreachable'],
          needs: 'MongoDB',
        },
        {
          title: 'Servers that answer',
          description: 'Members of the replica set, or routers. Below the number of them: one is away.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: metric('mongodb_servers'), legend: '{{instance}}' }],
          needs: 'MongoDB',
        },
        {
          title: 'Connections',
          description: 'At most 64 to a server. Near that in use: MongoDB is slow, and commands wait.',
          kind: 'lines',
          unit: 'short',
          queries: [
            { expr: metric('mongodb_connections'), legend: 'open {{instance}}' },
            { expr: metric('mongodb_connections_in_use'), legend: 'in use {{instance}}' },
          ],
          needs: 'MongoDB',
        },
        {
          title: 'Changes made again',
          description:
            'Another process was first at the same device. Many for each push: send the messages of a device to one node, in batches.',
          kind: 'lines',
          unit: 'ops',
          queries: [{ expr: rate('mongodb_step_conflicts_total'), legend: '{{instance}}' }],
          stacked: true,
          needs: 'MongoDB',
        },
        {
          title: 'Trouble with MongoDB',
          description:
            '`connections`: failed, or ended with an error; `not sent`: commands that got no connection in time; `heartbeats`: a server did not answer how it is.',
          kind: 'lines',
          unit: 'ops',
          queries: [
            { expr: sumRate('mongodb_connection_errors_total'), legend: 'connections' },
            { expr: sumRate('mongodb_commands_not_sent_total'), legend: 'not sent' },
            { expr: sumRate('mongodb_heartbeats_failed_total'), legend: 'heartbeats' },
          ],
          alerts: ['PostriderStoreUnreachable'],
          needs: 'MongoDB',
        },
      ],
    },
    {
      title: 'Embedded store',
      panels: [
        {
          title: 'Commit, p50 and p99',
          description: 'The disk. Every push waits for one.',
          kind: 'lines',
          unit: 's',
          queries: [
            { expr: quantile(0.5, 'lmdb_commit_seconds'), legend: 'p50' },
            { expr: quantile(0.99, 'lmdb_commit_seconds'), legend: 'p99' },
          ],
        },
        {
          title: 'Free space of its disk',
          description: 'New messages are refused when a reserve is reached.',
          kind: 'lines',
          unit: 'bytes',
          queries: [{ expr: metric('lmdb_disk_free_bytes'), legend: '{{instance}}' }],
          alerts: ['PostriderDiskAlmostFull'],
        },
        {
          title: 'Journal and file',
          description: 'The journal is what a start replays; over 64 MiB for long, the disk cannot keep up.',
          kind: 'lines',
          unit: 'bytes',
          queries: [
            { expr: metric('lmdb_journal_bytes'), legend: 'journal {{instance}}' },
            { expr: metric('lmdb_file_bytes'), legend: 'file {{instance}}' },
          ],
        },
      ],
    },
    {
      title: 'Bus',
      panels: [
        {
          title: 'Notices between nodes',
          description: '`unsent`: Redis did not take them or nobody listened; their messages wait for a sweep.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('bus_notices_sent_total'), legend: 'sent' },
            { expr: sumRate('bus_notices_unsent_total'), legend: 'unsent' },
          ],
          alerts: ['PostriderNoticesLost'],
        },
        {
          title: 'Trouble of the bus',
          description:
            '`gaps`: a numbered packet was missing, and a sweep followed; `subscriptions`: connections that ended; `beats`: signs of life that could not be given.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('bus_gaps_total'), legend: 'gaps' },
            { expr: sumRate('bus_subscriptions_lost_total'), legend: 'subscriptions' },
            { expr: sumRate('bus_beats_failed_total'), legend: 'beats' },
          ],
          alerts: ['PostriderNoticesLost'],
        },
        {
          title: 'Kicks between nodes',
          description: 'Devices that moved. `unconfirmed`: the old node hangs or has died.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('bus_kicks_sent_total'), legend: 'sent' },
            { expr: sumRate('bus_kicks_sent_unconfirmed_total'), legend: 'unconfirmed' },
          ],
        },
      ],
    },
  ],
}
