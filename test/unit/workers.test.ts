import t from 'tap'
import { RestartDelay } from '../../cli/workers/restart-delay.js'
import { WORKER_VARIABLE, workerLink } from '../../cli/workers/worker-link.js'
import { readOrder, readReport, type Report } from '../../cli/workers/worker-messages.js'
import { Histogram } from '../../core/metrics/histogram.js'
import { LastingCounters } from '../../core/metrics/lasting-counters.js'
import { mergeProcesses, sumOf, without } from '../../core/metrics/merge-processes.js'
import { createMetrics } from '../../core/metrics/metrics.js'

void t.test('workers: one that ends again and again is started later and later, up to 10 s', async (t) => {
  const delay = new RestartDelay()
  t.same(
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => delay.next(1_000)),
    [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000],
  )
  t.equal(delay.next(30_000), 100, 'one that ran for long is started at once')
  t.equal(delay.next(10), 200)
})

void t.test('workers: what is none of our messages is left alone', async (t) => {
  for (const strange of [
    null,
    1,
    'drain',
    {},
    { do: 'other' },
    { do: 'tell', id: 1 },
    { do: 'tell', what: 'metrics' },
  ]) {
    t.equal(readOrder(strange), null)
    t.equal(readReport(strange), null)
  }
  t.same(readReport({ said: 'serving', ports: { mqtt: 1, http: 'x', strange: 2 } }), {
    said: 'serving',
    ports: { mqtt: 1 },
  })
  t.equal(readReport({ said: 'metrics', id: 1, metrics: 'x' }), null)
})

void t.test('workers: a worker says that it is there, and carries out what came meanwhile', async (t) => {
  const said: Report[] = []
  let hear: (message: unknown) => void = () => undefined
  const channel = {
    onMessage: (listener: (message: unknown) => void) => (hear = listener),
    send: (report: Report) => void said.push(report),
  }
  const fail = (error: unknown): never => {
    throw error
  }
  t.equal(workerLink({}, channel, fail), null, 'not without a number')
  t.equal(workerLink({ [WORKER_VARIABLE]: '1' }, null, fail), null, 'nor without a parent')
  const link = workerLink({ [WORKER_VARIABLE]: '2' }, channel, fail)
  t.same(said, [{ said: 'here' }])
  hear({ do: 'tell', id: 7, what: 'readiness' })
  await new Promise(setImmediate)
  t.same(said.at(-1), { said: 'readiness', id: 7, ready: false, why: 'starting' })
  hear({ do: 'drain' })
  const orders: string[] = []
  link?.onOrders({ drain: () => orders.push('drain'), hurry: () => orders.push('hurry') })
  hear({ do: 'hurry' })
  t.same(orders, ['drain', 'hurry'])
  link?.answers({ metrics: async () => [1, 2], readiness: async () => ({ ready: true, why: '' }) })
  hear({ do: 'tell', id: 8, what: 'metrics' })
  await new Promise(setImmediate)
  t.same(said.at(-1), { said: 'metrics', id: 8, metrics: [1, 2] })
})

void t.test('workers: their metrics are those of one, and what is of a process stays apart', async (t) => {
  const told = await Promise.all(
    [1, 2].map(async (worker) => {
      const metrics = createMetrics()
      const histogram = new Histogram([1, 2])
      for (let i = 0; i < worker; i++) histogram.observe(1.5)
      const rest = { help: 'Help', labelNames: [] }
      metrics.expose([
        { ...rest, name: 'connections', type: 'gauge', aggregate: 'sum', samples: () => [[{}, worker * 10]] },
        { ...rest, name: 'ready', type: 'gauge', aggregate: 'min', samples: () => [[{}, worker - 1]] },
        {
          ...rest,
          name: 'event_loop_active_seconds_total',
          type: 'counter',
          aggregate: 'sum',
          samples: () => [[{}, 5]],
        },
        {
          ...rest,
          name: 'done_total',
          type: 'counter',
          labelNames: ['by'],
          aggregate: 'sum',
          samples: () => [[{ by: 'me' }, worker]],
        },
        { ...rest, name: 'took_seconds', type: 'histogram', aggregate: 'sum', samples: () => [[{}, histogram]] },
      ])
      return { worker: String(worker), metrics: await metrics.registry.getMetricsAsJSON() }
    }),
  )
  const lines = (await mergeProcesses(told)).split('\n')
  for (const line of [
    'postrider_connections 30',
    'postrider_ready 0',
    'postrider_event_loop_active_seconds_total{worker="1"} 5',
    'postrider_event_loop_active_seconds_total{worker="2"} 5',
    'postrider_done_total{by="me"} 3',
    'postrider_took_seconds_bucket{le="1"} 0',
    'postrider_took_seconds_bucket{le="2"} 3',
    'postrider_took_seconds_bucket{le="+Inf"} 3',
    'postrider_took_seconds_sum 4.5',
    'postrider_took_seconds_count 3',
  ])
    t.ok(lines.includes(line), line)
  for (const worker of [1, 2])
    t.ok(lines.some((line) => line.startsWith(`process_resident_memory_bytes{worker="${worker}"}`)))
  t.same(
    told.map((each) => sumOf(each, 'postrider_connections')),
    [10, 20],
  )
  t.equal(sumOf({ worker: '3', metrics: ['strange', null] }, 'postrider_connections'), 0)
  t.equal(await mergeProcesses([{ worker: '3', metrics: ['strange', null] }]), '\n')
  const rest = await mergeProcesses(told.map((each) => without(each, new Set(['postrider_ready']))))
  t.notMatch(rest, /postrider_ready/)
  t.match(rest, 'postrider_connections 30')
})

void t.test('workers: counters never go back, whoever ends or is silent', async (t) => {
  const histogram = new Histogram([1])
  const report = async (done: number, open: number): Promise<readonly unknown[]> => {
    const metrics = createMetrics()
    const rest = { help: 'x', labelNames: [], aggregate: 'sum' as const }
    histogram.observe(1)
    metrics.expose([
      { ...rest, name: 'done_total', type: 'counter', labelNames: ['by'], samples: () => [[{ by: 'me' }, done]] },
      { ...rest, name: 'open', type: 'gauge', samples: () => [[{}, open]] },
      { ...rest, name: 'took_seconds', type: 'histogram', samples: () => [[{}, histogram]] },
    ])
    return metrics.registry.getMetricsAsJSON()
  }
  const lasting = new LastingCounters()
  const seen = async (...answers: ReadonlyArray<readonly [run: number, metrics: readonly unknown[] | null]>) => {
    const merged = lasting.merge(answers.map(([run, metrics], i) => ({ worker: String(i + 1), run, metrics })))
    const lines = (await mergeProcesses(merged)).split('\n')
    const value = (start: string): number => Number(lines.find((line) => line.startsWith(`${start} `))?.split(' ')[1])
    return {
      done: value('postrider_done_total{by="me"}'),
      open: value('postrider_open'),
      took: value('postrider_took_seconds_count'),
      memory: lines.filter((line) => line.startsWith('process_resident_memory_bytes{')).length,
    }
  }
  t.match(await seen([1, await report(10, 3)], [1, await report(20, 4)]), { done: 30, open: 7, took: 3, memory: 2 })
  // The second one hangs: its counters stay, it has no connections, and nothing is said of its process.
  t.match(await seen([1, await report(11, 3)], [1, null]), { done: 31, open: 3, took: 5, memory: 1 })
  // It has ended, and another one is in its place, which says nothing yet, and then begins at 0.
  t.match(await seen([1, await report(12, 3)], [2, null]), { done: 32, open: 3, memory: 1 })
  t.match(await seen([1, await report(12, 3)], [2, await report(1, 1)]), { done: 33, open: 4, memory: 2 })
  t.match(await seen([1, await report(12, 3)], [2, await report(2, 1)]), { done: 34, open: 4 })
  // The first one, too, and that one again.
  t.match(await seen([2, await report(0, 0)], [3, await report(0, 1)]), { done: 34, open: 1 })
})
