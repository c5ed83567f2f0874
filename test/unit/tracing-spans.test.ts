import t from 'tap'
import { parseTraceHeaders } from '../../cli/compose-tracing.js'
import { TRACE_OPTIONS } from '../../core/config/trace-options.js'
import { isTraceparent } from '../../core/model/trace-context.js'
import { encodeSpans, rejectedSpans } from '../../core/tracing/otlp-json.js'
import type { Span } from '../../core/tracing/span.js'
import { TraceCounters } from '../../core/tracing/trace-counters.js'
import { Tracer } from '../../core/tracing/tracer.js'
import { DeliverySpans } from '../../courier/delivery-spans.js'
import { FakeClock } from '../support/fake-clock.js'
import { decodeSpans } from '../support/tracing/receiver.js'

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN_ID = '00f067aa0ba902b7'
const context = (flags: string): string => `00-${TRACE_ID}-${SPAN_ID}-${flags}`

function makeTracer(options: { ratio?: number; random?: () => number; openMax?: number } = {}) {
  const spans: Span[] = []
  const counters = new TraceCounters()
  const clock = new FakeClock()
  const tracer = new Tracer({ ratio: 0, clock, counters, finished: (span) => void spans.push(span), ...options })
  return { tracer, spans, counters, clock }
}

void t.test('tracer: the flag of a context decides, whatever the ratio is', async (t) => {
  const none = makeTracer({ ratio: 0 }).tracer
  const all = makeTracer({ ratio: 1 }).tracer
  for (const flags of ['01', '03', 'ff'])
    t.match(none.begin(context(flags)), { traceId: TRACE_ID, parentSpanId: SPAN_ID })
  for (const flags of ['00', '02', 'fe']) t.equal(all.begin(context(flags)), null)
  t.equal(all.follow('nonsense'), null)
  t.equal(none.begin(null), null)
})

void t.test('tracer: without a context the ratio decides, and ids are new and well-formed', async (t) => {
  let next = 0
  const { tracer } = makeTracer({ ratio: 0.25, random: () => next })
  t.equal(((next = 0.25), tracer.begin(null)), null)
  next = 0.2499
  const [one, other] = [tracer.begin(null), tracer.begin(null)]
  t.equal(one?.parentSpanId, null)
  t.ok(isTraceparent(one?.traceparent ?? ''))
  t.equal(one?.traceparent, `00-${one?.traceId}-${one?.spanId}-01`)
  t.not(one?.traceId, other?.traceId)
  t.not(one?.spanId, other?.spanId)
})

void t.test('tracer: open spans are bounded, and no span ends before it began', async (t) => {
  const { tracer, spans, counters, clock } = makeTracer({ openMax: 2 })
  const first = tracer.follow(context('01'))
  tracer.follow(context('01'))
  t.equal(tracer.follow(context('01')), null)
  t.equal(counters.dropped.too_many_open, 1)
  if (first === null) throw new Error('it is sampled')
  clock.setWall(first.start - 60_000)
  tracer.end(first, { name: 'x', kind: 'server', attributes: {} })
  t.equal(tracer.open, 1)
  t.equal(spans[0]?.end, first.start)
  t.ok(tracer.follow(context('01')))
})

void t.test('delivery spans: one for each message, in whatever steps they are acknowledged', async (t) => {
  const { tracer, spans } = makeTracer()
  const deliveries = new DeliverySpans(tracer, 'phone-1')
  for (const seq of [3, 4, 5, 6, 7])
    deliveries.sent(context(seq === 5 ? '00' : '01'), { epoch: 'e', seq, redelivered: false })
  // The machine tells of each message that leaves, traced or not.
  for (const seq of [1, 2, 3, 4, 5]) deliveries.handled(seq)
  const told = () => spans.map(({ attributes }) => [attributes['postrider.seq'], attributes['postrider.handled']])
  t.same(told(), [
    [3, true],
    [4, true],
  ])
  deliveries.over()
  deliveries.over()
  t.same(told().slice(2), [
    [6, false],
    [7, false],
  ])
  t.equal(tracer.open, 0)
})

void t.test('otlp: a span is written as the protocol says', async (t) => {
  const span: Span = {
    traceId: TRACE_ID,
    spanId: SPAN_ID,
    parentSpanId: null,
    name: 'a span',
    kind: 'client',
    start: 1_790_000_000_123.25,
    end: 1_790_000_001_000,
    attributes: { text: 'ä"\\', whole: 3, part: 0.5, yes: true },
    error: '503',
  }
  const body = encodeSpans(
    [span, { ...span, parentSpanId: SPAN_ID, error: null }],
    { 'service.name': 'postrider' },
    '1.2.3',
  )
  const [root, child] = decodeSpans(body)
  t.match(root, { parentSpanId: null, flags: 0x101, kind: 3, status: 2, scope: 'postrider' })
  t.equal(root?.start, 1_790_000_000_123_250_000n)
  t.equal(root?.end, 1_790_000_001_000_000_000n)
  t.same([...(root?.attributes ?? [])], Object.entries(span.attributes))
  t.match(child, { parentSpanId: SPAN_ID, flags: 0x301, status: 0 })
  t.same([...(root?.resource ?? [])], [['service.name', 'postrider']])
})

void t.test('otlp: an answer says how many spans were not taken', async (t) => {
  t.equal(rejectedSpans('{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}'), 3)
  t.equal(rejectedSpans('{"partialSuccess":{"rejectedSpans":2}}'), 2)
  for (const none of [
    '',
    '{}',
    '[]',
    'null',
    'not json',
    '{"partialSuccess":null}',
    '{"partialSuccess":{"rejectedSpans":-1}}',
  ]) {
    t.equal(rejectedSpans(none), 0, none)
  }
})

void t.test('settings: where traces go, how many, and with which headers', async (t) => {
  const endpoint = (text: string): unknown => TRACE_OPTIONS.otelEndpoint.type.parse(text)
  t.equal(endpoint('http://collector:4318'), 'http://collector:4318')
  t.equal(endpoint('https://otel.example/some/path/'), 'https://otel.example/some/path')
  for (const wrong of ['collector:4318', 'grpc://x', 'http://user:secret@x', 'http://x/?key=1', 'http://', '']) {
    t.equal(endpoint(wrong), undefined, wrong)
  }
  const ratio = (text: string): unknown => TRACE_OPTIONS.otelRatio.type.parse(text)
  t.same(['0', '1', '0.01', '1.0'].map(ratio), [0, 1, 0.01, 1])
  t.same(
    ['-1', '2', '1.1', '.5', '1e-3', '', 'all'].map(ratio),
    Array.from({ length: 7 }, () => undefined),
  )
  t.same([...parseTraceHeaders('')], [])
  t.same(
    [...parseTraceHeaders('a=1, b = x%2Cy==,')],
    [
      ['a', '1'],
      ['b', 'x,y=='],
    ],
  )
})
