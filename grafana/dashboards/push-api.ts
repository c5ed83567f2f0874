import { maximum, metric, nonZero, quantile, rate, sum, sumRate, sumRateBy } from '../lib/metrics.js'
import type { Dashboard } from '../lib/panel.js'

export const PUSH_API: Dashboard = {
  uid: 'postrider-push-api',
  title: 'Postrider / Push API',
  description: 'Requests of backends: how many, how fast, what is refused and by whose fault.',
  sections: [
    {
      title: 'Requests',
      panels: [
        {
          title: 'Requests, by route',
          description: 'Answered requests.',
          kind: 'lines',
          unit: 'reqps',
          queries: [
            {
              expr: `sum by (method, route) (rate(${metric('http_requests_total')}[$__rate_interval]))`,
              legend: '{{method}} {{route}}',
            },
          ],
          stacked: true,
        },
        {
          title: 'Requests, by status',
          description: '5xx is this side.',
          kind: 'lines',
          unit: 'reqps',
          queries: [{ expr: sumRateBy('status', 'http_requests_total'), legend: '{{status}}' }],
          alerts: ['PostriderPushesFail'],
        },
        {
          title: 'Duration, p99 by route',
          description: 'From the head of the request to the end of its answer. A push waits for the store.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: quantile(0.99, 'http_request_seconds', '', 'route'), legend: '{{route}}' }],
        },
        {
          title: 'Messages accepted',
          description: 'Repeats that were answered with the first answer again beside them.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('messages_accepted_total'), legend: 'accepted' },
            { expr: sumRate('messages_duplicate_total'), legend: 'repeats' },
          ],
        },
        {
          title: 'Refused requests, by code',
          description:
            '`store_unavailable`, `outcome_unknown`, `overloaded`: this side is at fault. The others tell what the backend does wrong.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: nonZero(sumRateBy('code', 'api_problems_total')), legend: '{{code}}' }],
          alerts: ['PostriderPushesFail'],
          onlyWhen: 'requests are refused',
        },
        {
          title: 'Refused messages of batches, by code',
          description: 'A batch is answered 200 also when each of its messages was refused.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: nonZero(sumRateBy('code', 'api_items_refused_total')), legend: '{{code}}' }],
          onlyWhen: 'messages of a batch are refused',
        },
      ],
    },
    {
      title: 'The queue to the store',
      panels: [
        {
          title: 'Messages in the queue',
          description: 'Handed to the store and not answered. Over its bound pushes are refused as `overloaded`.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: metric('append_queue_messages'), legend: '{{instance}}' }],
        },
        {
          title: 'Age of the queue',
          description: 'How long the oldest of them waits.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: metric('append_queue_age_seconds'), legend: '{{instance}}' }],
          alerts: ['PostriderPushesFail'],
        },
        {
          title: 'Append to the store, p50 and p99',
          description: 'What a push waits for.',
          kind: 'lines',
          unit: 's',
          queries: [
            { expr: quantile(0.5, 'store_operation_seconds', 'operation="append"'), legend: 'p50' },
            { expr: quantile(0.99, 'store_operation_seconds', 'operation="append"'), legend: 'p99' },
          ],
        },
      ],
    },
    {
      title: 'Webhooks',
      panels: [
        {
          title: 'Events sent',
          description: 'Events that receivers took, by the node that sends.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: rate('webhook_sent_total'), legend: '{{instance}}' }],
        },
        {
          title: 'Oldest event that is not sent',
          description: 'How late backends learn of events. At 86,400 s they are dropped.',
          kind: 'lines',
          unit: 's',
          queries: [{ expr: maximum('webhook_oldest_unsent_seconds'), legend: 'oldest' }],
          alerts: ['PostriderWebhookEventsLate'],
        },
        {
          title: 'Events that wait',
          description: 'For all webhooks together. Over `--events-max` the oldest are dropped.',
          kind: 'lines',
          unit: 'short',
          queries: [
            { expr: sum('webhook_unsent'), legend: 'not sent' },
            { expr: maximum('events_kept'), legend: 'kept in the log' },
          ],
          alerts: ['PostriderWebhookEventsDropped'],
        },
        {
          title: 'Dropped events',
          description: 'What backends were never told: tried for 24 hours, or over `--events-max` before it was read.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRateBy('reason', 'webhook_dropped_total'), legend: '{{reason}}' }],
          alerts: ['PostriderWebhookEventsDropped'],
        },
        {
          title: 'Failed attempts, by reason',
          description:
            '`connect`, `dns`, `tls`, `blocked_address`, `unavailable`: the receiver as a whole; the others: one event.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: nonZero(sumRateBy('reason', 'webhook_failed_total')), legend: '{{reason}}' }],
          alerts: ['PostriderWebhookEventsLate'],
          onlyWhen: 'a receiver does not take events',
        },
      ],
    },
    {
      title: 'Connections of backends',
      panels: [
        {
          title: 'Open connections',
          description: 'Near the limit newcomers are refused.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: sum('api_connections'), legend: 'open' }],
        },
        {
          title: 'Ended to keep a limit',
          description: '`refused`, `evicted`: too many; `stalled`: the backend does not read its answers.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRateBy('reason', 'api_connections_ended_total'), legend: '{{reason}}' }],
        },
        {
          title: 'Defects',
          description: 'Requests that failed by a fault of the program. Not 0: the log has it.',
          kind: 'number',
          unit: 'short',
          queries: [{ expr: maximum('api_internal_errors_total'), legend: '' }],
          thresholds: [{ from: 1, color: 'red' }],
        },
      ],
    },
  ],
}
