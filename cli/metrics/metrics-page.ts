// docs/metrics.md, made from the table of metrics. `npm run docs:metrics` writes it; a test fails while the page and the table
// differ.

import type { MetricFacts } from '../../core/metrics/metric-row.js'
import { METRIC_PREFIX } from '../../core/metrics/metrics.js'
import { cell, code, table } from '../markdown.js'
import { METRIC_TABLE, seriesOf, unitOf, type MetricSection } from './metric-table.js'

const ALL = METRIC_TABLE.flatMap(({ rows }) => rows)

function labelsOf({ labels }: MetricFacts): string {
  return Object.entries(labels)
    .map(([label, values]) =>
      'length' in values
        ? `${code(label)}: ${values.map((value) => cell(value)).join(', ')}`
        : `${code(label)} (${cell(values.bounded)})`,
    )
    .join('; ')
}

function sectionOf({ title, when, rows }: MetricSection): string {
  return [
    `## ${title}`,
    '',
    ...(when === null ? [] : [`There ${when}.`, '']),
    table(
      ['metric', 'type', 'unit', 'labels', 'what it is', 'what it tells'],
      rows.map((row) => [
        code(METRIC_PREFIX + row.name),
        row.type,
        unitOf(row),
        labelsOf(row),
        cell(row.help),
        cell(row.tells),
      ]),
    ),
  ].join('\n')
}

function bucketsOf(): string {
  const known = new Map<string, string[]>()
  for (const { name, bounds } of ALL) {
    if (bounds.length === 0) continue
    const key = bounds.join(', ')
    known.set(key, [...(known.get(key) ?? []), code(METRIC_PREFIX + name)])
  }
  return table(
    ['upper bounds', 'of'],
    [...known].map(([bounds, names]) => [bounds, names.join(', ')]),
  )
}

export function metricsPage(): string {
  const counted = ALL.map(seriesOf)
  const sum = counted.reduce<number>((total, series) => total + (series ?? 0), 0)
  const worded = ALL.filter((_, i) => counted[i] === null).map(({ name }) => code(METRIC_PREFIX + name))
  return `${[
    '# Metrics',
    '',
    '<!-- Made from the tables in cli/metrics: npm run docs:metrics -->',
    '',
    'At `/metrics` of the admin port, as Prometheus reads them. [Observability](observability.md) says what to look at; here is all of it. The metrics of the process and of Node (`process_…`, `nodejs_…`) have their usual names and are not listed; those that would count open files and handles one by one are not there.',
    '',
    `No label names a device, a key, a topic or an address. What is listed with its values makes at most ${sum} time series in one process, whatever clients do; the rest (${worded.join(', ')}) is bounded by what the table says in words. A value of a label that is listed is there from the start, at 0.`,
    '',
    '`--metrics off` turns them off, and with them the measuring of how long things take. Counters begin at 0 with the process.',
    '',
    METRIC_TABLE.map(sectionOf).join('\n\n'),
    '',
    '## Buckets of the histograms',
    '',
    bucketsOf(),
  ].join('\n')}\n`
}
