import { counter, counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'
import { SPAN_LOSSES, type TraceCounters } from '../../core/tracing/trace-counters.js'

interface Traces {
  readonly counters: TraceCounters
  readonly queue: { readonly size: number }
  readonly tracer: { readonly open: number }
}

/** Traces on their way to their receiver. */
export const TRACING = metricGroup<Traces>('Traces', 'with `--otel-endpoint`', [
  counter('trace_spans_exported_total', 'Spans that the receiver took', 'Traffic', ({ counters: c }) => c.exported),
  counterBy(
    'trace_spans_dropped_total',
    'reason',
    SPAN_LOSSES,
    'Spans that the receiver did not get',
    '`queue_full`, `unreachable`: it is away or slow; `refused`: it answers 4xx; `too_many_open`: more are traced than devices acknowledge; `stopped`: the process ended before they were sent. Delivery does not suffer',
    ({ counters: c }) => c.dropped,
  ),
  counter(
    'trace_export_failures_total',
    'Requests to the receiver that failed',
    'The log says why (`traces_not_exported`)',
    ({ counters: c }) => c.failures,
  ),
  gauge('trace_queue_spans', 'Spans that wait to be sent', 'Near 4,096 they are dropped', ({ queue }) => queue.size),
  gauge(
    'trace_open_spans',
    'Spans that have begun and not ended',
    'Traced messages that devices have and have not acknowledged; at 10,000 no more are traced',
    ({ tracer }) => tracer.open,
  ),
])
