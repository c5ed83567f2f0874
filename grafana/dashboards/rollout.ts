import { metric, quantile, rate, sum, sumRate, sumRateBy } from '../lib/metrics.js'
import type { Dashboard } from '../lib/panel.js'

export const ROLLOUT: Dashboard = {
  uid: 'postrider-rollout',
  title: 'Postrider / One rollout',
  description: 'A rolling restart or upgrade, as it goes: what runs, what drains, what devices and backends see of it.',
  sections: [
    {
      title: 'Nodes',
      panels: [
        {
          title: 'Versions',
          description: 'Nodes by version. Two of them: the upgrade is under way.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: `sum by (version) (${metric('build_info')})`, legend: '{{version}}' }],
          stacked: true,
        },
        {
          title: 'States',
          description: 'Nodes that start, serve and drain.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: `sum by (state) (${metric('node_state')})`, legend: '{{state}}' }],
          alerts: ['PostriderDrainStuck'],
          stacked: true,
        },
        {
          title: 'Ready',
          description: 'Which nodes take work.',
          kind: 'lines',
          unit: 'bool',
          queries: [{ expr: metric('ready'), legend: '{{instance}}' }],
          alerts: ['PostriderNodeNotReady'],
        },
        {
          title: 'Age of each node',
          description: 'Since its start. Falls to 0 one after the other.',
          kind: 'lines',
          unit: 's',
          queries: [
            {
              expr: `time() - process_start_time_seconds{job=~"$job",instance=~"$instance"}`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Configuration',
          description: 'Nodes that differ where they should not.',
          kind: 'table',
          unit: 'short',
          width: 16,
          queries: [{ expr: metric('config_info'), legend: '' }],
        },
      ],
    },
    {
      title: 'Devices',
      panels: [
        {
          title: 'Connected devices by node',
          description: 'They leave a node that drains and come to another.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: metric('connections'), legend: '{{instance}}' }],
          stacked: true,
        },
        {
          title: 'Connects and disconnects',
          description:
            'The rate of a drain is `--drain-rate`; refused connects while it goes are devices without a ready node.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRateBy('result', 'mqtt_connects_total'), legend: 'connect: {{result}}' },
            { expr: sumRate('mqtt_closes_total'), legend: 'closed' },
          ],
        },
        {
          title: 'Let go by drains',
          description:
            '`idle` first, `busy` after a moment, `rest` when the time is over: then the deadline is too short for `--drain-rate`.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRateBy('connections', 'drain_connections_total'), legend: '{{connections}}' }],
          alerts: ['PostriderDrainStuck'],
        },
        {
          title: 'Delivered again',
          description: 'What devices had not acknowledged when they left comes again.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRate('messages_redelivered_total'), legend: 'redelivered' }],
        },
        {
          title: 'From accepted to sent, p99',
          description: 'What the rollout costs devices that are connected.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: quantile(0.99, 'accept_to_sent_seconds', 'accepted_while="connected"'), legend: 'p99' }],
          alerts: ['PostriderDeliverySlow'],
        },
        {
          title: 'Pending of connected devices',
          description: 'Falls back when the devices have caught up.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: sum('connected_pending_messages'), legend: 'messages' }],
        },
        {
          title: 'Packets of a newer version',
          description:
            'Notices that older nodes dropped; their messages come with the sweep. Rises during an upgrade only.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: rate('bus_packets_newer_total'), legend: '{{instance}}' }],
        },
      ],
    },
    {
      title: 'Backends',
      panels: [
        {
          title: 'Requests, by status',
          description: 'A rollout should not show here.',
          kind: 'lines',
          unit: 'reqps',
          queries: [{ expr: sumRateBy('status', 'http_requests_total'), legend: '{{status}}' }],
          alerts: ['PostriderPushesFail'],
        },
        {
          title: 'Push, p99',
          description: 'What the rollout costs backends.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: quantile(0.99, 'http_request_seconds', 'method="POST"'), legend: 'p99' }],
        },
      ],
    },
  ],
}
