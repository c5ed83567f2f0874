// Objectives, and alerts on how fast their error budgets burn: several windows, so that a short outage pages soon and a slow
// leak is seen too, and each with a short window beside it, so that the alert ends when the trouble does (the method and its
// factors: Google, The Site Reliability Workbook, chapter 5).

import type { Alert, RecordingRule } from './alert.js'
import type { Time } from './time.js'

export const WINDOWS = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'] as const
type Window = (typeof WINDOWS)[number]

export interface Objective {
  /** Part of the names of the recorded series. */
  readonly name: string
  /** The share that may fail. */
  readonly budget: number
  /** Events that failed, and all of them, over a window as Prometheus writes it. */
  readonly failed: (window: string) => string
  readonly all: (window: string) => string
}

const ratio = ({ name }: Objective, window: Window): string => `postrider:${name}:failed_ratio_rate${window}`

const FAULTS = 'code=~"store_unavailable|outcome_unknown|overloaded"'
const perJob = (series: string, window: string): string => `sum by (job) (rate(${series}[${window}]))`

const refused = (window: string): string =>
  [`postrider_api_problems_total{${FAULTS}}`, `postrider_api_items_refused_total{${FAULTS}}`]
    .map((series) => perJob(series, window))
    .join(' + ')

/** 99.9 % of what is pushed is accepted, but for what the backend did wrong. */
export const ACCEPTING: Objective = {
  name: 'pushes',
  budget: 0.001,
  failed: refused,
  all: (window) =>
    `${refused(window)} + ${perJob('postrider_messages_accepted_total', window)} + ${perJob('postrider_messages_duplicate_total', window)}`,
}

const CONNECTED = 'accepted_while="connected"'

/** 99 % of the messages whose device is connected are handed to it within a second. */
export const DELIVERING: Objective = {
  name: 'deliveries',
  budget: 0.01,
  failed: (window) =>
    `${perJob(`postrider_accept_to_sent_seconds_count{${CONNECTED}}`, window)} - ${perJob(`postrider_accept_to_sent_seconds_bucket{${CONNECTED},le="1"}`, window)}`,
  all: (window) => perJob(`postrider_accept_to_sent_seconds_count{${CONNECTED}}`, window),
}

export const OBJECTIVES: readonly Objective[] = [ACCEPTING, DELIVERING]

export const recordings = (objective: Objective, time: Time): readonly RecordingRule[] =>
  WINDOWS.map((window) => ({
    record: ratio(objective, window),
    expr: `(${objective.failed(time(window))}) / (${objective.all(time(window))})`,
  }))

interface Burn {
  readonly factor: number
  readonly long: Window
  readonly short: Window
}

const burns = (objective: Objective, rates: readonly Burn[]): string =>
  rates
    .map(({ factor, long, short }) => {
      const limit = `${factor} * ${objective.budget}`
      return `(${ratio(objective, long)} > ${limit} and ${ratio(objective, short)} > ${limit})`
    })
    .join(' or ')

/** 2 % of a month's budget in an hour, or 5 % in six. */
export const burnsFast = (objective: Objective): string =>
  burns(objective, [
    { factor: 14.4, long: '1h', short: '5m' },
    { factor: 6, long: '6h', short: '30m' },
  ])

/** 10 % of a month's budget in a day, or in three. */
export const burnsSlowly = (objective: Objective): string =>
  burns(objective, [
    { factor: 3, long: '1d', short: '2h' },
    { factor: 1, long: '3d', short: '6h' },
  ])

const JOB = { job: 'postrider' }
const pushes = (accepted: string, failed: string): Alert['fires']['series'] => [
  { series: 'postrider_messages_accepted_total{job="postrider",instance="a"}', values: accepted },
  { series: 'postrider_messages_duplicate_total{job="postrider",instance="a"}', values: '0x6000' },
  {
    series: 'postrider_api_items_refused_total{job="postrider",instance="a",code="store_unavailable"}',
    values: '0x6000',
  },
  { series: 'postrider_api_problems_total{job="postrider",instance="a",code="store_unavailable"}', values: failed },
]
const deliveries = (all: string, inTime: string): Alert['fires']['series'] => [
  {
    series: 'postrider_accept_to_sent_seconds_count{job="postrider",instance="a",accepted_while="connected"}',
    values: all,
  },
  {
    series: 'postrider_accept_to_sent_seconds_bucket{job="postrider",instance="a",accepted_while="connected",le="1"}',
    values: inTime,
  },
]

export const BURN_ALERTS: readonly Alert[] = [
  {
    name: 'PostriderPushesFail',
    severity: 'page',
    lasts: '2m',
    expr: () => burnsFast(ACCEPTING),
    summary: 'Pushes are refused by the fault of this side ({{ $labels.job }})',
    description: 'The error budget of accepting (99.9 % of pushed messages) burns so fast that it is used up in days.',
    // 5 of 100 fail; then 5 of 1,000, less than six times the budget.
    fires: { series: pushes('0+95x120', '0+5x120'), at: '90m', labels: JOB },
    quiet: { series: pushes('0+995x120', '0+5x120'), at: '90m' },
  },
  {
    name: 'PostriderPushBudgetBurns',
    severity: 'ticket',
    lasts: '1h',
    expr: () => burnsSlowly(ACCEPTING),
    summary: 'A small share of pushes is refused all the time ({{ $labels.job }})',
    description: 'The error budget of accepting (99.9 % of pushed messages) will not last for a month.',
    fires: { step: '15m', series: pushes('0+995x200', '0+5x200'), at: '30h', labels: JOB },
    quiet: { step: '15m', series: pushes('0+19995x200', '0+5x200'), at: '30h' },
  },
  {
    name: 'PostriderDeliverySlow',
    severity: 'page',
    lasts: '2m',
    expr: () => burnsFast(DELIVERING),
    summary: 'Connected devices get their messages late ({{ $labels.job }})',
    description: 'The error budget of delivering (99 % within a second) burns so fast that it is used up in days.',
    fires: { series: deliveries('0+100x120', '0+70x120'), at: '90m', labels: JOB },
    quiet: { series: deliveries('0+100x120', '0+97x120'), at: '90m' },
  },
  {
    name: 'PostriderDeliveryBudgetBurns',
    severity: 'ticket',
    lasts: '1h',
    expr: () => burnsSlowly(DELIVERING),
    summary: 'A small share of messages is late all the time ({{ $labels.job }})',
    description: 'The error budget of delivering (99 % within a second) will not last for a month.',
    fires: { step: '15m', series: deliveries('0+100x200', '0+95x200'), at: '30h', labels: JOB },
    quiet: { step: '15m', series: deliveries('0+1000x200', '0+999x200'), at: '30h' },
  },
]
