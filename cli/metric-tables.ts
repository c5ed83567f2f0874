// Which counters of the components are shown as metrics, under which names. A counter that is not listed here is not seen:
// the unit test of this file says so.

import type { BrokerCounters, DrainCounters } from '../broker/counters.js'
import type { PubSubCounters } from '../broker/pubsub/counters.js'
import type { UplinkCounters } from '../broker/uplink/uplink-counters.js'
import type { LocalBusCounters } from '../core/bus/local/local-bus.js'
import type { RedisBusCounters } from '../core/bus/redis/counters.js'
import { DRAIN_PHASES, type Drain } from '../core/drain.js'
import type { LineLimit } from '../core/log.js'
import type { Metric } from '../core/metrics/metrics.js'
import type { Uplink } from '../core/ports/uplink.js'
import type { TokenCounters } from '../core/security/device-tokens.js'
import type { KeySetCache, KeySetCounters } from '../core/security/key-set-cache.js'
import type { CertificateCounters, Certificates } from '../core/tls/certificates.js'
import type { CourierCounters } from '../courier/courier-counters.js'
import type { ApiCounters } from '../push-api/counters.js'
import type { PushApi } from '../push-api/create-push-api.js'
import type { SecretCounters } from './secret-watch.js'

const counter = (name: string, help: string, read: () => number): Metric => ({ name, help, kind: 'counter', read })
const gauge = (name: string, help: string, read: () => number): Metric => ({ name, help, kind: 'gauge', read })
const byLabel = (
  name: string,
  label: string,
  help: string,
  read: () => Readonly<Record<string, number>> | ReadonlyMap<string, number>,
): Metric => ({ name, help, kind: 'counter', label, read })

/** Of the node. */
export function drainPhaseMetrics(drain: Pick<Drain, 'phase'>): readonly Metric[] {
  return [
    gauge(
      'drain_state',
      'How far a stop in good order is: 0 serving, 1 announced and still serving, 2 letting go of connections, 3 stopping',
      () => DRAIN_PHASES.indexOf(drain.phase),
    ),
  ]
}

/** Of a broker. */
export function drainMetrics(c: DrainCounters): readonly Metric[] {
  return [
    gauge(
      'drain_connections_leaving',
      'Connections that may finish what is in flight and get nothing more',
      () => c.leaving,
    ),
    byLabel(
      'drain_connections_total',
      'connections',
      'Connections ended by a drain: idle ones, busy ones after a moment, and the rest when its time was over',
      () => c.ended,
    ),
  ]
}

/** Only where TLS is on. */
export function tlsMetrics(c: CertificateCounters, certificates: Pick<Certificates, 'current'>): readonly Metric[] {
  return [
    gauge(
      'tls_certificate_expiry_timestamp_seconds',
      'When the certificate that is served ends, Unix time',
      () => certificates.current.expiresAt / 1000,
    ),
    byLabel('tls_reloads_total', 'result', 'Changed TLS files, by whether they could be used', () => c.reloads),
  ]
}

export function courierMetrics(c: CourierCounters): readonly Metric[] {
  return [
    counter('messages_sent_total', 'Messages handed to devices, redeliveries included', () => c.sent),
    counter(
      'messages_redelivered_total',
      'Messages sent that an earlier connection may have seen',
      () => c.redelivered,
    ),
    counter('messages_acked_total', 'Messages that devices acknowledged', () => c.acked),
    counter('acks_unknown_total', 'Acknowledgements of packets that were not in flight', () => c.unknownAcks),
    counter(
      'acks_unknown_epoch_total',
      'Acknowledgements of an epoch that the log does not know',
      () => c.acksOfUnknownEpochs,
    ),
    counter(
      'acks_unknown_log_total',
      'Acknowledgements of a log that the device does not have',
      () => c.acksOfUnknownLogs,
    ),
    byLabel(
      'hellos_total',
      'position',
      'Hellos of stream mode, by what the store made of their position',
      () => c.hellos,
    ),
    byLabel('gaps_told_total', 'reason', 'Gaps that devices in stream mode were told of', () => c.gapsTold),
    counter(
      'acks_dropped_total',
      'Acknowledgements that could not be stored after their connection ended',
      () => c.acksDropped,
    ),
    counter(
      'notices_taken_total',
      'Messages that went from a notice to the device without a read',
      () => c.noticesTaken,
    ),
    counter('notices_missed_total', 'Messages found by a read or sweep before a notice of them', () => c.noticesMissed),
    counter('store_reads_total', 'Pages read for delivery', () => c.reads),
    counter(
      'store_read_errors_total',
      'Pages that could not be read, and hellos that could not be looked up',
      () => c.readErrors,
    ),
    counter('ack_flushes_total', 'Batches of acknowledgements stored', () => c.flushes),
    counter('ack_flush_errors_total', 'Batches of acknowledgements that could not be stored', () => c.flushErrors),
    counter('store_ping_errors_total', 'Questions whether the store answers that failed', () => c.pingErrors),
    counter('takeovers_total', 'Connections that found their device claimed by another one', () => c.takeovers),
    counter('stale_claims_total', 'Takeovers by force: the old owner did not answer in time', () => c.staleClaims),
    counter('releases_failed_total', 'Claims that could not be released', () => c.releasesFailed),
    counter('sweeps_total', 'Comparisons of the connected devices with the store', () => c.sweeps),
    counter('sweep_errors_total', 'Comparisons that failed', () => c.sweepErrors),
    byLabel('sweep_findings_total', 'finding', 'What sweeps found', () => c.sweepFindings),
    counter('window_waits_total', 'Messages that had to wait for a full window', () => c.windowWaits),
    counter('socket_waits_total', 'Times that sending stopped for a full socket', () => c.socketWaits),
    counter(
      'unconfirmed_holds_total',
      'Times that sending stopped because claims were not confirmed',
      () => c.unconfirmedHolds,
    ),
    byLabel('courier_closes_total', 'code', 'Device connections closed by their courier', () => c.closesByCode),
  ]
}

export function brokerMetrics(b: BrokerCounters): readonly Metric[] {
  return [
    gauge('sockets', 'Open sockets on the device listeners', () => b.sockets),
    gauge('connections', 'Connected devices', () => b.connections),
    counter('mqtt_received_bytes_total', 'Bytes from devices', () => b.bytesIn),
    counter('mqtt_sent_bytes_total', 'Bytes to devices', () => b.bytesOut),
    counter('mqtt_publishes_sent_total', 'PUBLISH packets to devices', () => b.publishesSent),
    counter('stream_frames_sent_total', 'Frames of stream mode to devices', () => b.framesSent),
    counter('stream_frames_received_total', 'Frames of stream mode from devices', () => b.framesReceived),
    counter('mqtt_publishes_dup_total', 'PUBLISH packets to devices with DUP', () => b.publishesRedelivered),
    counter('mqtt_pubacks_total', 'PUBACK packets from devices', () => b.pubacks),
    counter('mqtt_pubacks_unknown_total', 'PUBACK packets that nothing waited for', () => b.pubacksUnknown),
    counter('mqtt_subscribes_granted_total', 'Filters granted', () => b.subscribesGranted),
    byLabel('mqtt_connects_total', 'result', 'CONNECT packets, by what became of them', () => b.connects),
    byLabel('mqtt_closes_total', 'reason', 'Ended connections', () => b.closes),
    byLabel('mqtt_subscribes_refused_total', 'reason', 'Filters answered with 0x80', () => b.subacksRefused),
    byLabel(
      'mqtt_publishes_denied_total',
      'topic',
      'PUBLISH packets denied, by the kind of topic',
      () => b.publishesDenied,
    ),
    byLabel(
      'mqtt_throttled_total',
      'rate',
      'Times that a connection was not read for a while, by the rate that it had used up',
      () => b.throttled,
    ),
    byLabel('mqtt_protocol_errors_total', 'error', 'Packets against the protocol', () => b.protocolErrors),
    gauge('mqtt_entrance_waiting', 'Connections before their first byte of MQTT', () => b.entrance.waiting),
    counter('mqtt_entrance_passed_total', 'Connections that got to it through a handshake', () => b.entrance.passed),
    byLabel(
      'mqtt_entrance_failures_total',
      'reason',
      'Connections that ended before it: PROXY header, TLS, WebSocket upgrade',
      () => b.entrance.failures,
    ),
  ]
}

export function apiMetrics(a: ApiCounters): readonly Metric[] {
  return [
    counter('api_requests_total', 'Requests to routes that ask for a key', () => a.requests),
    counter('messages_accepted_total', 'Messages stored', () => a.accepted),
    counter('messages_duplicate_total', 'Messages answered with an earlier answer', () => a.duplicates),
    counter('api_notices_total', 'Notices given to the bus', () => a.notices),
    counter('api_internal_errors_total', 'Requests that failed by a fault of the program', () => a.internalErrors),
    byLabel('api_connections_ended_total', 'reason', 'Connections ended to keep a limit', () => a.connectionsEnded),
    byLabel('api_requests_unread_total', 'reason', 'Bytes that became no request', () => a.requestsUnread),
    byLabel('api_problems_total', 'code', 'Requests refused', () => a.problems.byCode),
    byLabel(
      'api_items_refused_total',
      'code',
      'Messages refused inside an answered batch',
      () => a.refusedItems.byCode,
    ),
  ]
}

export function httpMetrics(connections: PushApi['connections']): readonly Metric[] {
  return [gauge('api_connections', 'Open connections to the REST API', () => connections.open)]
}

export function logMetrics(lines: Pick<LineLimit, 'leftOut'>): readonly Metric[] {
  return [counter('log_lines_left_out_total', 'Lines of the log that were not written', () => lines.leftOut)]
}

export function queueMetrics(queue: PushApi['queue']): readonly Metric[] {
  return [
    gauge('append_queue_messages', 'Messages handed to the store and not answered yet', () => queue.count),
    gauge('append_queue_bytes', 'Bytes handed to the store and not answered yet', () => queue.bytes),
    gauge('append_queue_age_seconds', 'How long the oldest of them waits', () => queue.age() / 1000),
  ]
}

export function pubsubMetrics(p: PubSubCounters): readonly Metric[] {
  return [
    counter('pubsub_published_total', 'Messages of ordinary pub/sub taken, wills included', () => p.published),
    counter('pubsub_sent_total', 'Messages of ordinary pub/sub sent', () => p.sent),
    counter('pubsub_sent_again_total', 'Those of them with DUP', () => p.sentAgain),
    counter('pubsub_wills_total', 'Wills published', () => p.willsPublished),
    byLabel('pubsub_dropped_total', 'reason', 'Messages that did not reach a session', () => p.dropped),
    counter('pubsub_sessions_expired_total', 'Sessions ended because nobody used them', () => p.sessionsExpired),
    counter('pubsub_reloads_total', 'Times that the sessions were read again after a failed write', () => p.reloads),
    gauge('pubsub_sessions', 'Sessions that are kept', () => p.storedSessions),
    gauge('pubsub_subscriptions', 'Subscriptions to ordinary topics', () => p.subscriptions),
    gauge('pubsub_retained', 'Retained messages', () => p.retained),
    gauge('pubsub_retained_bytes', 'Bytes of their topics and payloads', () => p.retainedBytes),
  ]
}

export function uplinkMetrics(c: UplinkCounters, uplink: Pick<Uplink, 'usage'>): readonly Metric[] {
  return [
    counter('uplink_stored_total', 'Uplinks stored and acknowledged', () => c.stored),
    counter('uplink_stored_bytes_total', 'Bytes of their payloads', () => c.storedBytes),
    counter('uplink_duplicates_total', 'Those that were stored before, by the id of the device', () => c.duplicates),
    counter('uplink_wills_total', 'Those that are last wills', () => c.wills),
    counter('uplink_repeated_total', 'Uplinks sent again while the first one was being stored', () => c.repeated),
    byLabel('uplink_refused_total', 'reason', 'Uplinks not stored', () => c.refused),
    gauge('uplink_kept', 'Uplinks that are kept', () => uplink.usage.count),
    gauge('uplink_kept_bytes', 'Bytes of them, as `--uplink-max` counts', () => uplink.usage.bytes),
  ]
}

export function busMetrics(b: LocalBusCounters): readonly Metric[] {
  return [
    counter('bus_notices_delivered_total', 'Notices handed to a node', () => b.noticesDelivered),
    counter('bus_notices_dropped_total', 'Notices to a node that is not there', () => b.noticesDropped),
    counter('bus_kicks_total', 'Requests to end a connection', () => b.kicks),
    counter(
      'bus_kicks_unconfirmed_total',
      'Requests to end a connection that were not confirmed in time',
      () => b.kicksUnconfirmed,
    ),
    counter('bus_handler_errors_total', 'Bus handlers that failed against their contract', () => b.handlerErrors),
  ]
}

/** Of a bus over Redis: those of this process's own nodes, and what goes between processes. */
export function redisBusMetrics(b: RedisBusCounters): readonly Metric[] {
  return [
    ...busMetrics(b.local),
    counter('bus_notices_sent_total', 'Notices that went to another process', () => b.noticesSent),
    counter(
      'bus_notices_unsent_total',
      'Notices that did not: Redis did not take them, nobody listened, or too much was on its way',
      () => b.noticesDropped,
    ),
    counter('bus_packets_failed_total', 'Publications that failed', () => b.packetsFailed),
    counter('bus_packets_received_total', 'Packets from other processes', () => b.packetsReceived),
    counter('bus_gaps_total', 'Times that the number of a packet was missing', () => b.gaps),
    counter('bus_packets_repeated_total', 'Packets that came twice or too late', () => b.packetsRepeated),
    counter('bus_packets_newer_total', 'Packets of a newer version, dropped', () => b.packetsNewer),
    counter('bus_packets_malformed_total', 'Packets that could not be read, dropped', () => b.packetsMalformed),
    counter('bus_kicks_sent_total', 'Requests to another process to end a connection', () => b.kicksSent),
    counter(
      'bus_kicks_sent_unconfirmed_total',
      'Those of them that were not confirmed in time',
      () => b.kicksUnconfirmed,
    ),
    counter('bus_kicks_refused_total', 'Requests of others beyond what is done at one time', () => b.kicksRefused),
    counter('bus_subscriptions_lost_total', 'Subscriber connections that ended', () => b.subscriptionsLost),
    counter(
      'bus_subscriptions_silent_total',
      'Those of them that were ended here because nothing was heard',
      () => b.subscriptionsSilent,
    ),
    counter('bus_beats_failed_total', 'Signs of life that could not be given', () => b.beatsFailed),
  ]
}

export function securityMetrics(tokens: TokenCounters, secrets: SecretCounters): readonly Metric[] {
  return [
    byLabel('tokens_refused_total', 'reason', 'Device tokens that were refused', () => tokens.refused),
    byLabel('secret_reloads_total', 'result', 'Changed files with secrets, taken or not', () => secrets.reloads),
  ]
}

export function keySetMetrics(k: KeySetCounters, cache: Pick<KeySetCache, 'size' | 'ageMs'>): readonly Metric[] {
  return [
    byLabel('jwks_reads_total', 'result', 'Reads of the JWKS', () => k.reads),
    counter('jwks_unknown_keys_total', 'Tokens that named a key which the JWKS does not have', () => k.unknownKeys),
    gauge('jwks_keys', 'Keys of the JWKS that verify tokens', () => cache.size),
    gauge('jwks_age_seconds', 'Since the JWKS was read last', () => cache.ageMs / 1000),
  ]
}
