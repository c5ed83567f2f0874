// The tools that check the chart: on PATH, or where a variable says.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

export interface Tool {
  readonly command: string
  /** False: it is there. Else why the tests that need it are skipped. */
  readonly missing: string | false
}

function tool(variable: string, name: string, args: readonly string[], build: string): Tool {
  const command = process.env[variable] ?? name
  const { error } = spawnSync(command, args, { stdio: 'ignore' })
  const missing = `${name} is not there: put it on PATH, or its path in ${variable} (.ci/chart-tools <folder>, or go install ${build})`
  return { command, missing: error === undefined ? false : missing }
}

export const HELM = tool('HELM_BIN', 'helm', ['version'], 'helm.sh/helm/v3/cmd/helm@v3.22.0')
export const KUBECTL_VALIDATE = tool(
  'KUBECTL_VALIDATE_BIN',
  'kubectl-validate',
  ['--help'],
  'sigs.k8s.io/kubectl-validate@v0.0.4',
)
export const KUBE_SCORE = tool(
  'KUBE_SCORE_BIN',
  'kube-score',
  ['version'],
  'github.com/zegl/kube-score/cmd/kube-score@v1.20.0',
)

/** The folder with the schemas that kubectl-validate has not in itself; `.ci/chart-tools <folder>` makes it. */
export const SCHEMAS_FOLDER = process.env['POSTRIDER_TEST_SCHEMAS'] ?? ''

export const noSchemas: string | false = existsSync(SCHEMAS_FOLDER)
  ? false
  : 'schemas of the newest Kubernetes, Prometheus operator, cert-manager and Gateway API are not there: run .ci/chart-tools <folder>, and name <folder>/schemas in POSTRIDER_TEST_SCHEMAS'
