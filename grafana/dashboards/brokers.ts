import { metric, nonZero, processMetric, rate, sumRate, sumRateBy } from '../lib/metrics.js'
import type { Dashboard } from '../lib/panel.js'

export const BROKERS: Dashboard = {
  uid: 'postrider-brokers',
  title: 'Postrider / Brokers',
  description: 'Connections of devices: who comes, who goes and why, and whether the nodes have room.',
  sections: [
    {
      title: 'Connections',
      panels: [
        {
          title: 'Connected devices by node',
          description: 'Falls at once: the node or a network has gone.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: metric('connections'), legend: '{{instance}}' }],
          stacked: true,
        },
        {
          title: 'CONNECT, by result',
          description: 'Everything but `accepted` and `gone` is a refusal.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRateBy('result', 'mqtt_connects_total'), legend: '{{result}}' }],
        },
        {
          title: 'Connections ended, by reason',
          description:
            '`client`: the network or the device ended it; `slow_consumer`: it stopped reading; `taken_over`: the device connected again.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: nonZero(sumRateBy('reason', 'mqtt_closes_total')), legend: '{{reason}}' }],
          onlyWhen: 'connections end',
        },
        {
          title: 'Claims and takeovers',
          description:
            'Connections that came to own their device. `forced`: the old owner did not let go in time, which a node that died or hangs does not.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('claims_total'), legend: 'claims' },
            { expr: sumRate('takeovers_total'), legend: 'takeovers' },
            { expr: sumRate('takeovers_forced_total'), legend: 'forced' },
          ],
        },
        {
          title: 'Before MQTT',
          description: 'Sockets in the entrance: slow handshakes, or an attack.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: metric('mqtt_entrance_waiting'), legend: '{{instance}}' }],
        },
        {
          title: 'Refused tokens, by reason',
          description: '`bad_signature` of everybody: the secret was changed without the old one beside it.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRateBy('reason', 'tokens_refused_total'), legend: '{{reason}}' }],
        },
      ],
    },
    {
      title: 'Delivery',
      panels: [
        {
          title: 'Messages sent by node',
          description: 'The load of each node.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: rate('messages_sent_total'), legend: '{{instance}}' }],
          stacked: true,
        },
        {
          title: 'Waits',
          description:
            '`window`: devices acknowledge more slowly than messages come; `socket`: they or their networks read too slowly.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('window_waits_total'), legend: 'window' },
            { expr: sumRate('socket_waits_total'), legend: 'socket' },
          ],
        },
        {
          title: 'The road of messages',
          description:
            'Straight from a notice, or read from the store: devices that catch up, and messages whose notice was late or lost.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('notices_taken_total'), legend: 'from a notice' },
            { expr: sumRate('store_reads_total'), legend: 'pages read' },
            { expr: sumRate('notices_lost_total'), legend: 'found by a sweep' },
          ],
          alerts: ['PostriderNoticesLost'],
        },
        {
          title: 'Holds',
          description:
            'Times that a node stopped sending because it could not confirm its claims for 3 s: frozen, or the store out of its reach.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: rate('unconfirmed_holds_total'), legend: '{{instance}}' }],
          alerts: ['PostriderStoreUnreachable'],
        },
      ],
    },
    {
      title: 'Room',
      panels: [
        {
          title: 'Connections, of those allowed',
          description:
            'By `--connections-max`, or by what the limit of open files allows. At the limit newcomers get CONNACK 3.',
          kind: 'lines',
          unit: 'percentunit',
          queries: [
            {
              expr: `${metric('connections')} / ${metric('connections_max')}`,
              legend: '{{instance}}',
            },
          ],
          alerts: ['PostriderConnectionHeadroom'],
        },
        {
          title: 'Event loop',
          description: 'Utilization of the thread that serves; over 0.8 latency grows.',
          kind: 'lines',
          unit: 'percentunit',
          queries: [{ expr: rate('event_loop_active_seconds_total'), legend: '{{instance}} {{worker}}' }],
          alerts: ['PostriderEventLoopBusy'],
        },
        {
          title: 'Event loop lag, p99',
          description: 'How late timers run.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: processMetric('nodejs_eventloop_lag_p99_seconds'), legend: '{{instance}}' }],
        },
        {
          title: 'Resident memory',
          description: 'With a file store, pages of the store that are in memory count too.',
          kind: 'lines',
          unit: 'bytes',
          queries: [{ expr: processMetric('process_resident_memory_bytes'), legend: '{{instance}}' }],
        },
        {
          title: 'Traffic of devices',
          description: 'Bytes from and to devices.',
          kind: 'lines',
          unit: 'Bps',
          queries: [
            { expr: sumRate('mqtt_received_bytes_total'), legend: 'received' },
            { expr: sumRate('mqtt_sent_bytes_total'), legend: 'sent' },
          ],
        },
        {
          title: 'Clients at fault',
          description: 'Throttled, denied, or against the protocol.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('mqtt_throttled_total'), legend: 'throttled' },
            { expr: sumRate('mqtt_publishes_denied_total'), legend: 'publish denied' },
            { expr: sumRate('mqtt_subscribes_refused_total'), legend: 'subscribe refused' },
            { expr: sumRate('mqtt_protocol_errors_total'), legend: 'protocol errors' },
          ],
        },
      ],
    },
    {
      title: 'Uplink',
      panels: [
        {
          title: 'Uplinks',
          description: 'What devices sent to backends, stored and acknowledged.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('uplink_stored_total'), legend: 'stored' },
            { expr: sumRate('uplink_duplicates_total'), legend: 'sent again' },
          ],
        },
        {
          title: 'Uplinks refused, by reason',
          description: '`full`: nobody reads them, and `--uplink-max` is reached.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: nonZero(sumRateBy('reason', 'uplink_refused_total')), legend: '{{reason}}' }],
          alerts: ['PostriderUplinkFull'],
          onlyWhen: 'uplinks are refused',
        },
        {
          title: 'Uplinks kept',
          description: 'Bytes, as `--uplink-max` counts them.',
          kind: 'lines',
          unit: 'bytes',
          queries: [{ expr: `max(${metric('uplink_kept_bytes')})`, legend: 'kept' }],
          alerts: ['PostriderUplinkFull'],
        },
      ],
    },
  ],
}
