import t from 'tap'
import { parse } from 'yaml'
import { METRIC_TABLE } from '../../cli/metrics/metric-table.js'
import type { MetricFacts } from '../../core/metrics/metric-row.js'
import { DASHBOARDS } from '../../grafana/dashboards/index.js'
import { generatedFiles } from '../../grafana/generated-files.js'
import { fileName, RUNBOOKS, runbookUrl } from '../../grafana/lib/runbook.js'
import { ALERTS } from '../../grafana/rules/index.js'
import { OBJECTIVES, recordings } from '../../grafana/rules/slo.js'
import { REAL_TIME } from '../../grafana/rules/time.js'
import { readRepositoryFile, repositoryFiles, sectionOf } from '../support/repository.js'

const GENERATED = 'grafana/generated/'

/** Metrics that are not the product's own but of its process, and Prometheus' own. */
const OF_OTHERS = new Set([
  'process_resident_memory_bytes',
  'process_start_time_seconds',
  'nodejs_eventloop_lag_p99_seconds',
])

const known = new Map<string, MetricFacts>(
  METRIC_TABLE.flatMap(({ rows }) => rows.map((row) => [`postrider_${row.name}`, row] as const)),
)
const recorded = new Set(
  OBJECTIVES.flatMap((objective) => recordings(objective, REAL_TIME).map(({ record }) => record)),
)

interface Use {
  readonly name: string
  readonly matchers: string
}

/** The metrics of a query, with what they are narrowed to. */
const usesOf = (expr: string): readonly Use[] =>
  [...expr.matchAll(/\b((?:postrider|process|nodejs)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map((match) => ({
    name: match[1] ?? '',
    matchers: match[2] ?? '',
  }))

/** What is wrong with a use of a metric; null: nothing. */
function complaint({ name, matchers }: Use): string | null {
  if (OF_OTHERS.has(name)) return null
  const base = known.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, '')
  const row = known.get(base)
  if (row === undefined) return `${name} does not exist`
  if (base !== name && row.type !== 'histogram') return `${base} is no histogram`
  for (const [, label = '', values = ''] of matchers.matchAll(/(\w+)=~?"([^"]*)"/g)) {
    if (['job', 'instance', 'le'].includes(label)) continue
    const allowed = row.labels[label]
    if (allowed === undefined) return `${base} has no label ${label}`
    if (!Array.isArray(allowed)) continue
    for (const value of values.split('|')) {
      if (!allowed.includes(value)) return `${base}: ${label} is never ${value}`
    }
  }
  return null
}

const complaints = (exprs: readonly string[]): readonly string[] =>
  exprs.flatMap(usesOf).flatMap((use) => complaint(use) ?? [])

const panels = DASHBOARDS.flatMap((dashboard) =>
  dashboard.sections.flatMap(({ panels: list }) => list.map((panel) => ({ dashboard, panel }))),
)

t.test('dashboards and rules: the committed files are what the code makes', async (t) => {
  const made = generatedFiles(RUNBOOKS)
  const committed = repositoryFiles()
    .filter((path) => path.startsWith(GENERATED))
    .map((path) => path.slice(GENERATED.length))
  t.same(committed, [...made.keys()].toSorted())
  for (const [path, text] of made) {
    t.equal(readRepositoryFile(`${GENERATED}${path}`), text, `${path}: run \`npm run grafana\``)
  }
})

t.test('dashboards and rules: what they ask for is in the table of metrics', async (t) => {
  const asked = panels.flatMap(({ panel }) => panel.queries.map(({ expr }) => expr))
  t.ok(asked.flatMap(usesOf).length > 50)
  t.same(complaints(asked), [])
  const ruled = [
    ...ALERTS.map(({ expr }) => expr(REAL_TIME)),
    ...OBJECTIVES.flatMap((objective) => recordings(objective, REAL_TIME).map(({ expr }) => expr)),
  ]
  t.same(complaints(ruled), [])
  t.same(complaints(ALERTS.flatMap(({ fires, quiet }) => [...fires.series, ...quiet.series].map((s) => s.series))), [])
  for (const name of ruled.join(' ').match(/postrider:\w+(?::\w+)*/g) ?? [])
    t.ok(recorded.has(name), `${name} is recorded`)
  t.same(complaints(['rate(postrider_nothing_total[5m])']), ['postrider_nothing_total does not exist'])
  t.same(complaints(['postrider_ready_check{chek="store"}']), ['postrider_ready_check has no label chek'])
})

t.test('dashboards: every panel says what it tells, has a unit, and knows its runbooks', async (t) => {
  const names = new Set(ALERTS.map(({ name }) => name))
  for (const { dashboard, panel } of panels) {
    const where = `${dashboard.title}: ${panel.title}`
    t.ok(panel.description.length > 10, `${where} has a description`)
    t.ok(panel.queries.length > 0, `${where} has a query`)
    for (const alert of panel.alerts ?? []) t.ok(names.has(alert), `${where} links to ${alert}`)
  }
  const linked = new Set(panels.flatMap(({ panel }) => panel.alerts ?? []))
  const unseen = ALERTS.filter(({ name }) => !linked.has(name)).map(({ name }) => name)
  t.same(unseen, ['PostriderCertificateExpires'], 'alerts that no panel shows')
})

t.test('dashboards: they have variables for the data source and the instances, and lead to each other', async (t) => {
  for (const { uid } of DASHBOARDS) {
    const dashboard: unknown = JSON.parse(generatedFiles(RUNBOOKS).get(`dashboards/${uid}.json`) ?? '{}')
    t.match(dashboard, {
      uid,
      templating: { list: [{ name: 'datasource' }, { name: 'job' }, { name: 'instance' }, { name: 'runbooks' }] },
      links: { length: DASHBOARDS.length - 1 },
    })
  }
})

t.test('alerts: each has a runbook with all of its parts, and each runbook an alert', async (t) => {
  const pages = repositoryFiles().filter((path) => path.startsWith('docs/runbooks/') && !path.endsWith('index.md'))
  t.same(pages, ALERTS.map(({ name }) => runbookUrl(RUNBOOKS, name)).toSorted())
  const index = readRepositoryFile('docs/runbooks/index.md')
  for (const { name } of ALERTS) {
    const page = readRepositoryFile(runbookUrl(RUNBOOKS, name))
    t.ok(page.startsWith(`# ${name}\n`))
    for (const part of ['Meaning', 'Impact', 'How to confirm', 'How to fix']) {
      t.ok(sectionOf(page, part).trim().length > 20, `${name}: ${part}`)
    }
    t.ok(index.includes(`- [${name}](${fileName(name)}.md)`), `the index has ${name}`)
  }
})

t.test('alerts: panels that runbooks name exist', async (t) => {
  const titles = new Set(panels.map(({ panel }) => panel.title))
  for (const { name } of ALERTS) {
    const page = readRepositoryFile(runbookUrl(RUNBOOKS, name))
    for (const [, title = ''] of page.matchAll(/\*(?:[^*→]+ → )([^*→]+)(?: → [^*]+)?\*/g)) {
      const plain = title.trim()
      t.ok(
        [...titles].some((one) => one === plain || one.startsWith(plain) || one.endsWith(plain)) || plain === 'sent',
        `${name}: there is a panel "${plain}"`,
      )
    }
  }
})

t.test('rules: the file is what Prometheus expects', async (t) => {
  const text = generatedFiles(RUNBOOKS).get('rules/postrider.rules.yaml') ?? ''
  t.match(parse(text), {
    groups: [{ name: 'postrider-pushes' }, { name: 'postrider-deliveries' }, { name: 'postrider-alerts' }],
  })
})
