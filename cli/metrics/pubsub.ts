import { PubSubCounters } from '../../broker/pubsub/counters.js'
import { counter, counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'

const SHAPE = new PubSubCounters()

/** Ordinary publish and subscribe. */
export const PUBSUB = metricGroup<PubSubCounters>('Ordinary publish and subscribe', 'on nodes that serve devices', [
  counter(
    'pubsub_published_total',
    'Messages of ordinary pub/sub taken, wills included',
    'Traffic',
    (p) => p.published,
  ),
  counter('pubsub_sent_total', 'Messages of ordinary pub/sub sent', 'Traffic', (p) => p.sent),
  counter('pubsub_sent_again_total', 'Those of them with DUP', 'Sent again after a reconnect', (p) => p.sentAgain),
  counter(
    'pubsub_wills_total',
    'Wills published',
    'Connections that ended without DISCONNECT',
    (p) => p.willsPublished,
  ),
  counterBy(
    'pubsub_dropped_total',
    'reason',
    Object.keys(SHAPE.dropped),
    'Messages that did not reach a session',
    '`queue_full`, `slow_reader`: subscribers that are away or too slow',
    (p) => p.dropped,
  ),
  counter(
    'pubsub_sessions_expired_total',
    'Sessions ended because nobody used them',
    'See `--device-idle`',
    (p) => p.sessionsExpired,
  ),
  counter(
    'pubsub_reloads_total',
    'Times that the sessions were read again after a failed write',
    'The store could not write',
    (p) => p.reloads,
  ),
  gauge('pubsub_sessions', 'Sessions that are kept', 'They are in memory', (p) => p.storedSessions),
  gauge('pubsub_subscriptions', 'Subscriptions to ordinary topics', 'They are in memory', (p) => p.subscriptions),
  gauge('pubsub_retained', 'Retained messages', 'Bounded by `--retained-max`', (p) => p.retained),
  gauge(
    'pubsub_retained_bytes',
    'Bytes of their topics and payloads',
    'Bounded by `--retained-max-bytes`',
    (p) => p.retainedBytes,
  ),
])
