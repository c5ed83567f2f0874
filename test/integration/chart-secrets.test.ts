// The secrets that the chart makes: random, made once, and taken over from the cluster after that.

import t from 'tap'
import { parseOperatorKeys } from '../../core/security/api-keys.js'
import { parseTokenSecrets } from '../../core/security/token-secrets.js'
import { startApiServer } from '../support/kubernetes/api-server.js'
import { CHART, manifest, manifestsIn, render, runTool, string, valueFlags } from '../support/kubernetes/chart.js'
import { HELM } from '../support/kubernetes/tools.js'

t.setTimeout(120_000)
const skip = HELM.missing

const decoded = (secret: unknown, key: string): string =>
  Buffer.from(string(secret, `data.${key}`), 'base64').toString('utf8')

void t.test('chart secrets: they are good ones, and no two releases have the same', { skip }, async (t) => {
  const made = await Promise.all(
    ['a', 'b'].map(async (release) => manifest(await render({ release }), 'Secret', `${release}-postrider-secrets`)),
  )
  for (const secret of made) {
    t.equal(parseOperatorKeys(decoded(secret, 'api-key'), 'the API key').length, 1)
    t.equal(parseTokenSecrets(decoded(secret, 'token-secret'), 'the token secret').length, 1)
  }
  for (const key of ['api-key', 'token-secret']) {
    t.equal(new Set(made.map((secret) => decoded(secret, key))).size, 2, key)
    t.ok(decoded(made[0], key).length >= 48, key)
  }
})

void t.test('chart secrets: an upgrade keeps what is in the cluster, and adds what is missing', { skip }, async (t) => {
  const cluster = await startApiServer(t)
  const upgrade = async (values: object): Promise<unknown> => {
    const args = ['template', 'postrider', CHART, '--namespace', 'push', '--is-upgrade', '--dry-run=server']
    const { ok, stdout, stderr } = await runTool(HELM.command, [
      ...args,
      '--kubeconfig',
      cluster.kubeconfig,
      ...valueFlags({ values }),
    ])
    if (!ok) throw new Error(stderr)
    return manifest(manifestsIn(stdout), 'Secret', 'postrider-secrets')
  }
  const first = await upgrade({})
  t.ok(
    cluster.asked.some((path) => path.endsWith('/secrets/postrider-secrets')),
    'it looks into the cluster',
  )
  const stored = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'postrider-secrets', namespace: 'push' } }
  const data = { 'api-key': string(first, 'data.api-key'), 'token-secret': string(first, 'data.token-secret') }
  cluster.secrets.set('push/postrider-secrets', { ...stored, data })
  for (const values of [{}, { logLevel: 'debug' }]) {
    const again = await upgrade(values)
    t.match(again, { data, metadata: { annotations: { 'helm.sh/resource-policy': 'keep' } } }, 'the same, and kept')
  }
  // Somebody put a rotated secret there by hand.
  const rotated = Buffer.from('new-secret-of-at-least-32-characters,old').toString('base64')
  cluster.secrets.set('push/postrider-secrets', { ...stored, data: { 'token-secret': rotated } })
  const after = await upgrade({})
  t.equal(string(after, 'data.token-secret'), rotated)
  t.ok(decoded(after, 'api-key').length >= 48, 'what was not there is made')
})

void t.test('chart secrets: with one of the operator, none is made', { skip }, async (t) => {
  const all = await render({ values: { secrets: { existingSecret: 'ours', apiKeyKey: 'key' } } })
  t.same(
    all.filter(({ kind }) => kind === 'Secret'),
    [],
  )
})
