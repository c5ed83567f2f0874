import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/**
 * A number that a component keeps in a plain field, because its hot path adds to it; Prometheus reads it when it scrapes.
 * With `label`: one number for each key of a record or map.
 */
export type Metric = {
  /** Without the prefix `postrider_`; counters end in `_total`, units are base units (`_seconds`, `_bytes`). */
  readonly name: string
  readonly help: string
  /** `counter`: only grows. `gauge`: goes up and down. */
  readonly kind: 'counter' | 'gauge'
} & (
  | { readonly label?: never; readonly read: () => number }
  | { readonly label: string; readonly read: () => Readonly<Record<string, number>> | ReadonlyMap<string, number> }
)

export interface Metrics {
  /** Error: a name is taken. */
  expose(metrics: readonly Metric[]): void
  /** A histogram of seconds. `observe` costs a microsecond: not for every message. */
  histogram(options: { readonly name: string; readonly help: string; readonly buckets: readonly number[] }): {
    observe(seconds: number): void
  }
  /** The text that Prometheus scrapes. */
  text(): Promise<string>
  readonly contentType: string
}

/** Seconds; from what a memory access takes to what nobody waits for. */
export const LATENCY_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

const PREFIX = 'postrider_'

function samples(metric: Metric): ReadonlyArray<readonly [labels: Record<string, string>, value: number]> {
  if (metric.label === undefined) return [[{}, metric.read()]]
  const { label } = metric
  const values = metric.read()
  const entries = values instanceof Map ? [...values] : Object.entries(values)
  return entries.map(([key, value]) => [{ [label]: key }, value])
}

/** A registry of its own (not the global one), with the process's metrics under their usual names. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })

  function exposeOne(metric: Metric): void {
    const options = {
      name: PREFIX + metric.name,
      help: metric.help,
      labelNames: metric.label === undefined ? [] : [metric.label],
      registers: [registry],
    }
    if (metric.kind === 'counter') {
      const counter: Counter = new Counter({
        ...options,
        collect: () => {
          counter.reset()
          for (const [labels, value] of samples(metric)) counter.inc(labels, value)
        },
      })
    } else {
      const gauge: Gauge = new Gauge({
        ...options,
        collect: () => {
          gauge.reset()
          for (const [labels, value] of samples(metric)) gauge.set(labels, value)
        },
      })
    }
  }

  return {
    expose(metrics) {
      for (const metric of metrics) exposeOne(metric)
    },
    histogram({ name, help, buckets }) {
      const histogram = new Histogram({ name: PREFIX + name, help, buckets: [...buckets], registers: [registry] })
      return { observe: (value) => histogram.observe(value) }
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}
