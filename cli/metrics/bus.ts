import type { LocalBusCounters } from '../../core/bus/local/local-bus.js'
import type { RedisBusCounters } from '../../core/bus/redis/counters.js'
import { counter, metricGroup } from '../../core/metrics/metric-row.js'

/** Within the process; a bus over Redis has them too. */
export const BUS = metricGroup<LocalBusCounters>('Bus', null, [
  counter(
    'bus_notices_delivered_total',
    'Notices handed to a node of this process',
    'The fast road of messages',
    (b) => b.noticesDelivered,
  ),
  counter(
    'bus_notices_dropped_total',
    'Notices to a node that is not there',
    'Devices that have just moved',
    (b) => b.noticesDropped,
  ),
  counter('bus_kicks_total', 'Requests to end a connection', 'Takeovers', (b) => b.kicks),
  counter(
    'bus_kicks_unconfirmed_total',
    'Requests to end a connection that were not confirmed in time',
    'A node that hangs, or has died',
    (b) => b.kicksUnconfirmed,
  ),
  counter(
    'bus_handler_errors_total',
    'Bus handlers that failed against their contract',
    'Not 0: a defect; the log has it',
    (b) => b.handlerErrors,
  ),
])

/** What goes between processes. */
export const REDIS_BUS = metricGroup<RedisBusCounters>('Bus over Redis', 'with a bus over Redis', [
  counter(
    'bus_notices_sent_total',
    'Notices that went to another process',
    'Traffic between nodes',
    (b) => b.noticesSent,
  ),
  counter(
    'bus_notices_unsent_total',
    'Notices that did not: Redis did not take them, nobody listened, or too much was on its way',
    'Their messages wait for the next sweep',
    (b) => b.noticesDropped,
  ),
  counter('bus_packets_failed_total', 'Publications that failed', 'Redis of the bus is away', (b) => b.packetsFailed),
  counter(
    'bus_packets_received_total',
    'Packets from other processes',
    'Traffic between nodes',
    (b) => b.packetsReceived,
  ),
  counter(
    'bus_gaps_total',
    'Times that the number of a packet was missing',
    'Notices were lost on their way; a sweep followed at once',
    (b) => b.gaps,
  ),
  counter(
    'bus_packets_repeated_total',
    'Packets that came twice or too late',
    'Dropped, at no harm',
    (b) => b.packetsRepeated,
  ),
  counter(
    'bus_packets_newer_total',
    'Packets of a newer version, dropped',
    'Nodes of two versions: rises during an upgrade only',
    (b) => b.packetsNewer,
  ),
  counter(
    'bus_packets_malformed_total',
    'Packets that could not be read, dropped',
    'Not 0: somebody else publishes there',
    (b) => b.packetsMalformed,
  ),
  counter(
    'bus_kicks_sent_total',
    'Requests to another process to end a connection',
    'Devices that move between nodes',
    (b) => b.kicksSent,
  ),
  counter(
    'bus_kicks_sent_unconfirmed_total',
    'Those of them that were not confirmed in time',
    'A node that hangs, or has died',
    (b) => b.kicksUnconfirmed,
  ),
  counter(
    'bus_kicks_refused_total',
    'Requests of others beyond what is done at one time',
    'A storm of takeovers',
    (b) => b.kicksRefused,
  ),
  counter(
    'bus_subscriptions_lost_total',
    'Subscriber connections that ended',
    'Each is made anew, and a sweep follows',
    (b) => b.subscriptionsLost,
  ),
  counter(
    'bus_subscriptions_silent_total',
    'Those of them that were ended here because nothing was heard',
    'The network between this node and Redis',
    (b) => b.subscriptionsSilent,
  ),
  counter(
    'bus_beats_failed_total',
    'Signs of life that could not be given',
    'After some, other nodes take this one for dead',
    (b) => b.beatsFailed,
  ),
])
