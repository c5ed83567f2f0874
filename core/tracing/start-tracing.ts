// The one entry to tracing that is loaded with it; only cli/compose-tracing.ts does, and only when traces are exported.

import type { Clock } from '../clock.js'
import type { Logger } from '../log.js'
import { otlpPost } from './otlp-http.js'
import { SpanQueue, type SpanQueueLimits } from './span-queue.js'
import type { SpanAttributes } from './span.js'
import type { TraceCounters } from './trace-counters.js'
import { Tracer } from './tracer.js'

export interface TracingOptions {
  /** Where OTLP/HTTP is, without `/v1/traces`. */
  readonly endpoint: string
  readonly headers: Headers
  readonly ratio: number
  readonly resource: SpanAttributes
  readonly version: string
  readonly counters: TraceCounters
  readonly clock: Clock
  readonly log: Logger
  readonly limits?: Partial<SpanQueueLimits>
}

export interface Tracing {
  readonly tracer: Tracer
  readonly queue: Pick<SpanQueue, 'size' | 'stop'>
}

export function startTracing(options: TracingOptions): Tracing {
  const { endpoint, headers, ratio, clock, counters } = options
  const queue = new SpanQueue({ ...options, post: otlpPost(`${endpoint}/v1/traces`, headers) })
  return { queue, tracer: new Tracer({ ratio, clock, counters, finished: (span) => queue.add(span) }) }
}
