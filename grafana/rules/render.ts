// Prometheus' own files: rules, and promtool's tests of them.

import { stringify } from 'yaml'
import { runbookUrl } from '../lib/runbook.js'
import type { Alert, AlertCase } from './alert.js'
import { ALERTS } from './index.js'
import { OBJECTIVES, recordings } from './slo.js'
import { seconds, type Time } from './time.js'

export const HEADER = '# Made by `npm run grafana` from grafana/rules. Do not edit.\n'

export interface RuleFile {
  readonly groups: ReadonlyArray<{ readonly name: string; readonly rules: readonly object[] }>
}

const rule = (alert: Alert, time: Time, runbooks: string): object => ({
  alert: alert.name,
  expr: alert.expr(time),
  ...(seconds(alert.lasts) === 0 ? {} : { for: time(alert.lasts) }),
  labels: { severity: alert.severity },
  annotations: {
    summary: alert.summary,
    description: alert.description,
    runbook_url: runbookUrl(runbooks, alert.name),
  },
})

export const ruleFile = (time: Time, runbooks: string): RuleFile => ({
  groups: [
    ...OBJECTIVES.map((objective) => ({
      name: `postrider-${objective.name}`,
      rules: recordings(objective, time).map(({ record, expr }) => ({ record, expr })),
    })),
    { name: 'postrider-alerts', rules: ALERTS.map((alert) => rule(alert, time, runbooks)) },
  ],
})

export const toYaml = (content: object): string => HEADER + stringify(content, { lineWidth: 0 })

const input = ({ series }: AlertCase): readonly object[] => series.map((s) => ({ series: s.series, values: s.values }))

/** The test of an alert: it fires on one history and is quiet on another. */
export const alertTest = (alert: Alert, rulesPath: string, groups: readonly string[]): object => ({
  rule_files: [rulesPath],
  evaluation_interval: alert.fires.step ?? '1m',
  // Else in any order: an alert would find recorded series of the step before, which a long step makes too old.
  group_eval_order: groups,
  tests: [
    {
      name: `${alert.name} fires`,
      interval: alert.fires.step ?? '1m',
      input_series: input(alert.fires),
      promql_expr_test: [
        {
          expr: `count by (alertname) (ALERTS{alertname="${alert.name}",alertstate="firing",severity="${alert.severity}"${Object.entries(
            alert.fires.labels,
          )
            .map(([name, value]) => `,${name}="${value}"`)
            .join('')}})`,
          eval_time: alert.fires.at,
          exp_samples: [{ labels: `{alertname="${alert.name}"}`, value: 1 }],
        },
      ],
    },
    {
      name: `${alert.name} stays quiet`,
      interval: alert.quiet.step ?? '1m',
      input_series: input(alert.quiet),
      alert_rule_test: [{ alertname: alert.name, eval_time: alert.quiet.at, exp_alerts: [] }],
    },
  ],
})
