/** Why a span did not reach the receiver of traces. */
export const SPAN_LOSSES = ['too_many_open', 'queue_full', 'unreachable', 'refused', 'stopped'] as const
export type SpanLoss = (typeof SPAN_LOSSES)[number]

/** Plain numbers since the start of the process. */
export class TraceCounters {
  /** Spans that the receiver took. */
  exported = 0
  /** Requests to the receiver that failed. */
  failures = 0
  readonly dropped: Record<SpanLoss, number> = {
    too_many_open: 0,
    queue_full: 0,
    unreachable: 0,
    refused: 0,
    stopped: 0,
  }
}
