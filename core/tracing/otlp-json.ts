// Spans in the JSON encoding of OTLP 1.x (opentelemetry.io/docs/specs/otlp): ids in hexadecimal, integers of 64 bits as
// decimal text, enumerations as numbers.

import type { Span, SpanAttributes, SpanKind, SpanValue } from './span.js'

const KINDS: Readonly<Record<SpanKind, number>> = { server: 2, client: 3 }
const STATUS_ERROR = 2

/** Bit 0: sampled. Bit 8: it is known whether the parent is remote; bit 9: it is. */
const FLAGS_ROOT = 0x101
const FLAGS_REMOTE_PARENT = 0x301

function valueOf(value: SpanValue): object {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}

const attributesOf = (attributes: SpanAttributes): readonly object[] =>
  Object.entries(attributes).map(([key, value]) => ({ key, value: valueOf(value) }))

/** Milliseconds as nanoseconds. Microseconds since 1970 are exact as a number; nanoseconds would not be. */
const nanoseconds = (ms: number): string => `${Math.round(ms * 1_000)}000`

const encodeSpan = (span: Span): object => ({
  traceId: span.traceId,
  spanId: span.spanId,
  ...(span.parentSpanId === null ? {} : { parentSpanId: span.parentSpanId }),
  flags: span.parentSpanId === null ? FLAGS_ROOT : FLAGS_REMOTE_PARENT,
  name: span.name,
  kind: KINDS[span.kind],
  startTimeUnixNano: nanoseconds(span.start),
  endTimeUnixNano: nanoseconds(span.end),
  attributes: attributesOf(span.attributes),
  status: span.error === null ? {} : { code: STATUS_ERROR, message: span.error },
})

/** The body of an ExportTraceServiceRequest. `resource`: what the process is. */
export function encodeSpans(spans: readonly Span[], resource: SpanAttributes, version: string): string {
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope: { name: 'postrider', version }, spans: spans.map(encodeSpan) }],
      },
    ],
  })
}

/** How many spans an answer (ExportTraceServiceResponse) says that the receiver has not taken. */
export function rejectedSpans(answer: string): number {
  let parsed: unknown
  try {
    parsed = JSON.parse(answer)
  } catch {
    return 0 // the status has said that they were taken
  }
  const partial: unknown =
    typeof parsed === 'object' && parsed !== null && 'partialSuccess' in parsed ? parsed.partialSuccess : null
  if (typeof partial !== 'object' || partial === null || !('rejectedSpans' in partial)) return 0
  const count = Number(partial.rejectedSpans)
  return Number.isInteger(count) && count > 0 ? count : 0
}
