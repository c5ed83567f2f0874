// An alert as data: what it asks, whom it wakes, and the series that make it fire and leave it quiet in promtool's tests.

import type { Time } from './time.js'

/** `page`: somebody gets up now; `ticket`: somebody looks on the next working day. */
export type Severity = 'page' | 'ticket'

/** A series in promtool's notation. */
export interface Series {
  readonly series: string
  readonly values: string
}

export interface AlertCase {
  /** Between samples, and between looks at the rules; default 1m. */
  readonly step?: string
  readonly series: readonly Series[]
  /** When it is looked at, from the start of the series. */
  readonly at: string
}

export interface Alert {
  readonly name: string
  readonly severity: Severity
  /** How long it must be so. */
  readonly lasts: string
  readonly expr: (time: Time) => string
  /** One line, with Prometheus' templates. */
  readonly summary: string
  readonly description: string
  readonly fires: AlertCase & { readonly labels: Readonly<Record<string, string>> }
  readonly quiet: AlertCase
}

export interface RecordingRule {
  readonly record: string
  readonly expr: string
}
