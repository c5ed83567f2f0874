import { collectDefaultMetrics, Counter, Gauge, Histogram as PromHistogram, Registry } from 'prom-client'
import type { Histogram } from './histogram.js'
import type { Labels, Metric } from './metric-row.js'

export interface Metrics {
  /** Error: a name is taken. */
  expose(metrics: readonly Metric[]): void
  /** The text that Prometheus scrapes. */
  text(): Promise<string>
  readonly contentType: string
  /** For who puts the numbers of several processes together. */
  readonly registry: Registry
}

export const METRIC_PREFIX = 'postrider_'

interface Value {
  readonly labels: Record<string, string>
  readonly value: number
  readonly metricName?: string
}

const optionsOf = (metric: Metric) => ({
  name: METRIC_PREFIX + metric.name,
  help: metric.help,
  labelNames: [...metric.labelNames],
  aggregator: metric.aggregate,
  registers: [],
})

const numbersOf = (metric: Metric): Value[] =>
  metric.samples().map(([labels, value]) => ({ labels, value: typeof value === 'number' ? value : value.count }))

// Nothing is copied into the library's own counters: it asks for the values when it is scraped.

class ReadCounter extends Counter {
  readonly #metric: Metric

  constructor(metric: Metric) {
    super(optionsOf(metric))
    this.#metric = metric
  }

  override async get() {
    return { ...(await super.get()), values: numbersOf(this.#metric) }
  }
}

class ReadGauge extends Gauge {
  readonly #metric: Metric

  constructor(metric: Metric) {
    super(optionsOf(metric))
    this.#metric = metric
  }

  override async get() {
    return { ...(await super.get()), values: numbersOf(this.#metric) }
  }
}

class ReadHistogram extends PromHistogram {
  readonly #metric: Metric

  constructor(metric: Metric) {
    super({ ...optionsOf(metric), buckets: [1] })
    this.#metric = metric
  }

  /** What the library asks for when it writes the text, and what its `get` asks. */
  getForPromString() {
    const { name, help, aggregate, type } = this.#metric
    const full = METRIC_PREFIX + name
    const values = this.#metric
      .samples()
      .flatMap(([labels, value]) => (typeof value === 'number' ? [] : bucketValues(full, labels, value)))
    return Promise.resolve({ name: full, help, type, aggregator: aggregate, values })
  }
}

function bucketValues(name: string, labels: Labels, { bounds, counts, sum }: Histogram): Value[] {
  const values: Value[] = []
  let count = 0
  counts.forEach((inBucket, i) => {
    count += inBucket
    values.push({
      labels: { ...labels, le: i < bounds.length ? String(bounds[i]) : '+Inf' },
      value: count,
      metricName: `${name}_bucket`,
    })
  })
  values.push({ labels, value: sum, metricName: `${name}_sum` }, { labels, value: count, metricName: `${name}_count` })
  // The library's `get`, for JSON, adds these to the labels and cannot do without.
  return values.map((value) => ({ ...value, sharedLabels: {} }))
}

function readerOf(metric: Metric): Counter | Gauge | PromHistogram {
  switch (metric.type) {
    case 'counter':
      return new ReadCounter(metric)
    case 'gauge':
      return new ReadGauge(metric)
    case 'histogram':
      return new ReadHistogram(metric)
    default:
      throw metric.type satisfies never
  }
}

/**
 * Of the library's own: they go through every open file and socket, so that with 10,000 connections a scrape would hold up the
 * event loop for some 20 ms. `postrider_open_sockets` has the number.
 */
const COSTLY = [
  'process_open_fds',
  'nodejs_active_handles',
  'nodejs_active_handles_total',
  'nodejs_active_resources',
  'nodejs_active_resources_total',
] as const

/** A registry of its own (not the global one), with the process's metrics under their usual names. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  for (const name of COSTLY) registry.removeSingleMetric(name)
  return {
    expose(metrics) {
      for (const metric of metrics) registry.registerMetric(readerOf(metric))
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
    registry,
  }
}

/** `--metrics off`: nothing is collected, and there is nothing to scrape. */
export const NO_METRICS: Pick<Metrics, 'expose'> = { expose: () => undefined }
