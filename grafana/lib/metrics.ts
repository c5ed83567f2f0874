// PromQL, put together. Every name goes through `metric`, so that a test can compare what is asked with the table of metrics.

/** The variables of every dashboard. */
export const SELECTOR = 'job=~"$job",instance=~"$instance"'

const PREFIX = 'postrider_'

/** A metric of the product, by its name without prefix, and more label matchers. */
export const metric = (name: string, matchers = ''): string =>
  `${PREFIX}${name}{${matchers === '' ? SELECTOR : `${SELECTOR},${matchers}`}}`

/** A metric of the process that has a name of its own (`process_…`, `nodejs_…`). */
export const processMetric = (name: string): string => `${name}{${SELECTOR}}`

export const rate = (name: string, matchers = ''): string => `rate(${metric(name, matchers)}[$__rate_interval])`

export const sumRate = (name: string, matchers = ''): string => `sum(${rate(name, matchers)})`

export const sumRateBy = (label: string, name: string, matchers = ''): string =>
  `sum by (${label}) (${rate(name, matchers)})`

/** Those of the lines that are not zero: what is rare shows only where it is. */
export const nonZero = (expr: string): string => `${expr} > 0`

/** Quantiles of a histogram, over all nodes. */
export const quantile = (q: number, name: string, matchers = '', by = ''): string =>
  `histogram_quantile(${q}, sum by (${by === '' ? 'le' : `le, ${by}`}) (${rate(`${name}_bucket`, matchers)}))`

export const sum = (name: string, matchers = ''): string => `sum(${metric(name, matchers)})`

export const maximum = (name: string, matchers = ''): string => `max(${metric(name, matchers)})`
