// Values that cannot be are refused, and the message says what would be right.

import t from 'tap'
import { tryRender } from '../support/kubernetes/chart.js'
import { HELM } from '../support/kubernetes/tools.js'

t.setTimeout(300_000)
const skip = HELM.missing

const REDIS = { type: 'redis', redis: { url: 'redis://redis:6379' } }

const WRONG: ReadonlyArray<readonly [what: string, values: object, message: RegExp]> = [
  ['an unknown key', { replicas: 3 }, /additional properties 'replicas' not allowed/],
  [
    'an unknown key further down',
    { broker: { replica: 3 } },
    /at '\/broker': additional properties 'replica' not allowed/,
  ],
  [
    'an unknown setting of the server',
    { config: { 'inbox-maximum': 5 } },
    /at '\/config': additional properties 'inbox-maximum'/,
  ],
  [
    'a setting of the server that the chart decides',
    { config: { role: 'all' } },
    /config\.role is decided by the chart: leave it out/,
  ],
  [
    'workers, instead of more pods',
    { config: { workers: 4 } },
    /config\.workers is said elsewhere: use broker\.replicas and api\.replicas/,
  ],
  [
    'the store in config',
    { config: { store: 'redis://redis', 'redis-wait': 1 } },
    /config\.store is said elsewhere: use store\n/,
  ],
  [
    'a duration without a unit',
    { config: { retention: '30' } },
    /at '\/config\/retention': '30' does not match pattern .*ms\|s\|m\|h\|d/,
  ],
  ['a number out of range', { config: { window: 5000 } }, /at '\/config\/window': maximum: got 5,?000, want 1,?024/],
  ['a word that is none of the choices', { config: { overflow: 'drop' } }, /'reject', 'drop-oldest'/],
  [
    'text for a number',
    { broker: { connectionsMax: 'many' } },
    /at '\/broker\/connectionsMax': got string, want integer/,
  ],
  ['auth none', { auth: { mode: 'none' } }, /at '\/auth\/mode': value must be 'token'/],
  [
    'an unknown store',
    { store: { type: 'postgres' } },
    /at '\/store\/type': value must be one of 'file', 'redis', 'mongodb'/,
  ],
  ['the tag latest', { image: { tag: 'latest' } }, /at '\/image\/tag'/],
  ['a tag in the name of the image', { image: { repository: 'a/postrider:1.0' } }, /at '\/image\/repository'/],
  [
    'a password in a URL',
    { store: { type: 'redis', redis: { url: 'redis://:hush@redis:6379' } } },
    /^(?![^]*hush)[^]*store\.redis\.url has a user or a password.*put the URL into a Secret, and name it in store\.redis\.existingSecret\.name/,
  ],
  [
    'a file store with more than one broker',
    { broker: { replicas: 3 } },
    /store\.type is file, which is of one process: leave broker\.replicas and api\.replicas unset, or set store\.type to redis or mongodb/,
  ],
  [
    'a file store with more than one API node',
    { api: { replicas: 2 } },
    /store\.type is file, which is of one process/,
  ],
  [
    'a file store with an autoscaler',
    { api: { autoscaling: { enabled: true } } },
    /set api\.autoscaling\.enabled to false/,
  ],
  ['a file store with a bus', { bus: { url: 'redis://redis:6379' } }, /needs no bus/],
  ['a file store beside the Redis for a trial', { evaluationRedis: { enabled: true } }, /set store\.type to redis/],
  [
    'Redis nowhere',
    { store: { type: 'redis' } },
    /exactly one of store\.redis\.url, store\.redis\.existingSecret\.name and evaluationRedis\.enabled/,
  ],
  ['Redis in two places', { store: REDIS, evaluationRedis: { enabled: true } }, /exactly one of/],
  [
    'MongoDB without a bus',
    { store: { type: 'mongodb', mongodb: { url: 'mongodb://db/push' } } },
    /mongodb, which has no bus of its own: set bus\.url or bus\.existingSecret\.name to a Redis/,
  ],
  [
    'a fixed number beside the autoscaler',
    { store: REDIS, api: { replicas: 3, autoscaling: { enabled: true } } },
    /contradict each other/,
  ],
  [
    'fewer at most than at least',
    { store: REDIS, api: { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 3 } } },
    /minReplicas is more than/,
  ],
  [
    'no pod may be replaced',
    { store: REDIS, broker: { maxSurge: 0 } },
    /broker\.maxSurge and broker\.maxUnavailable are both 0/,
  ],
  [
    'a drain that cannot be done in time',
    { store: REDIS, broker: { drain: { deadlineSeconds: 60 } } },
    /broker\.drain\.deadlineSeconds is 60, but .* take 216: raise it/,
  ],
  [
    'TLS without a certificate',
    { tls: { enabled: true } },
    /either in tls\.existingSecret or made by tls\.certManager\.enabled/,
  ],
  ['a certificate that nothing uses', { tls: { existingSecret: 'a' } }, /nothing would use it: set tls\.enabled/],
  [
    'cert-manager without an issuer',
    { tls: { enabled: true, certManager: { enabled: true } } },
    /issuerRef\.name.*dnsNames/,
  ],
  [
    'a listener with TLS without a certificate',
    { listeners: { mqtts: true } },
    /listeners\.mqtts is true, but there is no certificate/,
  ],
  ['no listener for devices', { listeners: { mqtt: false, ws: false } }, /no device could connect/],
  ['no listener for backends', { listeners: { http: false } }, /nobody could push/],
  [
    'an Ingress to a listener that is off',
    { tls: { enabled: true, existingSecret: 'a' }, ingress: { enabled: true } },
    /ingress\.ws leads to the listener ws, which is off/,
  ],
  ['routes for no Gateway', { gateway: { enabled: true } }, /name the Gateway in gateway\.parentRefs/],
  [
    'a Gateway that leads nowhere',
    { gateway: { enabled: true, parentRefs: [{ name: 'a' }], api: false, ws: false } },
    /it leads nowhere: set gateway\.api, gateway\.ws or gateway\.mqtt\.enabled/,
  ],
  [
    'MQTT by a Gateway that is off',
    { gateway: { mqtt: { enabled: true } } },
    /but gateway\.enabled is not: set it too/,
  ],
  [
    'MQTT by a Gateway to a listener that is off',
    { gateway: { enabled: true, parentRefs: [{ name: 'a' }], mqtt: { enabled: true, listener: 'mqtts' } } },
    /leads to the listener mqtts, which is off: set listeners\.mqtts, gateway\.mqtt\.listener to the other one/,
  ],
  [
    'a TLSRoute without a name',
    { gateway: { enabled: true, parentRefs: [{ name: 'a' }], mqtt: { enabled: true, kind: 'TLSRoute' } } },
    /name them in gateway\.mqtt\.hostnames/,
  ],
  [
    'one limit for all who come through an Ingress',
    { ingress: { enabled: true }, config: { 'connections-per-address': 100 } },
    /config\.connections-per-address: behind an Ingress .* name its addresses in trustProxy/,
  ],
  [
    'REST without TLS to the outside, beside REST with it',
    { tls: { enabled: true, existingSecret: 'a' }, service: { api: { type: 'LoadBalancer' } } },
    /listener http, which has no TLS, would be reached from outside, too: set listeners\.http to false, or to true/,
  ],
  ['traces that nobody gets', { tracing: { ratio: 0.5 } }, /set tracing\.endpoint/],
  ['headers for nobody', { tracing: { headers: { existingSecret: { name: 'a' } } } }, /set tracing\.endpoint/],
  [
    'a password for the receiver of traces in its URL',
    { tracing: { endpoint: 'https://a:b@c' } },
    /at '\/tracing\/endpoint'/,
  ],
  [
    'traces as a setting of the server',
    { config: { 'otel-ratio': 0.1 } },
    /config\.otel-ratio is said elsewhere: use tracing/,
  ],
  [
    'two kinds of addresses, and pods that have one',
    { service: { ipFamilyPolicy: 'RequireDualStack' } },
    /the pods listen on IPv4 alone: set listenAddress to '::'/,
  ],
  [
    'an autoscaler by a CPU that nobody requests',
    { store: REDIS, api: { autoscaling: { enabled: true }, resources: { requests: { cpu: null } } } },
    /set api\.resources\.requests\.cpu/,
  ],
  [
    'a label by which the chart finds its own',
    {
      broker: { pod: { labels: { 'app.kubernetes.io/component': 'x' } } },
      commonLabels: { 'app.kubernetes.io/name': 'x' },
    },
    /broker\.pod\.labels\.app\.kubernetes\.io\/component is set by the chart[^]*commonLabels\.app\.kubernetes\.io\/name is set by the chart/,
  ],
  ['PROXY headers of everybody', { proxyProtocol: true }, /trustProxy, or everybody could claim any address/],
  [
    'every node scraped twice',
    { metrics: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } } },
    /counted twice; keep one/,
  ],
]

void t.test('chart values: what cannot be is refused, with what would be right', { skip }, async (t) => {
  for (const [what, values, message] of WRONG) {
    const { ok, stderr } = await tryRender({ values })
    t.notOk(ok, `${what} is refused`)
    t.match(stderr, message, what)
  }
})

void t.test('chart values: everything that is wrong is told at once', { skip }, async (t) => {
  const { stderr } = await tryRender({
    values: { broker: { replicas: 3 }, listeners: { http: false }, proxyProtocol: true },
  })
  t.match(stderr, /of one process.*\n- nobody could push.*\n- proxyProtocol/)
})

void t.test('chart values: a part of another chart gets `global`, and may', { skip }, async (t) => {
  t.match(await tryRender({ values: { global: { registry: 'a' } } }), { ok: true })
})
