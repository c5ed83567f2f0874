import { DrainCounters } from '../../broker/counters.js'
import { DRAIN_PHASES, type Drain } from '../../core/drain.js'
import { counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'

/** How far a stop is. */
export const DRAIN_PHASE = metricGroup<Pick<Drain, 'phase'>>('Drain', null, [
  gauge(
    'drain_state',
    'How far a stop in good order is: 0 serving, 1 announced and still serving, 2 letting go of connections, 3 stopping',
    'Above 0 for longer than `--drain-deadline`: the stop is stuck',
    (drain) => DRAIN_PHASES.indexOf(drain.phase),
    'max',
  ),
])

/** What a drain does with devices. */
export const DRAIN = metricGroup<DrainCounters>('Drain of devices', 'on nodes that serve devices', [
  gauge(
    'drain_connections_leaving',
    'Connections that may finish what is in flight and get nothing more',
    'Devices that are slow to acknowledge',
    (c) => c.leaving,
  ),
  counterBy(
    'drain_connections_total',
    'connections',
    Object.keys(new DrainCounters().ended),
    'Connections ended by a drain: idle ones, busy ones after a moment, and the rest when its time was over',
    '`rest`: the deadline is too short for `--drain-rate`, or devices do not acknowledge',
    (c) => c.ended,
  ),
])
