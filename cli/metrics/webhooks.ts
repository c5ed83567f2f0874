import type { EventLog } from '../../core/ports/event-log.js'
import { counter, counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'
import { WebhookCounters } from '../../push-api/webhooks/counters.js'
import type { WebhookSender } from '../../push-api/webhooks/webhook-sender.js'

interface WebhookSource {
  readonly counters: WebhookCounters
  readonly sender: Pick<WebhookSender, 'lag'>
  readonly events: Pick<EventLog, 'usage'>
}

const SHAPE = new WebhookCounters()

/** Events on their way to backends. */
export const WEBHOOKS = metricGroup<WebhookSource>('Webhooks', 'on nodes with the REST API', [
  counter('webhook_sent_total', 'Events that receivers took', 'Traffic', ({ counters: c }) => c.sent),
  counterBy(
    'webhook_failed_total',
    'reason',
    Object.keys(SHAPE.failed),
    'Attempts to send an event that failed',
    '`connect`, `dns`, `tls`, `blocked_address`, `unavailable` (429, 502–504): the receiver as a whole; the others: one event',
    ({ counters: c }) => c.failed,
  ),
  counterBy(
    'webhook_dropped_total',
    'reason',
    Object.keys(SHAPE.dropped),
    'Events that a webhook never got',
    'Lost for the backend. `too_old`: tried for 24 hours; `log_full`: over `--events-max` before they were read',
    ({ counters: c }) => c.dropped,
  ),
  counter(
    'webhook_parked_total',
    'Events set aside because an attempt for their device failed',
    'Receivers that refuse single events',
    ({ counters: c }) => c.parked,
  ),
  counter(
    'webhook_pauses_total',
    'Times that a receiver was taken for down',
    'Receivers',
    ({ counters: c }) => c.pauses,
  ),
  counter(
    'webhook_leases_total',
    'Times that this node began to send for a webhook',
    'Starts, changes of webhooks, and nodes that went away',
    ({ counters: c }) => c.leases,
  ),
  counter(
    'webhook_leases_lost_total',
    'Times that another node took over, or might have',
    'A store or a node that stood still',
    ({ counters: c }) => c.leasesLost,
  ),
  counter(
    'webhook_store_errors_total',
    'Calls of the store by the sender that failed',
    'They are tried again',
    ({ counters: c }) => c.storeErrors,
  ),
  counter(
    'webhook_secrets_unreadable_total',
    'Times that nothing could be sent for a webhook, because no present token secret opens its own',
    'A token secret that was taken away too early: set the webhook’s secret again',
    ({ counters: c }) => c.secretsUnreadable,
  ),
  gauge(
    'webhook_oldest_unsent_seconds',
    'Age of the oldest event that this node has read and not sent',
    'How late backends learn of events; at 86,400 they are dropped',
    ({ sender }) => sender.lag.oldestSeconds,
    'max',
  ),
  gauge(
    'webhook_unsent',
    'Events that wait for the webhooks that this node sends for',
    'Uplink that is not read yet is not counted',
    ({ sender }) => sender.lag.behind,
  ),
  gauge(
    'webhooks_held',
    'Webhooks that this node sends for',
    'Over all nodes: those that are enabled',
    ({ sender }) => sender.lag.held,
  ),
  gauge(
    'events_kept',
    'Events that are kept',
    'All nodes of one store see the same',
    ({ events }) => events.usage.count,
    'max',
  ),
  counter(
    'events_dropped_total',
    'Events that this process dropped to keep `--events-max`',
    'Lost for webhooks that were so far behind: see `webhook_dropped_total`',
    ({ events }) => events.usage.dropped,
  ),
])
