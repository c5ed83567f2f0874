import type { Alert } from './alert.js'

const JOB = { job: 'postrider' }
const AT_A = '{job="postrider",instance="a"}'
const droppedAtA = (reason: string): string =>
  `postrider_webhook_dropped_total{job="postrider",instance="a",reason="${reason}"}`

/** What backends are told too late, or never. */
export const WEBHOOK_ALERTS: readonly Alert[] = [
  {
    name: 'PostriderWebhookEventsLate',
    severity: 'ticket',
    lasts: '15m',
    expr: () => 'max by (job) (postrider_webhook_oldest_unsent_seconds) > 60',
    summary: 'A webhook has not taken events for {{ $value | humanizeDuration }} ({{ $labels.job }})',
    description:
      'For a quarter of an hour the oldest event has waited for over a minute: a receiver is down, or refuses the events of a device.',
    fires: {
      series: [
        { series: `postrider_webhook_oldest_unsent_seconds${AT_A}`, values: '0x5 0+60x40' },
        { series: 'postrider_webhook_oldest_unsent_seconds{job="postrider",instance="b"}', values: '0x45' },
      ],
      at: '30m',
      labels: JOB,
    },
    quiet: {
      series: [
        // Ten minutes that are caught up, and a few seconds all the time.
        { series: `postrider_webhook_oldest_unsent_seconds${AT_A}`, values: '0+60x10 0x10 0+60x10 0x15' },
        { series: 'postrider_webhook_oldest_unsent_seconds{job="postrider",instance="b"}', values: '5x45' },
      ],
      at: '30m',
    },
  },
  {
    name: 'PostriderWebhookEventsDropped',
    severity: 'page',
    lasts: '0s',
    expr: (time) => `sum by (job) (increase(postrider_webhook_dropped_total[${time('15m')}])) > 0`,
    summary: 'Events were dropped that a backend has not got ({{ $labels.job }})',
    description:
      'A webhook was behind for 24 hours, or by more events than --events-max. What it was to be told is lost for it, and goes on being lost until its receiver takes events again.',
    fires: {
      series: [
        { series: droppedAtA('too_old'), values: '0x40' },
        { series: droppedAtA('log_full'), values: '0x10 12x30' },
      ],
      at: '15m',
      labels: JOB,
    },
    quiet: {
      series: [
        { series: droppedAtA('too_old'), values: '0x40' },
        { series: droppedAtA('log_full'), values: '12x40' },
        { series: `postrider_events_dropped_total${AT_A}`, values: '0+5x40' },
      ],
      at: '30m',
    },
  },
]
