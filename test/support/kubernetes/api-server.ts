// As much of a Kubernetes API as Helm asks when it renders for a cluster: what there is, and which Secrets.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export interface ApiServer {
  /** For `--kubeconfig`. */
  readonly kubeconfig: string
  /** By `namespace/name`; may be changed. */
  readonly secrets: Map<string, object>
  /** The paths that were asked for. */
  readonly asked: string[]
}

const VERSION = { major: '1', minor: '34', gitVersion: 'v1.34.0' }
const CORE = {
  kind: 'APIResourceList',
  groupVersion: 'v1',
  resources: [{ name: 'secrets', singularName: 'secret', namespaced: true, kind: 'Secret', verbs: ['get', 'list'] }],
}

export async function startApiServer(t: Test): Promise<ApiServer> {
  const secrets = new Map<string, object>()
  const asked: string[] = []
  function answer(path: string): object | null {
    if (path === '/version') return VERSION
    if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] }
    if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: [] }
    if (path === '/api/v1') return CORE
    const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/secrets\/([^/]+)$/.exec(path) ?? []
    return secrets.get(`${namespace}/${name}`) ?? null
  }
  const server = createServer(({ url = '' }, response) => {
    const path = url.replace(/\?.*$/, '')
    asked.push(path)
    const found = answer(path)
    response.writeHead(found === null ? 404 : 200, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify(found ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const folder = await mkdtemp(join(tmpdir(), 'postrider-kubeconfig-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const kubeconfig = join(folder, 'config')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server: `http://127.0.0.1:${port}` } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    users: [{ name: 'test', user: {} }],
  }
  await writeFile(kubeconfig, JSON.stringify(config))
  return { kubeconfig, secrets, asked }
}
