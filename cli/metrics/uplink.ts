import { UplinkCounters } from '../../broker/uplink/uplink-counters.js'
import type { Uplink } from '../../core/ports/uplink.js'
import { counter, counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'

interface UplinkSource {
  readonly counters: UplinkCounters
  readonly uplink: Pick<Uplink, 'usage'>
}

const SHAPE = new UplinkCounters()

/** What devices send to backends. */
export const UPLINK = metricGroup<UplinkSource>('Uplink', 'on nodes that serve devices', [
  counter('uplink_stored_total', 'Uplinks stored and acknowledged', 'Traffic', ({ counters: c }) => c.stored),
  counter('uplink_stored_bytes_total', 'Bytes of their payloads', 'Traffic', ({ counters: c }) => c.storedBytes),
  counter(
    'uplink_duplicates_total',
    'Those that were stored before, by the id of the device',
    'Devices that send again what they could not know was stored',
    ({ counters: c }) => c.duplicates,
  ),
  counter(
    'uplink_wills_total',
    'Those that are last wills',
    'Connections that ended without DISCONNECT',
    ({ counters: c }) => c.wills,
  ),
  counter(
    'uplink_repeated_total',
    'Uplinks sent again while the first one was being stored',
    'A slow store, or impatient clients',
    ({ counters: c }) => c.repeated,
  ),
  counterBy(
    'uplink_refused_total',
    'reason',
    Object.keys(SHAPE.refused),
    'Uplinks not stored',
    '`full`: over `--uplink-max`; `device_full`: one device over its share; `timeout`, `store_unavailable`: the store',
    ({ counters: c }) => c.refused,
  ),
  gauge(
    'uplink_kept',
    'Uplinks that are kept',
    'All nodes of one store see the same',
    ({ uplink }) => uplink.usage.count,
    'max',
  ),
  gauge(
    'uplink_kept_bytes',
    'Bytes of them, as `--uplink-max` counts',
    'At `--uplink-max` devices cannot send any more: alert well before',
    ({ uplink }) => uplink.usage.bytes,
    'max',
  ),
])
