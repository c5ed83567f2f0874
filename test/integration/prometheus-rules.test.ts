import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fileName } from '../../grafana/lib/runbook.js'
import { ALERTS } from '../../grafana/rules/index.js'
import { alertTest, ruleFile, toYaml } from '../../grafana/rules/render.js'
import { REAL_TIME } from '../../grafana/rules/time.js'
import { repositoryRoot } from '../support/repository.js'
import { noPrometheus, PROMTOOL } from '../support/prometheus/tools.js'

const RULES = join(repositoryRoot, 'grafana/generated/rules')

const promtool = (...args: string[]): { readonly ok: boolean; readonly text: string } => {
  const { status, stdout, stderr } = spawnSync(PROMTOOL, args, { encoding: 'utf8' })
  return { ok: status === 0, text: stdout + stderr }
}

t.test('rules: promtool takes them', { skip: noPrometheus }, async (t) => {
  const { ok, text } = promtool('check', 'rules', join(RULES, 'postrider.rules.yaml'))
  t.ok(ok, text)
})

const ruleOf = (name: string): object => {
  const rules = ruleFile(REAL_TIME, 'docs').groups.flatMap((group) => group.rules)
  const found = rules.find((rule) => 'alert' in rule && rule.alert === name)
  if (found === undefined) throw new RangeError(`there is no rule ${name}`)
  return found
}

for (const alert of ALERTS) {
  t.test(`rules: ${alert.name} fires when it should, and only then`, { skip: noPrometheus }, async (t) => {
    const { ok, text } = promtool('test', 'rules', join(RULES, `tests/${fileName(alert.name)}.test.yaml`))
    t.ok(ok, text)

    const folder = t.testdir({})
    const fails = (name: string, expr: string): boolean => {
      const rules = join(folder, `${name}.rules.yaml`)
      const test = join(folder, `${name}.test.yaml`)
      // Alone: the test asks for it whether it fires, and an expression that was changed needs no recorded series.
      writeFileSync(rules, toYaml({ groups: [{ name: 'changed', rules: [{ ...ruleOf(alert.name), expr }] }] }))
      writeFileSync(test, toYaml(alertTest(alert, rules, ['changed'])))
      return !promtool('test', 'rules', test).ok
    }
    t.ok(fails('never', 'vector(0) > 1'), 'its test fails when it never fires')
    t.ok(fails('always', 'vector(1)'), 'its test fails when it always fires')
  })
}
