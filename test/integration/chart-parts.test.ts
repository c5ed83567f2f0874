// Parts of the chart that work with what is not its own: traces, Prometheus, Gateways, and what an update of the chart changes.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { array, at, CHART, environmentOf, manifest, podOf, render, string } from '../support/kubernetes/chart.js'
import { HELM } from '../support/kubernetes/tools.js'

t.setTimeout(300_000)
const skip = HELM.missing

const REDIS = { type: 'redis', redis: { url: 'redis://redis:6379' } }
const GATEWAY = { enabled: true, parentRefs: [{ name: 'public' }] }
const GROUP = 'gateway.networking.k8s.io'

void t.test(
  'chart traces: where they go, how many, and what the receiver asks for by reference',
  { skip },
  async (t) => {
    const tracing = (ratio: number): object => ({
      endpoint: 'https://otel.example.com',
      ratio,
      headers: { existingSecret: { name: 'otel', key: 'key' } },
    })
    for (const [ratio, text] of [
      [0.01, '0.01'],
      [0.00001, '0.00001'],
      [1, '1'],
      [0, '0'],
    ] as const) {
      const all = await render({ values: { store: REDIS, tracing: tracing(ratio) } })
      for (const name of ['postrider-broker', 'postrider-api']) {
        const container = at(manifest(all, 'Deployment', name), 'spec.template.spec.containers.0')
        t.match(Object.fromEntries(environmentOf(container)), {
          POSTRIDER_OTEL_ENDPOINT: 'https://otel.example.com',
          POSTRIDER_OTEL_RATIO: text,
          POSTRIDER_OTEL_HEADERS: 'otel/key',
        })
      }
    }
    const off = podOf({ kind: 'StatefulSet', name: '', content: manifest(await render(), 'StatefulSet', 'postrider') })
    t.notMatch(JSON.stringify(off), 'OTEL')
  },
)

void t.test(
  'chart monitoring: brokers and API nodes are one job, so that alerts can compare them',
  { skip },
  async (t) => {
    const metrics = { serviceMonitor: { enabled: true } }
    const all = await render({ values: { store: REDIS, metrics } })
    t.equal(all.filter(({ kind, name }) => kind === 'Service' && name.endsWith('-metrics')).length, 2)
    const monitor = manifest(all, 'ServiceMonitor', 'postrider')
    t.same(array(monitor, 'spec.endpoints.0.relabelings'), [{ targetLabel: 'job', replacement: 'push/postrider' }])
  },
)

void t.test('chart monitoring: the links of alerts lead where runbooks are published', { skip }, async (t) => {
  const linksOf = async (runbooks: string): Promise<readonly string[]> => {
    const all = await render({ values: { metrics: { rules: { enabled: true, runbooks } } } })
    const rules = array(manifest(all, 'PrometheusRule', 'postrider'), 'spec.groups').flatMap((group) =>
      array(group, 'rules'),
    )
    return rules.filter((rule) => at(rule, 'alert')).map((rule) => string(rule, 'annotations.runbook_url'))
  }
  for (const [runbooks, start] of [
    ['https://a.example/runbooks/', 'https://a.example/runbooks/'],
    ['', 'docs/runbooks/'],
  ] as const) {
    const links = await linksOf(runbooks)
    t.ok(links.length > 10)
    for (const link of links) t.match(link, new RegExp(`^${start}postrider-[a-z-]+\\.md$`))
  }
})

void t.test(
  'chart gateway: the version of the route that the cluster has, and v1 where nobody says',
  { skip },
  async (t) => {
    const versionOf = async (mqtt: object, apiVersions: readonly string[]): Promise<string> => {
      const all = await render({ values: { gateway: { ...GATEWAY, mqtt: { enabled: true, ...mqtt } } }, apiVersions })
      return string(manifest(all, 'TCPRoute', 'postrider-mqtt'), 'apiVersion')
    }
    const had = (...versions: string[]): readonly string[] => versions.map((version) => `${GROUP}/${version}/TCPRoute`)
    t.equal(await versionOf({}, []), `${GROUP}/v1`)
    t.equal(await versionOf({}, had('v1', 'v1alpha2')), `${GROUP}/v1`)
    t.equal(await versionOf({}, had('v1alpha2')), `${GROUP}/v1alpha2`)
    t.equal(await versionOf({ apiVersion: 'v1alpha2' }, []), `${GROUP}/v1alpha2`)
  },
)

void t.test('chart gateway: MQTT goes to the listener that is on, or by name with TLS', { skip }, async (t) => {
  const tls = { enabled: true, existingSecret: 'tls' }
  const routeOf = async (kind: string, mqtt: object, more: object = {}): Promise<unknown> => {
    const gateway = { ...GATEWAY, ws: false, mqtt: { enabled: true, kind, ...mqtt } }
    return at(manifest(await render({ values: { ...more, gateway } }), kind, 'postrider-mqtt'), 'spec')
  }
  const leadsTo = (route: unknown): string => string(route, 'rules.0.backendRefs.0.port')
  t.equal(leadsTo(await routeOf('TCPRoute', {})), '1883')
  t.equal(leadsTo(await routeOf('TCPRoute', {}, { tls })), '8883', 'TLS is passed through')
  t.equal(leadsTo(await routeOf('TCPRoute', { listener: 'mqtts' }, { tls, listeners: { mqtt: true } })), '8883')
  const byName = await routeOf('TLSRoute', { hostnames: ['a.example'] }, { tls })
  t.equal(leadsTo(byName), '8883')
  t.same(at(byName, 'hostnames'), ['a.example'])
})

void t.test('chart update: a new version of the chart alone replaces no pod', { skip }, async (t) => {
  const newer = mkdtempSync(join(tmpdir(), 'postrider-chart-'))
  t.teardown(() => rmSync(newer, { recursive: true, force: true }))
  cpSync(CHART, newer, { recursive: true })
  const about = join(newer, 'Chart.yaml')
  writeFileSync(about, readFileSync(about, 'utf8').replace(/^version: .*$/m, 'version: 99.0.0'))
  for (const values of [{}, { store: REDIS }, { store: { type: 'redis' }, evaluationRedis: { enabled: true } }]) {
    const [before, after] = await Promise.all([render({ values }), render({ values, chart: newer })])
    t.notSame(before, after, 'it is another version')
    const templates = (all: typeof before) =>
      all
        .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
        .map(({ content }) => at(content, 'spec'))
    t.ok(templates(before).length > 0)
    t.same(templates(after), templates(before))
  }
})

void t.test('chart pods: pods of before an update do not count where new ones are spread', { skip }, async (t) => {
  const all = await render({ values: { store: REDIS } })
  for (const name of ['postrider-broker', 'postrider-api']) {
    const [spread] = array(manifest(all, 'Deployment', name), 'spec.template.spec.topologySpreadConstraints')
    t.same(at(spread, 'matchLabelKeys'), ['pod-template-hash'])
  }
})

void t.test('chart services: protocols have the names that IANA or Kubernetes gave them', { skip }, async (t) => {
  const values = { tls: { enabled: true, existingSecret: 'tls' }, listeners: { mqtt: true, ws: true } }
  const all = await render({ values })
  const ports = ['mqtt', 'api'].flatMap((name) => array(manifest(all, 'Service', `postrider-${name}`), 'spec.ports'))
  t.same(Object.fromEntries(ports.map((port) => [string(port, 'name'), string(port, 'appProtocol')])), {
    mqtt: 'mqtt',
    mqtts: 'secure-mqtt',
    ws: 'kubernetes.io/ws',
    wss: 'kubernetes.io/wss',
    http: 'http',
    https: 'https',
  })
})

void t.test('chart images: whoever needs a password for images has it for all of them', { skip }, async (t) => {
  const values = {
    store: { type: 'redis' },
    evaluationRedis: { enabled: true },
    imagePullSecrets: [{ name: 'registry' }],
  }
  const pods = (await render({ values })).flatMap((each) => podOf(each) ?? [])
  t.equal(pods.length, 4)
  for (const { spec } of pods) t.same(at(spec, 'imagePullSecrets'), [{ name: 'registry' }])
})
