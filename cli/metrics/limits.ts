import { gauge, metricGroup } from '../../core/metrics/metric-row.js'

export interface LimitsSource {
  readonly connections: number
  readonly sockets: number
  readonly socketsOpen: () => number
  readonly apiConnections: number
  readonly uplinkBytes: number
}

/** What is allowed, to be compared with what is. */
export const LIMITS = metricGroup<LimitsSource>('Limits', null, [
  gauge(
    'connections_max',
    'Devices that may be connected',
    'Headroom: `1 - connections / connections_max`',
    (limits) => limits.connections,
  ),
  gauge('open_sockets', 'Sockets of all listeners but the admin port', 'Devices and REST together', (limits) =>
    limits.socketsOpen(),
  ),
  gauge(
    'open_sockets_max',
    'Sockets that the limit of open files allows',
    'Over it those who only wait are put out',
    (limits) => limits.sockets,
  ),
  gauge(
    'api_connections_max',
    'Connections to the REST API that are allowed',
    'Headroom: `1 - api_connections / api_connections_max`',
    (limits) => limits.apiConnections,
  ),
  gauge(
    'uplink_max_bytes',
    'Bytes of uplink that may be kept',
    'Headroom: `1 - uplink_kept_bytes / uplink_max_bytes`',
    (limits) => limits.uplinkBytes,
    'max',
  ),
])
