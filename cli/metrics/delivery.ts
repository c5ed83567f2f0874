import { DELIVERY_SECONDS } from '../../core/metrics/histogram.js'
import { counter, counterBy, gauge, gaugeBy, histogramBy, metricGroup } from '../../core/metrics/metric-row.js'
import { CourierCounters } from '../../courier/courier-counters.js'
import { WAITING_OVER } from '../../courier/waiting-devices.js'

interface Delivery {
  readonly counters: CourierCounters
  /** Milliseconds. */
  readonly monotonic: () => number
}

const SHAPE = new CourierCounters()
const THEN = Object.keys(SHAPE.acceptToSent)

/** From the inbox to the device: what couriers do. */
export const DELIVERY = metricGroup<Delivery>('Delivery', 'on nodes that serve devices', [
  counter(
    'messages_sent_total',
    'Messages handed to devices, redeliveries included',
    'The traffic to devices',
    ({ counters: c }) => c.sent,
  ),
  counter(
    'messages_redelivered_total',
    'Messages sent that an earlier connection may have seen',
    'Rises with reconnects. Much of it: devices lose their connections before they acknowledge',
    ({ counters: c }) => c.redelivered,
  ),
  counter(
    'messages_acked_total',
    'Messages in flight that devices acknowledged',
    'Follows `messages_sent_total`; behind it for long: devices take messages and do not acknowledge',
    ({ counters: c }) => c.acked,
  ),
  histogramBy(
    'accept_to_sent_seconds',
    'accepted_while',
    THEN,
    DELIVERY_SECONDS,
    'From the accepted push to the first time that the message was handed to the device, by whether the device could be sent something when it was accepted',
    'The delivery latency that the platform answers for is `connected`; `away` is how long devices were gone. It compares the clock of the store with that of the node',
    ({ counters: c }) => c.acceptToSent,
  ),
  histogramBy(
    'accept_to_handled_seconds',
    'accepted_while',
    THEN,
    DELIVERY_SECONDS,
    'From the accepted push to the acknowledgement of the device, likewise',
    'Over `accept_to_sent_seconds` by the time that devices and their networks take',
    ({ counters: c }) => c.acceptToHandled,
  ),
  gauge(
    'oldest_pending_age_seconds',
    'How long the oldest message waits that a connected and subscribed device has not handled, as the last sweep saw it',
    'Seconds in health. One stuck device raises it: `devices_waiting` tells one from many',
    ({ counters: c, monotonic }) => c.waiting.oldest(monotonic()) / 1000,
    'max',
  ),
  gauge(
    'connected_pending_messages',
    'Messages that wait for connected and subscribed devices, as the last sweep saw it',
    'The backlog that could be delivered now',
    ({ counters: c }) => c.waiting.messages,
  ),
  gaugeBy(
    'devices_waiting',
    'longer_than_seconds',
    WAITING_OVER,
    'Connected and subscribed devices whose oldest message waits longer, as the last sweep saw it',
    'Many at 60: delivery is broken, not a device',
    ({ counters: c }) => c.waiting.over,
    'sum',
  ),
  counter(
    'notices_taken_total',
    'Messages that went from a notice to the device without a read',
    'The fast road; the rest was read from the store',
    ({ counters: c }) => c.noticesTaken,
  ),
  counter(
    'notices_missed_total',
    'Messages found by a read or a sweep before a notice of them',
    'Late notices count too, so some are normal',
    ({ counters: c }) => c.noticesMissed,
  ),
  counter(
    'notices_lost_total',
    'Messages found by a sweep of which no notice had come by the next sweep',
    'Not 0: the bus loses notices, and their messages were late by up to the sweep interval',
    ({ counters: c }) => c.noticesLost,
  ),
  counter(
    'window_waits_total',
    'Messages that had to wait for a full window',
    'Devices acknowledge more slowly than messages come',
    ({ counters: c }) => c.windowWaits,
  ),
  counter(
    'socket_waits_total',
    'Times that sending stopped for a full socket',
    'Devices or their networks read too slowly; those that do not read at all are in `mqtt_closes_total{reason="slow_consumer"}`',
    ({ counters: c }) => c.socketWaits,
  ),
  counterBy(
    'courier_closes_total',
    'code',
    Object.keys(SHAPE.closesByCode),
    'Device connections closed by their courier',
    '`resync`: place and log did not fit, which loss of data does; `slow_consumer`: the device stopped reading or acknowledging',
    ({ counters: c }) => c.closesByCode,
  ),
  counter(
    'acks_unknown_total',
    'Acknowledgements of packets that were not in flight',
    'A client that acknowledges twice, or what it was not sent',
    ({ counters: c }) => c.unknownAcks,
  ),
  counter(
    'acks_unknown_epoch_total',
    'Acknowledgements of an epoch that the log does not know',
    'Not 0: the store came back with less than it had',
    ({ counters: c }) => c.acksOfUnknownEpochs,
  ),
  counter(
    'acks_unknown_log_total',
    'Acknowledgements of a log that the device does not have',
    'A client at fault',
    ({ counters: c }) => c.acksOfUnknownLogs,
  ),
  counter(
    'acks_dropped_total',
    'Acknowledgements that could not be stored after their connection ended',
    'Those messages are delivered again',
    ({ counters: c }) => c.acksDropped,
  ),
  counterBy(
    'hellos_total',
    'position',
    Object.keys(SHAPE.hellos),
    'Hellos of stream mode, by what the store made of their position',
    '`past` and `unknown`: the store has lost what the device had seen, and the device is told of a reset',
    ({ counters: c }) => c.hellos,
  ),
  counterBy(
    'gaps_told_total',
    'reason',
    Object.keys(SHAPE.gapsTold),
    'Gaps that devices in stream mode were told of',
    'What devices learn of messages that will not come',
    ({ counters: c }) => c.gapsTold,
  ),
  counter(
    'claims_total',
    'Connections that came to own their device',
    'The rate of reconnects, as the store sees it',
    ({ counters: c }) => c.claims,
  ),
  counter(
    'takeovers_total',
    'Connections that found their device claimed by another one',
    'Devices that come back before their old connection is known to be dead, or two clients with one id',
    ({ counters: c }) => c.takeovers,
  ),
  counter(
    'takeovers_forced_total',
    'Takeovers by force: the old owner did not let go in time',
    'Rises when a node has died or hangs, or the bus is down',
    ({ counters: c }) => c.staleClaims,
  ),
  counter(
    'stale_claims_refused_total',
    'Reads and changes that the store refused because another claim is stored',
    'An owner that did not know yet that it was one no more; harmless, and rare',
    ({ counters: c }) => c.staleClaimsRefused,
  ),
  counter(
    'releases_failed_total',
    'Claims that could not be released',
    'The device shows as online until it connects again',
    ({ counters: c }) => c.releasesFailed,
  ),
  counter(
    'unconfirmed_holds_total',
    'Times that sending stopped because claims were not confirmed',
    'The process was frozen, or the store out of its reach, for more than 3 s',
    ({ counters: c }) => c.unconfirmedHolds,
  ),
  counter(
    'sweeps_total',
    'Comparisons of the connected devices with the store',
    'Stands still: lost notices are not found any more',
    ({ counters: c }) => c.sweeps,
  ),
  counter(
    'sweep_errors_total',
    'Comparisons that failed',
    'The store cannot be asked',
    ({ counters: c }) => c.sweepErrors,
  ),
  counterBy(
    'sweep_findings_total',
    'finding',
    Object.keys(SHAPE.sweepFindings),
    'Devices for which a sweep found something',
    '`head`: a notice was late or lost; `ack`: the store has lost acknowledgements; `look`, `resync`: it has lost messages; `close`: the device has another owner',
    ({ counters: c }) => c.sweepFindings,
  ),
  counter(
    'store_reads_total',
    'Pages read for delivery',
    'Devices that catch up, and messages without a notice',
    ({ counters: c }) => c.reads,
  ),
  counter(
    'store_read_errors_total',
    'Pages that could not be read, and hellos that could not be looked up',
    'The store cannot be asked; it is tried again',
    ({ counters: c }) => c.readErrors,
  ),
  counter(
    'ack_flushes_total',
    'Batches of acknowledgements stored',
    'At most one each 150 ms and node, unless windows are half full',
    ({ counters: c }) => c.flushes,
  ),
  counter(
    'ack_flush_errors_total',
    'Batches of acknowledgements that could not be stored',
    'They are tried again; a node that dies meanwhile makes devices get messages twice',
    ({ counters: c }) => c.flushErrors,
  ),
  counter(
    'store_ping_errors_total',
    'Questions whether the store answers that failed',
    'One a second while the store is away',
    ({ counters: c }) => c.pingErrors,
  ),
])
