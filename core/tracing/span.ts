// What an exported trace consists of: one span for the accept of a push, one for each delivery of its message.

export type SpanValue = string | number | boolean

/** Never a payload, a key, a token or an attribute of a message. */
export type SpanAttributes = Readonly<Record<string, SpanValue>>

/** `server`: a request was answered. `client`: something was sent and acknowledged. */
export type SpanKind = 'server' | 'client'

/** A span that has begun. Each must be ended once. */
export interface OpenSpan {
  /** 32 and 16 hexadecimal digits. */
  readonly traceId: string
  readonly spanId: string
  /** Null: the trace begins here. */
  readonly parentSpanId: string | null
  /** Milliseconds UTC. */
  readonly start: number
  /** The context for what happens because of this span, as W3C Trace Context writes it. */
  readonly traceparent: string
}

export interface Span extends Omit<OpenSpan, 'traceparent'> {
  readonly name: string
  readonly kind: SpanKind
  readonly end: number
  readonly attributes: SpanAttributes
  /** What went wrong, in a word; null: nothing. */
  readonly error: string | null
}
