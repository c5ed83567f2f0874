import { counter, gauge, metricGroup } from '../../core/metrics/metric-row.js'
import type { MongoClientState, MongoCounters } from '../../core/metrics/mongo-counters.js'

interface MongoSource {
  readonly counters: MongoCounters
  readonly state: () => MongoClientState
}

/** The MongoDB store, as this process sees it. */
export const MONGODB = metricGroup<MongoSource>('MongoDB store', 'with a MongoDB store', [
  gauge(
    'mongodb_writable',
    '1: this process knows a server that takes writes',
    '0: there is no primary, or it cannot be reached; pushes are answered 503 `store_unavailable`',
    ({ state }) => Number(state().writable),
    'min',
  ),
  gauge(
    'mongodb_servers',
    'Servers of the replica set, or routers, that answer this process',
    'Fewer than there are: one is away',
    ({ state }) => state().servers,
    'min',
  ),
  gauge('mongodb_connections', 'Open connections', 'At most 64 to a server', ({ state }) => state().connections),
  gauge(
    'mongodb_connections_in_use',
    'Connections on which a command is under way',
    'Near 64: MongoDB is slow, and commands wait',
    ({ state }) => state().connectionsInUse,
  ),
  counter(
    'mongodb_connection_errors_total',
    'Connections that failed or ended with an error',
    'Rises while MongoDB is away',
    ({ counters }) => counters.connectionErrors,
  ),
  counter(
    'mongodb_commands_not_sent_total',
    'Commands that got no connection in time',
    'The server is away, or too slow for the load',
    ({ counters }) => counters.notSent,
  ),
  counter(
    'mongodb_heartbeats_failed_total',
    'Times that a server did not answer how it is',
    'Rises while a server is away; every server is asked every 2 s',
    ({ counters }) => counters.heartbeatsFailed,
  ),
  counter(
    'mongodb_step_conflicts_total',
    'Changes of a device that were made again because another process was first',
    'Many for each push: one device is pushed to by many nodes; send its messages to one, in batches',
    ({ counters }) => counters.conflicts,
  ),
  counter(
    'mongodb_claims_ended_total',
    'Claims of dead nodes that this process has ended',
    'A node was killed, or said nothing for 20 s: its devices that had not come back count as away since then',
    ({ counters }) => counters.claimsEnded,
  ),
])
