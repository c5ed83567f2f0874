// Grafana's form of a dashboard, by its own typed builders.

import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import * as common from '@grafana/grafana-foundation-sdk/common'
import {
  DashboardBuilder,
  DashboardLinkBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  TextBoxVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  type Dashboard as GrafanaDashboard,
  type Panel as GrafanaPanel,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as LinesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'
import type { Dashboard, Panel, Query } from './panel.js'
import { runbookUrl } from './runbook.js'

const SOURCE = { type: 'prometheus', uid: '${datasource}' }
const ALL = { text: 'All', value: '$__all' }
const REF_IDS = 'ABCDEFGH'

const WIDTH = { lines: 8, number: 4, table: 24 } as const
const HEIGHT = { lines: 8, number: 4, table: 8 } as const

type AnyPanelBuilder = LinesBuilder | StatBuilder | TableBuilder

function target(query: Query, index: number, kind: Panel['kind']): DataqueryBuilder {
  const builder = new DataqueryBuilder()
    .datasource(SOURCE)
    .refId(REF_IDS.charAt(index))
    .expr(query.expr)
    .legendFormat(query.legend)
  if (kind === 'lines') return builder.range()
  return kind === 'number' ? builder.instant() : builder.instant().format(PromQueryFormat.Table)
}

function frame<B extends AnyPanelBuilder>(builder: B, panel: Panel): B {
  const links = (panel.alerts ?? []).map((alert) =>
    new DashboardLinkBuilder(`Runbook: ${alert}`).url(runbookUrl('${runbooks}', alert)).targetBlank(true),
  )
  const steps = [
    { value: null, color: 'green' },
    ...(panel.thresholds ?? []).map(({ from, color }) => ({ value: from, color })),
  ]
  builder
    .title(panel.title)
    .description(panel.description)
    .datasource(SOURCE)
    .unit(panel.unit)
    .links(links)
    .span(panel.width ?? WIDTH[panel.kind])
    .height(HEIGHT[panel.kind])
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps))
  panel.queries.forEach((query, index) => builder.withTarget(target(query, index, panel.kind)))
  return builder
}

function lines(panel: Panel): LinesBuilder {
  const builder = frame(new LinesBuilder(), panel)
    .lineWidth(1)
    .fillOpacity(panel.stacked === true ? 30 : 8)
    .showPoints(common.VisibilityMode.Never)
    .min(0)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi))
  return panel.stacked === true
    ? builder.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'))
    : builder
}

const number = (panel: Panel): StatBuilder =>
  frame(new StatBuilder(), panel)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(panel.thresholds === undefined ? common.BigValueColorMode.None : common.BigValueColorMode.Value)

const BUILDERS: Readonly<Record<Panel['kind'], (panel: Panel) => Builder<GrafanaPanel>>> = {
  lines,
  number,
  table: (panel) => frame(new TableBuilder(), panel),
}

const labelVariable = (name: string, label: string, query: string): QueryVariableBuilder =>
  new QueryVariableBuilder(name)
    .label(label)
    .datasource(SOURCE)
    .query(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .multi(true)
    .includeAll(true)
    .current(ALL)

/** `others`: the dashboards that it links to; `runbooks`: where the pages are. */
export function buildDashboard(dashboard: Dashboard, others: readonly Dashboard[], runbooks: string): GrafanaDashboard {
  const builder = new DashboardBuilder(dashboard.title)
    .uid(dashboard.uid)
    .description(dashboard.description)
    .tags(['postrider'])
    .readonly()
    .refresh('30s')
    .time({ from: 'now-1h', to: 'now' })
    .timezone('browser')
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(labelVariable('job', 'Job', 'label_values(postrider_build_info, job)'))
    .withVariable(labelVariable('instance', 'Instance', 'label_values(postrider_build_info{job=~"$job"}, instance)'))
    .withVariable(new TextBoxVariableBuilder('runbooks').label('Runbooks at').defaultValue(runbooks))
  for (const other of others) {
    if (other.uid === dashboard.uid) continue
    builder.link(
      new DashboardLinkBuilder(other.title)
        .url(`/d/${other.uid}`)
        .keepTime(true)
        .includeVars(true)
        .tooltip(other.description),
    )
  }
  for (const section of dashboard.sections) {
    builder.withRow(new RowBuilder(section.title))
    for (const panel of section.panels) builder.withPanel(BUILDERS[panel.kind](panel))
  }
  return builder.build()
}
