// A row of the table of metrics: what a metric is called, what it says, and where its numbers come from. Components keep plain
// numbers in plain fields, because their hot paths add to them; a row reads them when Prometheus scrapes.

import type { Histogram } from './histogram.js'

export type MetricType = 'counter' | 'gauge' | 'histogram'

export type Labels = Readonly<Record<string, string>>

/** The values that a label can have: all of them, or in words what bounds them. */
export type LabelValues = readonly string[] | { readonly bounded: string }

/** How the numbers of several processes become one. */
export type Aggregate = 'sum' | 'min' | 'max' | 'first'

export interface MetricFacts {
  /** Without the prefix `postrider_`. Counters end in `_total`; units are base units (`_seconds`, `_bytes`). */
  readonly name: string
  readonly type: MetricType
  readonly labels: Readonly<Record<string, LabelValues>>
  readonly help: string
  /** What somebody who looks at it learns. */
  readonly tells: string
  readonly aggregate: Aggregate
  /** Of a histogram: the upper bounds of its buckets. Else empty. */
  readonly bounds: readonly number[]
}

/** A metric and its present values, one for each set of labels. */
export interface Metric extends Pick<MetricFacts, 'name' | 'help' | 'aggregate'> {
  readonly type: MetricType
  readonly labelNames: readonly string[]
  samples(): ReadonlyArray<readonly [labels: Labels, value: number | Histogram]>
}

export interface MetricRow<S> extends MetricFacts {
  samples(source: S): ReadonlyArray<readonly [labels: Labels, value: number | Histogram]>
}

/** Metrics of one component. */
export interface MetricGroup<S> {
  readonly title: string
  /** When they are there; null: always. */
  readonly when: string | null
  readonly rows: ReadonlyArray<MetricRow<S>>
  /** The metrics of one such component. */
  of(source: S): readonly Metric[]
}

export function metricGroup<S>(title: string, when: string | null, rows: ReadonlyArray<MetricRow<S>>): MetricGroup<S> {
  return {
    title,
    when,
    rows,
    of: (source) =>
      rows.map((row) => ({
        name: row.name,
        help: row.help,
        aggregate: row.aggregate,
        type: row.type,
        labelNames: Object.keys(row.labels),
        samples: () => row.samples(source),
      })),
  }
}

const NO_LABELS: Labels = {}

export const counter = <S>(name: string, help: string, tells: string, read: (source: S) => number): MetricRow<S> => ({
  name,
  type: 'counter',
  labels: {},
  help,
  tells,
  aggregate: 'sum',
  bounds: [],
  samples: (source) => [[NO_LABELS, read(source)]],
})

export const gauge = <S>(
  name: string,
  help: string,
  tells: string,
  read: (source: S) => number,
  aggregate: Aggregate = 'sum',
): MetricRow<S> => ({
  name,
  type: 'gauge',
  labels: {},
  help,
  tells,
  aggregate,
  bounds: [],
  samples: (source) => [[NO_LABELS, read(source)]],
})

type Numbers = Readonly<Record<string, number>>

function byLabel<S>(type: 'counter' | 'gauge') {
  return (
    name: string,
    label: string,
    values: readonly string[],
    help: string,
    tells: string,
    read: (source: S) => Numbers,
    aggregate: Aggregate = 'sum',
  ): MetricRow<S> => ({
    name,
    type,
    labels: { [label]: values },
    help,
    tells,
    aggregate,
    bounds: [],
    samples(source) {
      const numbers = read(source)
      return values.map((value) => [{ [label]: value }, numbers[value] ?? 0])
    },
  })
}

/** One number for each value of a label. Every value is always there, so that the first event is a step from 0. */
export const counterBy = <S>(...args: Parameters<ReturnType<typeof byLabel<S>>>): MetricRow<S> =>
  byLabel<S>('counter')(...args)

export const gaugeBy = <S>(...args: Parameters<ReturnType<typeof byLabel<S>>>): MetricRow<S> =>
  byLabel<S>('gauge')(...args)

export const histogram = <S>(
  name: string,
  bounds: readonly number[],
  help: string,
  tells: string,
  read: (source: S) => Histogram,
): MetricRow<S> => ({
  name,
  type: 'histogram',
  labels: {},
  help,
  tells,
  aggregate: 'sum',
  bounds,
  samples: (source) => [[NO_LABELS, read(source)]],
})

export const histogramBy = <S>(
  name: string,
  label: string,
  values: readonly string[],
  bounds: readonly number[],
  help: string,
  tells: string,
  read: (source: S) => Readonly<Record<string, Histogram>>,
): MetricRow<S> => ({
  name,
  type: 'histogram',
  labels: { [label]: values },
  help,
  tells,
  aggregate: 'sum',
  bounds,
  samples(source) {
    const found = read(source)
    return values.flatMap((value) => {
      const one = found[value]
      return one === undefined ? [] : [[{ [label]: value }, one] as const]
    })
  },
})
