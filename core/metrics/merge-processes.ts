// The metrics of several processes as those of one. What each metric says of its own sum holds; what is of a process (its memory,
// its processor, its event loop) stays apart, with the label `worker`.

import { AggregatorRegistry } from 'prom-client'

/** What `Registry.getMetricsAsJSON` of a process gave. */
export interface ProcessMetrics {
  readonly worker: string
  readonly metrics: readonly unknown[]
}

export interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  readonly metricName?: string
}

interface Metric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator: string
  readonly values: readonly Sample[]
}

/** It says something of one process alone. */
export const isOfProcess = (name: string): boolean => /^(?:process_|nodejs_|postrider_event_loop_)/.test(name)

/** The text that Prometheus scrapes. */
export function mergeProcesses(processes: readonly ProcessMetrics[]): Promise<string> {
  const all = processes.map(({ worker, metrics }) =>
    metrics.filter(isMetric).map((metric) => (isOfProcess(metric.name) ? apart(metric, worker) : metric)),
  )
  return AggregatorRegistry.aggregate(all).metrics()
}

/** The same, but for the metrics of these names. */
export const without = (told: ProcessMetrics, names: ReadonlySet<string>): ProcessMetrics => ({
  ...told,
  metrics: told.metrics.filter((metric) => !(isMetric(metric) && names.has(metric.name))),
})

/** The sum of all numbers of one metric. */
export function sumOf({ metrics }: ProcessMetrics, name: string): number {
  const values = metrics.filter(isMetric).find((metric) => metric.name === name)?.values ?? []
  return values.reduce((sum, { value }) => sum + value, 0)
}

const apart = (metric: Metric, worker: string): Metric => ({
  ...metric,
  aggregator: 'sum',
  values: metric.values.map((sample) => ({ ...sample, labels: { worker, ...sample.labels } })),
})

export function isMetric(value: unknown): value is Metric {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'help' in value &&
    'type' in value &&
    'aggregator' in value &&
    typeof value.aggregator === 'string' &&
    'values' in value &&
    Array.isArray(value.values)
  )
}
