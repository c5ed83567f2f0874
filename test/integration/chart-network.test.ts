// What the NetworkPolicies let in and out: what a pod has to reach by its values, and no more.

import t from 'tap'
import { array, at, type Json, manifest, render, string } from '../support/kubernetes/chart.js'
import { HELM } from '../support/kubernetes/tools.js'

t.setTimeout(300_000)
const skip = HELM.missing

interface Rule {
  readonly ports: readonly number[]
  /** JSON; '' for everywhere. */
  readonly to: string
}

/** What goes out of the pods of a component, without DNS. */
async function outOf(component: string, values: object): Promise<readonly Rule[]> {
  const policy = manifest(await render({ values }), 'NetworkPolicy', `postrider-${component}`)
  const rules = array(policy, 'spec.egress').map((rule: Json) => ({
    ports: array(rule, 'ports').map((port) => Number(string(port, 'port'))),
    to: at(rule, 'to') === undefined ? '' : JSON.stringify(at(rule, 'to')),
  }))
  t.same(rules[0], { ports: [53, 53], to: '' }, 'names can be asked for')
  return rules.slice(1)
}

const everywhere = (...ports: number[]): Rule => ({ ports, to: '' })
const redis = (url: string): object => ({ store: { type: 'redis', redis: { url } } })
const fromSecret = { name: 'a' }

const STORES: ReadonlyArray<readonly [what: string, values: object, ports: readonly number[]]> = [
  ['Redis by a URL', redis('redis://redis.store:7000/3'), [7000]],
  ['Redis by a URL without a port', redis('redis://redis.store'), [6379, 6380, 26379]],
  [
    'Redis Cluster, which names further hosts',
    redis('rediss+cluster://a:7000,b:7001'),
    [7000, 7001, 6379, 6380, 26379],
  ],
  ['Sentinel, which names the master', redis('redis+sentinel://a:5000,b:5000/name'), [5000, 6379, 6380, 26379]],
  ['Redis by a Secret', { store: { type: 'redis', redis: { existingSecret: fromSecret } } }, [6379, 6380, 26379]],
  ['Redis and another bus', { ...redis('redis://a:7000'), bus: { url: 'redis://[fd00::1]:7001' } }, [7000, 7001]],
  [
    'MongoDB and its bus',
    {
      store: { type: 'mongodb', mongodb: { url: 'mongodb://a:27018,b:27019/push?replicaSet=x' } },
      bus: { url: 'redis://b:6390' },
    },
    [27018, 27019, 6390],
  ],
  [
    'MongoDB by names that DNS knows',
    {
      store: { type: 'mongodb', mongodb: { url: 'mongodb+srv://a.example/push' } },
      bus: { existingSecret: fromSecret },
    },
    [27017, 6379, 6380, 26379],
  ],
  ['what the values say', { ...redis('redis://a:7000'), networkPolicy: { store: { ports: [1] } } }, [1]],
]

void t.test('chart network: the store and the bus are reached at the ports of their URLs', { skip }, async (t) => {
  for (const [what, values, ports] of STORES)
    for (const component of ['broker', 'api']) t.same(await outOf(component, values), [everywhere(...ports)], what)
  t.same(await outOf('single', {}), [], 'a file store is reached without a network')
})

void t.test('chart network: a Redis that came along, and a bus beside it', { skip }, async (t) => {
  const values = { store: { type: 'redis' }, evaluationRedis: { enabled: true }, bus: { url: 'redis://bus:7001' } }
  const [own, bus, ...more] = await outOf('broker', values)
  t.match(own, { ports: [6379], to: /podSelector.*"app.kubernetes.io\/component":"redis"/ })
  t.same(bus, everywhere(7001))
  t.same(more, [])
})

void t.test('chart network: issuer of keys and receiver of traces, at the port of their URL', { skip }, async (t) => {
  const ports = async (jwks: string, endpoint: string): Promise<readonly Rule[]> =>
    outOf('single', { auth: { jwks: { url: jwks } }, tracing: { endpoint } })
  t.same(await ports('https://id.example.com/keys', ''), [everywhere(443)])
  t.same(await ports('https://10.0.0.5/keys', ''), [everywhere(443)], 'the end of an address is no port')
  t.same(await ports('https://10.0.0.5:8443/keys', 'http://otel'), [everywhere(8443), everywhere(80)])
  t.same(await ports('', 'http://otel.observability:4318/otlp'), [everywhere(4318)])
})

void t.test('chart network: webhooks get out only as the values say, from who sends them', { skip }, async (t) => {
  const store = redis('redis://a:6379')
  const webhooks = { ports: [443] }
  const values = { ...store, networkPolicy: { webhooks } }
  t.same(await outOf('broker', values), [everywhere(6379)], 'a broker sends none')
  const [, out] = await outOf('api', values)
  t.same(out?.ports, [443])
  for (const range of ['10.0.0.0/8', '169.254.0.0/16', '192.168.0.0/16', 'fc00::/7'])
    t.match(out?.to, range, 'not into the cluster')
  const to = [{ ipBlock: { cidr: '10.1.2.3/32' } }]
  const [, narrow] = await outOf('api', { ...store, networkPolicy: { webhooks: { ...webhooks, to } } })
  t.same(narrow, { ports: [443], to: JSON.stringify(to) })
  t.same((await outOf('single', { networkPolicy: { webhooks } })).length, 1)
  t.same(await outOf('single', {}), [])
})

void t.test('chart network: the test reaches what it is told to use', { skip }, async (t) => {
  const [inside, ...more] = await outOf('test', {})
  t.same(inside?.ports, [8080, 1883, 8083])
  t.same(more, [])
  const tests = { url: 'https://push.example.com', mqttUrl: 'mqtts://push.example.com:9883' }
  t.same((await outOf('test', { tests })).slice(1), [everywhere(443), everywhere(9883)])
})
