// What Helm prints after an installation: its commands are run as they stand there, and it says what is so.

import { execFile } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { Authority } from '../support/certificates.js'
import { array, CHART, manifest, podOf, render, type RenderOptions, string } from '../support/kubernetes/chart.js'
import { CASES } from '../support/kubernetes/matrix.js'
import { HELM } from '../support/kubernetes/tools.js'
import { TestServer } from '../support/server.js'
import { TlsFolder } from '../support/tls.js'

t.setTimeout(300_000)
const skip = HELM.missing
const run = promisify(execFile)

const REDIS = { type: 'redis', redis: { url: 'redis://redis:6379' } }

/**
 * Helm prints the notes only where a cluster answers. So they are rendered as the data of a ConfigMap, which a copy of the chart has
 * besides.
 */
function notes(t: Test): (options: RenderOptions) => Promise<string> {
  const chart = mkdtempSync(join(tmpdir(), 'postrider-chart-'))
  t.teardown(() => rmSync(chart, { recursive: true, force: true }))
  cpSync(CHART, chart, { recursive: true })
  renameSync(join(chart, 'templates/NOTES.txt'), join(chart, 'files/notes.txt'))
  const head = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: the-notes}\ndata:\n'
  const shown = `${head}  text: |-\n    {{- tpl (.Files.Get "files/notes.txt") . | nindent 4 }}\n`
  writeFileSync(join(chart, 'templates/the-notes.yaml'), shown)
  return async (options) => string(manifest(await render({ ...options, chart }), 'ConfigMap', 'the-notes'), 'data.text')
}

/** The lines of a command, from the one that begins so to the one that ends so. */
function lines(text: string, first: string, last: string): string {
  const all = text.split('\n')
  const from = all.findIndex((line) => line.trim().startsWith(first))
  const to = all.findIndex((line, i) => i >= from && line.endsWith(last))
  if (from === -1 || to === -1) throw new RangeError(`no ${first} … ${last} in ${text}`)
  return all.slice(from, to + 1).join('\n')
}

/** A kubectl that knows one Secret, and says what it was asked for. */
function kubectl(t: Test, secret: string): { readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-kubectl-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'kubectl')
  writeFileSync(
    file,
    `#!/bin/sh\necho "$*" >> ${folder}/asked\nprintf %s '${Buffer.from(secret).toString('base64')}'\n`,
  )
  chmodSync(file, 0o755)
  return { folder }
}

void t.test('chart notes: the push that they show is taken, while keys are changed too', { skip }, async (t) => {
  const key = 'the-key-of-the-operator-0123456789-abcdef'
  const server = await TestServer.start(t, { env: { POSTRIDER_API_KEY: key } })
  const text = await notes(t)({ values: { secrets: { apiKeyKey: 'api.key', existingSecret: 'ours' } } })
  t.match(text, String.raw`get secret ours -o jsonpath='{.data.api\.key}'`, 'a dot in the name of a key is no path')
  const { folder } = kubectl(t, `${key},the-old-key-of-the-operator-0123456789-ab`)
  const command = lines(text, 'API_KEY=', `'{"payload": "hello"}'`).replaceAll(
    '127.0.0.1:8080',
    new URL(server.url).host,
  )
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` }
  const { stdout } = await run('bash', ['-euc', command], { env })
  t.match(JSON.parse(stdout), { seq: 1 })
})

void t.test('chart notes: with TLS alone the push goes by a name of the certificate', { skip }, async (t) => {
  const key = 'the-key-of-the-operator-0123456789-abcdef'
  const authority = new Authority()
  const pair = authority.issue({ hosts: ['localhost'] })
  const folder = await TlsFolder.make(t, { 'ca.pem': authority.cert, 'cert.pem': pair.cert, 'key.pem': pair.key })
  const server = await TestServer.start(t, {
    flags: ['--tls-cert', folder.file('cert.pem'), '--tls-key', folder.file('key.pem'), '--http-port', 'off'],
    env: { POSTRIDER_API_KEY: key },
  })
  const certManager = { enabled: true, issuerRef: { name: 'ours' }, dnsNames: ['localhost'] }
  const values = { tls: { enabled: true, certManager }, listeners: { http: false } }
  const text = await notes(t)({ values })
  t.match(text, 'port-forward service/postrider-api 8443:8443')
  const tools = kubectl(t, key)
  const command = lines(text, 'API_KEY=', `'{"payload": "hello"}'`).replaceAll('8443', String(server.ports.https))
  const env = {
    ...process.env,
    PATH: `${tools.folder}:${process.env['PATH'] ?? ''}`,
    CURL_CA_BUNDLE: folder.file('ca.pem'),
  }
  const { stdout } = await run('bash', ['-euc', command], { env })
  t.match(JSON.parse(stdout), { seq: 1 })
})

void t.test('chart notes: the Service, its port and the Secret that they name are there', { skip }, async (t) => {
  const shown = notes(t)
  for (const each of CASES.filter(({ name }) => /^(?:preset|redis for production), /.test(name))) {
    const text = await shown(each)
    t.notMatch(text, /<no value>|%!|\[\]|map\[/, each.name)
    const [, service = '', port = ''] = /port-forward service\/(\S+) (?:8080|8443):(\d+)\n/.exec(text) ?? []
    const all = await render(each)
    const ports = array(manifest(all, 'Service', service), 'spec.ports').map((one) => string(one, 'port'))
    t.ok(ports.includes(port), `${each.name}: ${service}:${port}`)
    const [, secret = ''] = /get secret (\S+) -o/.exec(text) ?? []
    const mounted = all
      .flatMap((one) => array(podOf(one)?.spec, 'volumes'))
      .map((one) => string(one, 'secret.secretName'))
    t.ok(mounted.includes(secret), `${each.name}: ${secret}`)
  }
})

void t.test('chart notes: they say what is so', { skip }, async (t) => {
  const shown = notes(t)
  const cases: ReadonlyArray<
    readonly [what: string, values: object, has: readonly RegExp[], hasNot: readonly RegExp[]]
  > = [
    [
      'preset',
      {},
      [/receives it\n/, /Nothing here has TLS/, /were generated/, /Webhooks get nowhere/],
      [/Ingress/, /Gateway/],
    ],
    ['webhooks', { networkPolicy: { webhooks: { ports: [443] } } }, [], [/Webhooks get nowhere/]],
    [
      'an Ingress that ends TLS',
      { ingress: { enabled: true, host: 'a.example', tlsSecret: 'b' } },
      [
        /at https:\/\/a\.example: REST at \/v1, MQTT over WebSocket at \/mqtt/,
        /does not come through the Ingress can be read/,
      ],
      [/Nothing here has TLS/],
    ],
    [
      'a load balancer that sends PROXY headers',
      { store: REDIS, proxyProtocol: true, trustProxy: ['10.0.0.0/8'], service: { mqtt: { type: 'LoadBalancer' } } },
      [
        /mqtt +postrider-mqtt\.push:1883 {2}\(with a PROXY header in front\)/,
        /Devices from outside[^]*get service postrider-mqtt -o/,
        /and asks for it/,
      ],
      [/Backends from outside/],
    ],
    [
      'MQTT by a Gateway',
      { gateway: { enabled: true, parentRefs: [{ name: 'a' }], mqtt: { enabled: true } } },
      [
        /By the Gateway: REST at \/v1, MQTT over WebSocket at \/mqtt, MQTT by a TCPRoute/,
        /get httproutes,tcproutes -l/,
      ],
      [],
    ],
  ]
  for (const [what, values, has, hasNot] of cases) {
    const text = await shown({ values })
    for (const pattern of has) t.match(text, pattern, what)
    for (const pattern of hasNot) t.notMatch(text, pattern, what)
  }
})
