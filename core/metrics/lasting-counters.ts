// The counters of several processes, of which one may end or be silent, put together without ever going back. A sum that falls
// is for Prometheus a counter that began anew: it would take all of it for new events, and alerts would fire.

import { isMetric, isOfProcess, type ProcessMetrics, type Sample } from './merge-processes.js'

/** Stands for the processes that are not there any more. */
export const ENDED = 'ended'

interface Told {
  /** Which process of this worker said it. */
  readonly run: number
  readonly metrics: readonly unknown[]
}

interface Kept {
  readonly facts: { readonly help: string; readonly type: string; readonly aggregator: string }
  readonly samples: Map<string, Sample>
}

/** Counters and histograms of the product; those of the process stay apart, and one that began anew shows as that. */
const lasts = (metrics: readonly unknown[]) =>
  metrics
    .filter(isMetric)
    .filter(({ name, type }) => (type === 'counter' || type === 'histogram') && !isOfProcess(name))

export class LastingCounters {
  readonly #told = new Map<string, Told>()
  /** By name: the last numbers of processes that have ended, summed up. */
  readonly #ended = new Map<string, Kept>()

  /** `answers`: null for a worker that does not answer now. `run` grows with each process that a worker has. */
  merge(
    answers: ReadonlyArray<{
      readonly worker: string
      readonly run: number
      readonly metrics: readonly unknown[] | null
    }>,
  ): readonly ProcessMetrics[] {
    const present = answers.map(({ worker, run, metrics }) => {
      const before = this.#told.get(worker)
      if (before !== undefined && before.run !== run) {
        this.#keep(before.metrics)
        this.#told.delete(worker)
      }
      if (metrics === null) return { worker, metrics: lasts(this.#told.get(worker)?.metrics ?? []) }
      this.#told.set(worker, { run, metrics })
      return { worker, metrics }
    })
    const ended = [...this.#ended].map(([name, { facts, samples }]) => ({
      name,
      ...facts,
      values: [...samples.values()],
    }))
    return [...present, { worker: ENDED, metrics: ended }]
  }

  #keep(metrics: readonly unknown[]): void {
    for (const { name, help, type, aggregator, values } of lasts(metrics)) {
      const kept = this.#ended.get(name) ?? { facts: { help, type, aggregator }, samples: new Map<string, Sample>() }
      this.#ended.set(name, kept)
      for (const sample of values) {
        const key = JSON.stringify([sample.metricName, sample.labels])
        kept.samples.set(key, { ...sample, value: sample.value + (kept.samples.get(key)?.value ?? 0) })
      }
    }
  }
}
