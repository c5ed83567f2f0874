// Decides what is traced (head sampling), and makes spans. Who has no tracer (null: no traces are exported) pays one
// comparison; this file is loaded only when there is one.

import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.js'
import { isTraceparent } from '../model/trace-context.js'
import type { OpenSpan, Span, SpanAttributes, SpanKind } from './span.js'
import type { TraceCounters } from './trace-counters.js'

/** Spans that have begun and not ended; of more, none is begun: devices that take long to acknowledge must not fill memory. */
const OPEN_MAX = 10_000

export interface TracerOptions {
  /** The share of pushes without a trace context that begin a trace, 0 to 1. */
  readonly ratio: number
  readonly clock: Clock
  readonly counters: TraceCounters
  /** Takes a finished span at once, or drops it: never waits, never throws. */
  readonly finished: (span: Span) => void
  /** 0 ≤ x < 1. Default: Math.random. */
  readonly random?: () => number
  readonly openMax?: number
}

export interface SpanEnd {
  readonly name: string
  readonly kind: SpanKind
  readonly attributes: SpanAttributes
  readonly error?: string | null
}

export class Tracer {
  readonly #options: TracerOptions
  readonly #random: () => number
  readonly #openMax: number
  #open = 0

  constructor(options: TracerOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#openMax = options.openMax ?? OPEN_MAX
  }

  /** Spans that have begun and not ended. */
  get open(): number {
    return this.#open
  }

  /**
   * Begins a span where a trace may begin. The sampled flag of a context decides; without a context, chance.
   * Null: it is not traced. `start`: milliseconds, default now.
   */
  begin(traceparent: string | null, start?: number): OpenSpan | null {
    if (traceparent !== null) return this.follow(traceparent, start)
    return this.#random() < this.#options.ratio ? this.#start(randomBytes(16).toString('hex'), null, start) : null
  }

  /** Begins a span in a trace that is there: never one without. */
  follow(traceparent: string, start?: number): OpenSpan | null {
    // 00-{trace}-{parent}-{flags}: the lowest bit of the flags says that the trace is recorded.
    if (!isTraceparent(traceparent) || (Number.parseInt(traceparent.slice(54), 16) & 1) === 0) return null
    return this.#start(traceparent.slice(3, 35), traceparent.slice(36, 52), start)
  }

  end(span: OpenSpan, { name, kind, attributes, error = null }: SpanEnd): void {
    this.#open--
    const { traceId, spanId, parentSpanId, start } = span
    // A wall clock may be set back meanwhile.
    const end = Math.max(start, this.#options.clock.now())
    this.#options.finished({ traceId, spanId, parentSpanId, start, end, name, kind, attributes, error })
  }

  #start(traceId: string, parentSpanId: string | null, start = this.#options.clock.now()): OpenSpan | null {
    if (this.#open >= this.#openMax) {
      this.#options.counters.dropped.too_many_open++
      return null
    }
    this.#open++
    const spanId = randomBytes(8).toString('hex')
    return { traceId, spanId, parentSpanId, start, traceparent: `00-${traceId}-${spanId}-01` }
  }
}
