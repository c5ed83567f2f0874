import t from 'tap'
import { RestartDelay } from '../../cli/workers/restart-delay.js'
import { WORKER_VARIABLE, workerLink } from '../../cli/workers/worker-link.js'
import { readOrder, readReport, type Report } from '../../cli/workers/worker-messages.js'
import { Histogram } from '../../core/metrics/histogram.js'
import { mergeProcesses, sumOf } from '../../core/metrics/merge-processes.js'
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
})
