import type { Alert } from './alert.js'

const A = { job: 'postrider', instance: 'a' }
const AT_A = '{job="postrider",instance="a"}'

/** Nodes that are gone, stuck or full. */
export const NODE_ALERTS: readonly Alert[] = [
  {
    name: 'PostriderNodeDown',
    severity: 'page',
    lasts: '2m',
    expr: (time) => `up == 0 and on (job, instance) last_over_time(postrider_build_info[${time('1h')}])`,
    summary: '{{ $labels.instance }} does not answer',
    description:
      'A node that was scraped within the last hour cannot be: it has died, hangs, or is cut off. Its devices go to other nodes.',
    fires: {
      series: [
        { series: `up${AT_A}`, values: '1x10 0x30' },
        { series: 'postrider_build_info{job="postrider",instance="a",version="1"}', values: '1x10 _x30' },
      ],
      at: '20m',
      labels: A,
    },
    quiet: {
      series: [
        { series: `up${AT_A}`, values: '1x10 0x1 1x30' },
        { series: 'postrider_build_info{job="postrider",instance="a",version="1"}', values: '1x40' },
        { series: 'up{job="other",instance="b"}', values: '0x40' },
      ],
      at: '20m',
    },
  },
  {
    name: 'PostriderNodeNotReady',
    severity: 'page',
    lasts: '5m',
    expr: () => 'postrider_ready == 0 unless on (job, instance) (postrider_node_state{state="draining"} == 1)',
    summary: '{{ $labels.instance }} is not ready',
    description: 'The node runs and does not take work. `postrider_ready_check` names what is not good.',
    fires: {
      series: [
        { series: `postrider_ready${AT_A}`, values: '1x5 0x30' },
        { series: 'postrider_node_state{job="postrider",instance="a",state="draining"}', values: '0x40' },
      ],
      at: '20m',
      labels: A,
    },
    quiet: {
      series: [
        { series: `postrider_ready${AT_A}`, values: '1x5 0x30' },
        { series: 'postrider_node_state{job="postrider",instance="a",state="draining"}', values: '0x5 1x30' },
      ],
      at: '20m',
    },
  },
  {
    name: 'PostriderDrainStuck',
    severity: 'ticket',
    lasts: '10m',
    expr: () => 'postrider_node_state{state="draining"} == 1',
    summary: '{{ $labels.instance }} drains for over ten minutes',
    description:
      'A node that was told to stop is still there, long after its deadline or with a deadline that is too long.',
    fires: {
      series: [{ series: 'postrider_node_state{job="postrider",instance="a",state="draining"}', values: '0x5 1x30' }],
      at: '20m',
      labels: { ...A, state: 'draining' },
    },
    quiet: {
      series: [
        { series: 'postrider_node_state{job="postrider",instance="a",state="draining"}', values: '0x5 1x5 0x30' },
      ],
      at: '20m',
    },
  },
  {
    name: 'PostriderConnectionHeadroom',
    severity: 'ticket',
    lasts: '10m',
    expr: () => 'postrider_connections / postrider_connections_max > 0.8',
    summary: '{{ $labels.instance }} uses {{ $value | humanizePercentage }} of the connections that it may have',
    description:
      'At the limit newcomers get CONNACK 3. The limit is `--connections-max`, or what the limit of open files allows.',
    fires: {
      series: [
        { series: `postrider_connections${AT_A}`, values: '900x30' },
        { series: `postrider_connections_max${AT_A}`, values: '1000x30' },
      ],
      at: '20m',
      labels: A,
    },
    quiet: {
      series: [
        { series: `postrider_connections${AT_A}`, values: '700x30' },
        { series: `postrider_connections_max${AT_A}`, values: '1000x30' },
      ],
      at: '20m',
    },
  },
  {
    name: 'PostriderEventLoopBusy',
    severity: 'ticket',
    lasts: '10m',
    expr: (time) => `rate(postrider_event_loop_active_seconds_total[${time('5m')}]) > 0.8`,
    summary: '{{ $labels.instance }} has no processor time left',
    description:
      'The one thread that serves is busy for more than 80 % of the time. Everything on this node gets slower.',
    fires: {
      series: [{ series: `postrider_event_loop_active_seconds_total${AT_A}`, values: '0+58x40' }],
      at: '25m',
      labels: A,
    },
    quiet: {
      series: [{ series: `postrider_event_loop_active_seconds_total${AT_A}`, values: '0+45x40' }],
      at: '25m',
    },
  },
  {
    name: 'PostriderCertificateExpires',
    severity: 'ticket',
    lasts: '5m',
    expr: () => 'postrider_tls_certificate_expiry_timestamp_seconds - time() < 7 * 86400',
    summary: 'The certificate of {{ $labels.instance }} ends in {{ $value | humanizeDuration }}',
    description:
      'Devices refuse a server whose certificate has ended. A new one is taken from the file without a restart.',
    fires: {
      series: [{ series: `postrider_tls_certificate_expiry_timestamp_seconds${AT_A}`, values: '500000x30' }],
      at: '20m',
      labels: A,
    },
    quiet: {
      series: [{ series: `postrider_tls_certificate_expiry_timestamp_seconds${AT_A}`, values: '1000000x30' }],
      at: '20m',
    },
  },
]
