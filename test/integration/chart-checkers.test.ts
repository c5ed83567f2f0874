// What others say of what the chart renders: kubectl-validate with the schemas of the oldest and the newest Kubernetes that it
// knows and the definitions of other people's resources, and kube-score.

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runTool, tryRender } from '../support/kubernetes/chart.js'
import { CASES } from '../support/kubernetes/matrix.js'
import { HELM, KUBE_SCORE, KUBECTL_VALIDATE, noSchemas, SCHEMAS_FOLDER } from '../support/kubernetes/tools.js'

t.setTimeout(900_000)

/** The first that the chart is for (`unhealthyPodEvictionPolicy`), the last whose schemas the tool has in itself, and the newest. */
const VERSIONS = ['1.27', '1.30', '1.36'] as const

/** A folder with a file for each case. */
async function renderedCases(t: Test): Promise<ReadonlyMap<string, string>> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-chart-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await mkdir(folder, { recursive: true })
  const files = new Map<string, string>()
  for (const [i, each] of CASES.entries()) {
    const { ok, stdout, stderr } = await tryRender(each)
    if (!ok) throw new Error(`${each.name}: ${stderr}`)
    const file = join(folder, `${i}.yaml`)
    await writeFile(file, stdout)
    files.set(file, each.name)
  }
  return files
}

function validate(version: string, files: readonly string[]): ReturnType<typeof runTool> {
  const own = join(SCHEMAS_FOLDER, `kubernetes-${version}`)
  // Schemas of a folder count before those of the version that is named beside it.
  const which = existsSync(own) ? ['--version', '1.30', '--local-schemas', own] : ['--version', version]
  const crds = ['--local-crds', join(SCHEMAS_FOLDER, 'crds')]
  return runTool(KUBECTL_VALIDATE.command, [...which, ...crds, '--output', 'json', ...files])
}

void t.test(
  'chart checkers: every document is valid for the oldest and the newest Kubernetes',
  { skip: HELM.missing || KUBECTL_VALIDATE.missing || noSchemas },
  async (t) => {
    const files = await renderedCases(t)
    for (const version of VERSIONS) {
      const { ok, stdout, stderr } = await validate(version, [...files.keys()])
      const verdicts = Object.entries<unknown>(JSON.parse(stdout))
      t.equal(verdicts.length, files.size, `${version}: every file was looked at`)
      const bad = verdicts.filter(([, verdict]) => /"status":"Failure"/i.test(JSON.stringify(verdict)))
      t.same(
        bad.slice(0, 3).map(([file, verdict]) => `${files.get(file)}: ${JSON.stringify(verdict)}`),
        [],
        `${version}: ${bad.length} are not valid`,
      )
      t.ok(ok, stderr)
    }
  },
)

void t.test(
  'chart checkers: the validator finds what is wrong, also in other people’s resources',
  { skip: HELM.missing || KUBECTL_VALIDATE.missing || noSchemas },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-chart-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const head = (apiVersion: string, kind: string): string =>
      `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a}\n`
    const wrong = {
      'an unknown field': `${head('v1', 'Service')}spec: {portz: []}\n`,
      'a pod monitor': `${head('monitoring.coreos.com/v1', 'PodMonitor')}spec: {selector: {}, podMetricsEndpoints: [{ports: a}]}\n`,
      'a certificate': `${head('cert-manager.io/v1', 'Certificate')}spec: {secretName: a}\n`,
      'a route': `${head('gateway.networking.k8s.io/v1', 'HTTPRoute')}spec: {rules: [{matches: [{path: {type: Begins}}]}]}\n`,
      'what nobody defines': head('example.com/v1', 'Thing'),
    }
    for (const [what, text] of Object.entries(wrong)) {
      const file = join(folder, 'wrong.yaml')
      await writeFile(file, text)
      for (const version of VERSIONS) t.match(await validate(version, [file]), { ok: false }, `${what}, ${version}`)
    }
  },
)

void t.test(
  'chart checkers: kube-score has nothing to say',
  { skip: HELM.missing || KUBE_SCORE.missing },
  async (t) => {
    const files = await renderedCases(t)
    // No limit of CPU: a throttled node is a slow node for all of its devices. What is ignored besides has its reason in the chart.
    const args = ['score', '--output-format', 'ci', '--ignore-container-cpu-limit']
    for (const [file, name] of files) {
      // Without NetworkPolicies, as asked for; with a wish for NodePorts, as asked for.
      if (/no NetworkPolicy|node ports/.test(name)) continue
      const { stdout } = await runTool(KUBE_SCORE.command, [...args, file])
      t.ok(stdout.includes('[OK]'), `${name} was looked at`)
      t.same(
        stdout.split('\n').filter((line) => /^\[(?:CRITICAL|WARNING)\]/.test(line)),
        [],
        name,
      )
    }
  },
)
