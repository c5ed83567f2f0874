// What the chart renders to, for every kind of store and every switch: rules that hold in all of them.

import t from 'tap'
import { settingName, environmentName } from '../../core/config/option.js'
import { SECRET_SETTINGS } from '../../core/config/secret-settings.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import {
  array,
  at,
  CHART,
  entries,
  environmentOf,
  type Json,
  manifest,
  type Manifest,
  podOf,
  render,
  runTool,
  string,
  VALUES_FILES,
  valueFlags,
} from '../support/kubernetes/chart.js'
import { type Case, CASES } from '../support/kubernetes/matrix.js'
import { HELM } from '../support/kubernetes/tools.js'

t.setTimeout(600_000)
const skip = HELM.missing

const json = (content: Json): string => JSON.stringify(content)

const rendered = new Map<string, Promise<readonly Manifest[]>>()

/** Rendered once, for all tests. */
function renderedCase(each: Case): Promise<readonly Manifest[]> {
  const manifests = rendered.get(each.name) ?? render(each)
  rendered.set(each.name, manifests)
  return manifests
}

/** True when every label that the selector asks for is there. */
function selects(selector: Json, labels: Json): boolean {
  const wanted = entries(selector)
  const there = new Map(entries(labels))
  return wanted.length > 0 && wanted.every(([key, value]) => there.get(key) === value)
}

/** What is wrong with a pod, whatever it is for. */
function troublesOf(pod: { readonly spec: Json; readonly labels: Json }, all: readonly Manifest[]): readonly string[] {
  const { spec, labels } = pod
  const wrong: string[] = []
  const must = (rule: boolean, what: string): void => void (rule || wrong.push(what))
  must(at(spec, 'automountServiceAccountToken') === false, 'gets a token')
  must(at(spec, 'enableServiceLinks') === false, 'gets variables of services')
  must(at(spec, 'securityContext.runAsNonRoot') === true, 'may be root')
  must(string(spec, 'securityContext.seccompProfile.type') === 'RuntimeDefault', 'has no seccomp profile')
  for (const word of ['hostNetwork', 'hostPID', 'hostIPC']) must(at(spec, word) === undefined, word)
  for (const container of array(spec, 'containers')) {
    const may = at(container, 'securityContext')
    must(at(may, 'readOnlyRootFilesystem') === true, 'may write its file system')
    must(at(may, 'allowPrivilegeEscalation') === false, 'may become more')
    must(at(may, 'runAsNonRoot') === true && Number(at(may, 'runAsUser')) > 10_000, 'may be root')
    must(json(at(may, 'capabilities')) === '{"drop":["ALL"]}', 'has capabilities')
    must(!/:latest$|:$/.test(string(container, 'image')), 'has no version')
    for (const name of ['memory', 'ephemeral-storage'])
      must(string(container, `resources.limits.${name}`) !== '', `no limit of ${name}`)
    for (const name of ['memory', 'cpu'])
      must(string(container, `resources.requests.${name}`) !== '', `no request of ${name}`)
    const mounted = array(container, 'volumeMounts').map((each) => string(each, 'name'))
    const there = new Set(array(spec, 'volumes').map((each) => string(each, 'name')))
    const claimed = all.flatMap((each) =>
      array(each.content, 'spec.volumeClaimTemplates').map((one) => string(one, 'metadata.name')),
    )
    for (const name of mounted) must(there.has(name) || claimed.includes(name), `mounts ${name}, which is not there`)
    for (const [name, value] of environmentOf(container)) {
      must(!/SECRET|API_KEY/.test(name) || value.includes('/'), `${name} is no reference`)
    }
  }
  const policies = all.filter(({ kind }) => kind === 'NetworkPolicy')
  if (policies.length > 0) {
    const own = policies.filter(({ content }) => selects(at(content, 'spec.podSelector.matchLabels'), labels))
    must(
      own.some(({ content }) => json(at(content, 'spec.policyTypes')) === '["Ingress","Egress"]'),
      'no policy both ways',
    )
  }
  return wrong
}

void t.test('chart: helm lint --strict, with every file of values', { skip }, async (t) => {
  for (const files of [[], ...VALUES_FILES.map((file) => [file])]) {
    const { ok, stdout, stderr } = await runTool(HELM.command, ['lint', '--strict', CHART, ...valueFlags({ files })])
    t.ok(ok, `${files.join() || 'values.yaml'}: ${stdout}${stderr}`)
  }
})

void t.test(
  'chart: whatever is switched, every pod may do nothing but run, and is reached by its own',
  { skip },
  async (t) => {
    for (const each of CASES) {
      const all = await renderedCase(each)
      t.notMatch(json(all.map(({ content }) => content)), '<no value>', each.name)
      const pods = all.flatMap((one) => podOf(one) ?? [])
      t.same(
        pods.flatMap((pod) => troublesOf(pod, all)),
        [],
        each.name,
      )
      const names = all.map(({ kind, name }) => `${kind} ${name}`)
      t.equal(new Set(names).size, names.length, `${each.name}: no object twice`)
      t.same(
        all.filter(({ name }) => name.length > 52),
        [],
        `${each.name}: names leave room for hashes`,
      )
      for (const { kind, name, content } of all) {
        const selector = kind === 'Service' ? 'spec.selector' : 'spec.selector.matchLabels'
        if (!['Service', 'PodDisruptionBudget', 'Deployment', 'StatefulSet'].includes(kind)) continue
        const chosen = pods.filter(({ labels }) => selects(at(content, selector), labels))
        t.equal(chosen.length, 1, `${each.name}: ${kind} ${name} is of one kind of pod`)
        const ports = new Set(array(at(chosen[0]?.spec, 'containers.0'), 'ports').map((port) => string(port, 'name')))
        for (const port of kind === 'Service' ? array(content, 'spec.ports') : []) {
          t.ok(ports.has(string(port, 'targetPort')), `${each.name}: ${name} leads to ${string(port, 'targetPort')}`)
        }
      }
    }
  },
)

void t.test(
  'chart: what it tells the server are settings that the server has, in values that it takes',
  { skip },
  async (t) => {
    const types = new Map(
      Object.entries(SERVER_OPTIONS).map(([key, { type }]) => [environmentName(settingName(key)), type] as const),
    )
    const secrets = new Set(SECRET_SETTINGS.map(({ setting }) => environmentName(setting)))
    let seen = 0
    for (const each of CASES) {
      const nodes = (await renderedCase(each)).filter(({ kind, name }) => kind !== 'Pod' && !name.endsWith('-redis'))
      for (const node of nodes.flatMap((one) => podOf(one) ?? [])) {
        for (const [name, value] of environmentOf(at(node.spec, 'containers.0'))) {
          if (!name.startsWith('POSTRIDER_') || secrets.has(name)) continue
          seen++
          const type = types.get(name)
          // A URL of MongoDB is known by a reference alone.
          const taken = type !== undefined && (/^[a-z-]+\/[a-z-]+$/.test(value) || type.parse(value) !== undefined)
          if (!taken) t.fail(`${each.name}: ${name}=${value}`)
        }
      }
    }
    t.ok(seen > 1_000, `${seen} variables`)
  },
)

void t.test(
  'chart: a pod has more time to end than its server takes, and is replaced before it goes',
  { skip },
  async (t) => {
    for (const files of [['values-redis.yaml'], ['values-evaluation.yaml'], ['values-mongodb.yaml']]) {
      for (const { kind, name, content } of await render({ files })) {
        if (kind !== 'Deployment' && kind !== 'StatefulSet') continue
        const spec = at(content, 'spec.template.spec')
        const env = environmentOf(at(spec, 'containers.0'))
        const seconds = (setting: string): number => Number.parseInt(env.get(`POSTRIDER_${setting}`) ?? '', 10)
        const grace = Number(at(spec, 'terminationGracePeriodSeconds'))
        t.ok(grace >= seconds('DRAIN_DEADLINE') + 5, `${name}: ${grace} s of grace`)
        t.ok(seconds('DRAIN_DELAY') >= 5, `${name}: load balancers have time to notice`)
        const readiness = at(spec, 'containers.0.readinessProbe')
        const noticed = Number(at(readiness, 'periodSeconds')) * Number(at(readiness, 'failureThreshold'))
        t.ok(noticed <= seconds('DRAIN_DELAY'), `${name}: the kubelet notices within the delay, after ${noticed} s`)
        t.same(
          ['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) =>
            string(spec, `containers.0.${probe}.httpGet.path`),
          ),
          ['/livez', '/livez', '/readyz'],
        )
        if (kind !== 'Deployment') continue
        t.match(at(content, 'spec.strategy'), {
          type: 'RollingUpdate',
          rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
        })
        t.ok(Number(at(content, 'spec.minReadySeconds')) > 0)
      }
    }
  },
)

void t.test('chart: the parts of a deployment for production', { skip }, async (t) => {
  const all = await render({ files: ['values-redis.yaml'] })
  t.same(all.map(({ kind, name }) => `${kind} ${name}`).toSorted(), [
    'ConfigMap postrider-test',
    'Deployment postrider-api',
    'Deployment postrider-broker',
    'HorizontalPodAutoscaler postrider-api',
    'NetworkPolicy postrider-api',
    'NetworkPolicy postrider-broker',
    'NetworkPolicy postrider-test',
    'Pod postrider-test',
    'PodDisruptionBudget postrider-api',
    'PodDisruptionBudget postrider-broker',
    'Service postrider-api',
    'Service postrider-mqtt',
    'ServiceAccount postrider',
  ])
  const broker = manifest(all, 'Deployment', 'postrider-broker')
  const env = environmentOf(at(broker, 'spec.template.spec.containers.0'))
  t.match(Object.fromEntries(env), {
    POSTRIDER_ROLE: 'broker',
    POSTRIDER_STORE: 'postrider-redis/url',
    POSTRIDER_API_KEY_FILE: '/etc/postrider/secrets/api-key',
    POSTRIDER_TOKEN_SECRET_FILE: '/etc/postrider/secrets/token-secret',
    POSTRIDER_MQTT_PORT: 'off',
    POSTRIDER_MQTTS_PORT: '8883',
    POSTRIDER_TLS_CERT: '/etc/postrider/tls/tls.crt',
  })
  t.equal(at(broker, 'spec.replicas'), 3)
  t.equal(at(manifest(all, 'Deployment', 'postrider-api'), 'spec.replicas'), undefined, 'the autoscaler says how many')
  const service = manifest(all, 'Service', 'postrider-mqtt')
  t.match(at(service, 'spec'), { type: 'LoadBalancer', externalTrafficPolicy: 'Local' })
  t.same(
    array(service, 'spec.ports').map((port) => at(port, 'port')),
    [8883, 8084],
  )
})
