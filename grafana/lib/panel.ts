// A panel as data, so that tests can read what it asks and says; `build-dashboard.ts` makes Grafana's own form of it.

/** Grafana's names of units. */
export type Unit =
  'short' | 's' | 'bytes' | 'Bps' | 'percentunit' | 'reqps' | 'cps' | 'ops' | 'dateTimeFromNow' | 'bool'

export interface Query {
  /** PromQL; `SELECTOR` of `metrics.ts` stands for the dashboard's variables. */
  readonly expr: string
  /** What its lines are called: Prometheus' labels in double braces. */
  readonly legend: string
}

/** The value at which a colour begins. */
export interface Threshold {
  readonly from: number
  readonly color: 'green' | 'yellow' | 'red'
}

export interface Panel {
  readonly title: string
  /** What somebody who looks at it learns. */
  readonly description: string
  readonly kind: 'lines' | 'number' | 'table'
  readonly unit: Unit
  readonly queries: readonly Query[]
  /** Of 24 columns; default 8 for lines, 4 for numbers. */
  readonly width?: number
  /** Names of alerts whose runbooks help with it. */
  readonly alerts?: readonly string[]
  readonly thresholds?: readonly Threshold[]
  /** Lines on top of each other. */
  readonly stacked?: boolean
  /** It shows nothing in health: what must fail that it does. */
  readonly onlyWhen?: string
  /** It shows nothing without this store. */
  readonly needs?: 'MongoDB'
}

export interface Section {
  readonly title: string
  readonly panels: readonly Panel[]
}

export interface Dashboard {
  /** Also the name of its file. */
  readonly uid: string
  readonly title: string
  readonly description: string
  readonly sections: readonly Section[]
}
