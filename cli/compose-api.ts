// The composition of what takes pushes.

import { NO_PROXIES } from '../core/net/trusted-proxies.js'
import { ApiCounters } from '../push-api/counters.js'
import { createPushApi } from '../push-api/create-push-api.js'
import { HttpCounters } from '../push-api/http-counters.js'
import { DEFAULT_API_LIMITS } from '../push-api/limits.js'
import type { DevPage } from '../push-api/routes/dev-page.js'
import type { NodeParts } from './compose-node.js'
import { startWebhooks } from './compose-webhooks.js'
import { API } from './metrics/api.js'

export interface ApiParts {
  /** Ends what ordinary pub/sub keeps of a device that is deleted. */
  readonly forgetSession: (device: string) => Promise<void>
  readonly devPage: DevPage | null
  readonly version: string
}

/** Starts the REST API. */
export async function startApi(
  node: NodeParts,
  parts: ApiParts,
): Promise<{ readonly http?: number; readonly https?: number }> {
  const { config, certificates, store, security, limits, metrics, lifecycle, drain } = node
  const counters = new ApiCounters()
  const http = new HttpCounters()
  const webhooks = await startWebhooks(node, parts.version)
  const api = createPushApi({
    ...parts,
    host: config.host,
    port: config.httpPort,
    https: certificates === null || config.httpsPort === null ? null : { port: config.httpsPort, certificates },
    trustedProxies: node.proxies ?? NO_PROXIES,
    origins: node.origins,
    clientCertificates: config.tlsClientCa !== undefined,
    mailbox: store.mailbox,
    bus: node.bus,
    credentials: store.credentials,
    uplink: store.uplink,
    webhooks,
    keyring: security.keyring,
    tokens: security.tokens,
    log: node.clientLog,
    counters,
    tracer: node.tracer,
    http: config.metrics === 'on' ? http : null,
    limits: {
      ...limits.api,
      stopTimeoutMs: Math.min(DEFAULT_API_LIMITS.stopTimeoutMs, config.drainDeadline / 2),
    },
    clock: node.clock,
    sockets: limits.sockets,
  })
  metrics.expose(API.of({ counters, http, queue: api.queue, connections: api.connections }))
  drain.add({
    announce: () => api.leave(),
    refuse: () => api.leave(),
    letGo: () => api.stop(),
  })
  return lifecycle.step(
    'api',
    () => node.listening(() => api.start()),
    () => api.stop(),
  )
}
