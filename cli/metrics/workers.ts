import { counter, gauge, metricGroup, type MetricRow } from '../../core/metrics/metric-row.js'

export interface WorkersSource {
  readonly workers: number
  readonly serving: () => number
  readonly restarts: () => number
  /** Connected devices, by the number of the worker. */
  readonly connections: () => ReadonlyMap<string, number>
}

const connections: MetricRow<WorkersSource> = {
  name: 'worker_connections',
  type: 'gauge',
  labels: { worker: { bounded: '1 to `--workers`' } },
  help: 'Connected devices of each worker',
  tells: 'One with few was started again, or does not accept; new connections go to all in turn',
  aggregate: 'sum',
  bounds: [],
  samples: (source) => [...source.connections()].map(([worker, value]) => [{ worker }, value] as const),
}

/** What the parent of the workers knows. */
export const WORKERS = metricGroup<WorkersSource>('Workers', 'with `--workers` above 1', [
  gauge('workers', 'Worker processes that there should be', 'What was configured', (source) => source.workers),
  gauge(
    'workers_serving',
    'Worker processes that serve',
    'Below `workers`: one has ended and is started again',
    (source) => source.serving(),
  ),
  counter(
    'worker_restarts_total',
    'Worker processes that ended by themselves, and were started again',
    'Any: the log says why (`worker_ended`)',
    (source) => source.restarts(),
  ),
  connections,
])
