// The values that the chart is rendered with: every kind of store with every switch, one after another and all together.

import type { RenderOptions } from './chart.js'

export interface Case extends RenderOptions {
  readonly name: string
}

type Values = Readonly<Record<string, unknown>>

const REDIS = { type: 'redis', redis: { url: 'redis://redis.store.svc:6379', existingSecret: { name: '' } } }

const STORES: Readonly<Record<string, RenderOptions>> = {
  preset: {},
  evaluation: { files: ['values-evaluation.yaml'] },
  redis: { values: { store: REDIS } },
  'redis of its own': { values: { store: { type: 'redis' }, evaluationRedis: { enabled: true } } },
  'redis for production': { files: ['values-redis.yaml'] },
  'mongodb for production': { files: ['values-mongodb.yaml'] },
}

const SECRET_TLS = { enabled: true, existingSecret: 'postrider-tls' }
const LABELS = { release: 'prometheus' }
const HERE = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'here' } } }]
const PLAIN = { mqtt: true, ws: true, http: true }

const SWITCHES: Readonly<Record<string, Values>> = {
  'as it is': {},
  'a certificate': { tls: SECRET_TLS },
  'a certificate and the plain listeners': { tls: SECRET_TLS, listeners: PLAIN },
  'a certificate and no plain listener': { tls: SECRET_TLS, listeners: { http: false } },
  'cert-manager and client certificates': {
    tls: {
      enabled: true,
      existingSecret: '',
      certManager: {
        enabled: true,
        issuerRef: { name: 'letsencrypt', kind: 'ClusterIssuer' },
        dnsNames: ['mqtt.example.com'],
      },
      clientCa: { existingSecret: 'devices' },
    },
  },
  Ingress: {
    listeners: PLAIN,
    ingress: {
      enabled: true,
      className: 'nginx',
      host: 'push.example.com',
      tlsSecret: 'push-tls',
      annotations: { a: 'b' },
    },
  },
  'Ingress for REST alone': { ingress: { enabled: true, ws: false } },
  Gateway: {
    listeners: PLAIN,
    gateway: {
      enabled: true,
      parentRefs: [{ name: 'public' }],
      hostnames: ['push.example.com'],
      mqtt: { enabled: true },
    },
  },
  'Gateway that passes TLS through, by name': {
    tls: SECRET_TLS,
    gateway: {
      enabled: true,
      parentRefs: [{ name: 'public', sectionName: 'tls' }],
      ws: false,
      mqtt: { enabled: true, kind: 'TLSRoute', hostnames: ['mqtt.example.com'] },
    },
  },
  'Gateway of before 1.6': {
    listeners: PLAIN,
    gateway: { enabled: true, parentRefs: [{ name: 'public' }], mqtt: { enabled: true, apiVersion: 'v1alpha2' } },
  },
  'pods monitored': {
    metrics: {
      podMonitor: { enabled: true, labels: LABELS },
      rules: { enabled: true, labels: LABELS, runbooks: 'https://git.example.com/postrider/docs/runbooks' },
      dashboards: { enabled: true, annotations: { folder: 'push' } },
    },
  },
  'services monitored': { metrics: { serviceMonitor: { enabled: true, labels: LABELS } } },
  'load balancer with PROXY protocol': {
    proxyProtocol: true,
    trustProxy: ['10.0.0.0/8'],
    service: {
      mqtt: { type: 'LoadBalancer', loadBalancerClass: 'a.example/b', loadBalancerSourceRanges: ['10.0.0.0/8'] },
    },
  },
  'node ports': {
    listeners: { http: true },
    service: {
      ipFamilyPolicy: 'PreferDualStack',
      mqtt: { type: 'NodePort' },
      api: { type: 'NodePort', externalTrafficPolicy: 'Cluster' },
    },
    listenAddress: '::',
  },
  'no NetworkPolicy, no account': { networkPolicy: { enabled: false }, serviceAccount: { create: false } },
  'narrow NetworkPolicies': {
    networkPolicy: {
      devices: { from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] },
      api: { from: HERE },
      metrics: { from: HERE },
      store: { to: HERE, ports: [6390] },
      extraEgress: [{ to: HERE }],
    },
    auth: { jwks: { url: 'https://id.example.com:8443/keys', issuer: 'id', audience: 'push' } },
  },
  traces: {
    tracing: {
      endpoint: 'https://otel.example.com',
      ratio: 0.01,
      headers: { existingSecret: { name: 'otel', key: 'headers' } },
    },
  },
  webhooks: { networkPolicy: { webhooks: { ports: [443, 8443] } } },
  names: { nameOverride: 'post', fullnameOverride: 'push-of-the-shop', commonLabels: { team: 'push' } },
  'settings of the server': {
    config: {
      'inbox-max': 500,
      retention: '3d',
      'cors-origin': ['https://a.example', 'https://b.example'],
      overflow: 'drop-oldest',
    },
    logLevel: 'warn',
    listenAddress: '::',
    image: { repository: 'registry.example.com:5000/push/postrider', digest: `sha256:${'a'.repeat(64)}` },
    imagePullSecrets: [{ name: 'registry' }],
    serviceAccount: { annotations: { a: 'b' } },
  },
}

const POD = {
  labels: { team: 'push' },
  annotations: { a: 'b' },
  nodeSelector: { pool: 'push' },
  tolerations: [{ key: 'push', operator: 'Exists' }],
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        {
          topologyKey: 'kubernetes.io/hostname',
          labelSelector: { matchLabels: { 'app.kubernetes.io/instance': 'postrider' } },
        },
      ],
    },
  },
  topologySpreadConstraints: [
    {
      maxSkew: 2,
      topologyKey: 'zone',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { 'app.kubernetes.io/instance': 'postrider' } },
    },
  ],
  priorityClassName: 'high',
  env: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/ca/ca.crt' }],
  volumes: [{ name: 'ca', configMap: { name: 'ca' } }],
  volumeMounts: [{ name: 'ca', mountPath: '/etc/ca' }],
}

const merged = (options: RenderOptions, values: Values): RenderOptions => ({
  ...options,
  values: { ...options.values, ...values },
})

/** A file of values for production has a certificate and its load balancer already. */
export const CASES: readonly Case[] = Object.entries(STORES).flatMap(([store, options]) =>
  Object.entries({
    ...SWITCHES,
    'everything about pods': { single: { pod: POD }, broker: { pod: POD }, api: { pod: POD } },
  }).map(([name, values]) => ({ name: `${store}, ${name}`, ...merged(options, values) })),
)
