import { DASHBOARDS } from './dashboards/index.js'
import { buildDashboard } from './lib/build-dashboard.js'
import { fileName } from './lib/runbook.js'
import { ALERTS } from './rules/index.js'
import { alertTest, ruleFile, toYaml } from './rules/render.js'
import { REAL_TIME } from './rules/time.js'

/** The files under grafana/generated, by their paths there. */
export function generatedFiles(runbooks: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const dashboard of DASHBOARDS) {
    files.set(
      `dashboards/${dashboard.uid}.json`,
      `${JSON.stringify(buildDashboard(dashboard, DASHBOARDS, runbooks), null, 2)}\n`,
    )
  }
  const rules = ruleFile(REAL_TIME, runbooks)
  const groups = rules.groups.map(({ name }) => name)
  files.set('rules/postrider.rules.yaml', toYaml(rules))
  for (const alert of ALERTS) {
    files.set(
      `rules/tests/${fileName(alert.name)}.test.yaml`,
      toYaml(alertTest(alert, '../postrider.rules.yaml', groups)),
    )
  }
  return files
}
