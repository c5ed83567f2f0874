import t from 'tap'
import { systemClock } from '../../core/clock.js'
import type { PostResult } from '../../core/tracing/otlp-http.js'
import { SpanQueue, type SpanQueueLimits } from '../../core/tracing/span-queue.js'
import type { Span } from '../../core/tracing/span.js'
import { TraceCounters } from '../../core/tracing/trace-counters.js'
import { collectingLog } from '../support/log.js'
import { until } from '../support/road/wait.js'
import { decodeSpans } from '../support/tracing/receiver.js'

const span = (n: number): Span => ({
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: n.toString(16).padStart(16, '0'),
  parentSpanId: null,
  name: 'x',
  kind: 'server',
  start: 1_790_000_000_000,
  end: 1_790_000_000_001,
  attributes: {},
  error: null,
})

const answer = (kind: PostResult['kind'], more: Partial<PostResult> = {}): PostResult => ({
  kind,
  reason: kind,
  answer: '',
  retryAfterMs: 0,
  ...more,
})

/** A queue before a receiver that answers what `behave` says. */
function makeQueue(
  behave: (attempt: number, signal: AbortSignal) => Promise<PostResult>,
  limits: Partial<SpanQueueLimits> = {},
) {
  const counters = new TraceCounters()
  const { log, entries } = collectingLog()
  const sizes: number[] = []
  let underWay = 0
  let mostUnderWay = 0
  const queue = new SpanQueue({
    async post(body, signal) {
      sizes.push(decodeSpans(body).length)
      mostUnderWay = Math.max(mostUnderWay, ++underWay)
      const result = await behave(sizes.length, signal)
      underWay--
      return result
    },
    resource: {},
    version: '0',
    counters,
    clock: systemClock,
    log,
    limits: { max: 10, batch: 4, delayMs: 5, pauseMs: 5, pauseMaxMs: 20, patienceMs: 60_000, stopMs: 5_000, ...limits },
  })
  return { queue, counters, entries, sizes, most: () => mostUnderWay }
}

const untilAborted = (signal: AbortSignal): Promise<PostResult> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(answer('later'))))

void t.test('span queue: everything arrives, in batches, one request at a time', async (t) => {
  const { queue, counters, sizes, most } = makeQueue(() => Promise.resolve(answer('taken')))
  for (let i = 1; i <= 9; i++) queue.add(span(i))
  await until('the spans', () => counters.exported === 9)
  t.ok(Math.max(...sizes) <= 4)
  t.equal(most(), 1)
  queue.add(span(10))
  await until('the late one', () => counters.exported === 10)
  await queue.stop()
  t.same(new Set(Object.values(counters.dropped)), new Set([0]))
})

void t.test('span queue: what does not fit is dropped and counted, and adding never waits', async (t) => {
  const { queue, counters } = makeQueue((_attempt, signal) => untilAborted(signal), { stopMs: 20 })
  for (let i = 1; i <= 4; i++) queue.add(span(i))
  await until('the request', () => queue.size === 0)
  for (let i = 1; i <= 15; i++) queue.add(span(i))
  t.equal(queue.size, 10)
  t.equal(counters.dropped.queue_full, 5)
  await queue.stop()
  t.equal(counters.dropped.stopped, 14, 'a stop waits for a short time, and counts the rest')
  queue.add(span(1))
  t.equal(counters.dropped.stopped, 15)
})

void t.test('span queue: the same spans are sent again, until the patience ends', async (t) => {
  const back = makeQueue((attempt) => Promise.resolve(answer(attempt < 4 ? 'later' : 'taken')))
  back.queue.add(span(1))
  await until('the span', () => back.counters.exported === 1)
  t.same(back.sizes, [1, 1, 1, 1])
  t.equal(back.counters.failures, 3)
  await back.queue.stop()

  const gone = makeQueue(() => Promise.resolve(answer('later')), { patienceMs: 30 })
  gone.queue.add(span(1))
  await until('the end of patience', () => gone.counters.dropped.unreachable === 1)
  await gone.queue.stop()

  const busy = makeQueue(() => Promise.resolve(answer('later', { retryAfterMs: 60_001 })))
  busy.queue.add(span(1))
  await until('the end of patience', () => busy.counters.dropped.unreachable === 1)
  t.equal(busy.sizes.length, 1, 'a receiver that wants a longer pause than that is not asked again')
  await busy.queue.stop()
})

void t.test('span queue: what a receiver refuses is never sent again', async (t) => {
  const { queue, counters, sizes } = makeQueue((attempt) =>
    Promise.resolve(
      attempt === 1 ? answer('refused') : answer('taken', { answer: '{"partialSuccess":{"rejectedSpans":"1"}}' }),
    ),
  )
  queue.add(span(1))
  await until('the refusal', () => counters.dropped.refused === 1)
  queue.add(span(2))
  queue.add(span(3))
  await until('the next', () => counters.exported === 1)
  t.equal(counters.dropped.refused, 2)
  t.same(sizes, [1, 2])
  await queue.stop()
})

void t.test('span queue: the log has one line for an outage, and one for its end', async (t) => {
  const { queue, counters, entries } = makeQueue((attempt) =>
    Promise.resolve(answer(attempt % 3 === 0 ? 'taken' : 'later')),
  )
  for (let i = 1; i <= 6; i++) {
    queue.add(span(i))
    await until('the span', () => counters.exported === i)
  }
  t.equal(counters.failures, 12)
  t.same(
    entries.map(({ msg }) => msg),
    ['traces cannot be exported', 'traces are exported again'],
  )
  await queue.stop()
})
