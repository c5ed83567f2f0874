// The composition of a server: which drivers there are, and in which order the parts start. Stopping is the same list
// backwards: devices are let go first, then requests under way are answered, the store closes after everything that writes.

import { hostname } from 'node:os'
import { BrokerCounters } from '../broker/counters.js'
import { PubSubCounters } from '../broker/pubsub/counters.js'
import { createBroker, type Broker } from '../broker/create-broker.js'
import type { DevicePorts } from '../broker/listeners/create-listeners.js'
import { UplinkCounters } from '../broker/uplink/uplink-counters.js'
import { createAdminServer } from '../core/admin/admin-server.js'
import type { Readiness } from '../core/admin/readiness.js'
import type { Clock } from '../core/clock.js'
import type { Environment } from '../core/config/read-environment.js'
import type { ServerConfig } from '../core/config/server-options.js'
import type { Lifecycle } from '../core/lifecycle.js'
import { CLIENT_LINES, createLogger, LineLimit, type Logger } from '../core/log.js'
import { createMetrics } from '../core/metrics/metrics.js'
import { allowedOrigins, LOOPBACK_ORIGINS } from '../core/net/origins.js'
import { NO_PROXIES, trustedProxies } from '../core/net/trusted-proxies.js'
import { randomId } from '../core/random-id.js'
import type { Certificates } from '../core/tls/certificates.js'
import { CourierCounters } from '../courier/courier-counters.js'
import { createCourierHost } from '../courier/create-courier-host.js'
import { ApiCounters } from '../push-api/counters.js'
import { createPushApi } from '../push-api/create-push-api.js'
import { DEFAULT_API_LIMITS } from '../push-api/limits.js'
import { startBus } from './compose-bus.js'
import { DEV_PAGE_PLACES, readDevFiles } from './compose-dev-page.js'
import { nodeLimits } from './compose-limits.js'
import { startSecurity } from './compose-security.js'
import { startStore } from './compose-store.js'
import { startTls } from './compose-tls.js'
import { explainListenError } from './listen-error.js'
import {
  apiMetrics,
  httpMetrics,
  logMetrics,
  brokerMetrics,
  courierMetrics,
  pubsubMetrics,
  queueMetrics,
  uplinkMetrics,
} from './metric-tables.js'

/** The listeners that are on, and their ports. */
export interface Ports extends DevicePorts {
  readonly http?: number
  readonly https?: number
  readonly admin?: number
}

export interface RunningServer {
  readonly ports: Ports
  /** Null: TLS is off. */
  readonly certificates: Certificates | null
  /** The data folder, absolute; null: it is no file store. */
  readonly folder: string | null
  /** Files with secrets that this start made. */
  readonly made: readonly string[]
}

export interface ServerParts {
  readonly config: ServerConfig
  /** Where each setting that is not a default came from. */
  readonly where: ReadonlyMap<string, string>
  readonly env: Environment
  readonly log: Logger
  readonly clock: Clock
  readonly lifecycle: Lifecycle
  readonly readiness: Readiness
  /** Of the product. */
  readonly version: string
}

/**
 * Starts all parts of one process that does everything (`--role all`). Rejects with StartupError for
 * what the operator can put right; what had started is stopped by `lifecycle.stop`, which the caller calls.
 */
export async function startServer(parts: ServerParts): Promise<RunningServer> {
  const { config, where, env, log, clock, lifecycle, readiness, version } = parts
  const { host } = config
  const node = `${hostname()}-${randomId()}`
  const listening = <T>(start: () => Promise<T>): Promise<T> =>
    start().catch((error: unknown) => {
      throw explainListenError(error, config, where)
    })

  const lines = new LineLimit(CLIENT_LINES, clock)
  const clientLog = createLogger({ level: config.logLevel, limit: lines })
  const limits = nodeLimits(config, where, log)
  const metrics = createMetrics()
  const courierCounters = new CourierCounters()
  const brokerCounters = new BrokerCounters()
  const pubsubCounters = new PubSubCounters()
  const apiCounters = new ApiCounters()
  const uplinkCounters = new UplinkCounters()
  metrics.expose([
    ...courierMetrics(courierCounters),
    ...brokerMetrics(brokerCounters),
    ...pubsubMetrics(pubsubCounters),
    ...apiMetrics(apiCounters),
    ...logMetrics(lines),
  ])

  const certificates = await startTls({ config, where, log, clock, metrics, lifecycle })
  const proxies = config.trustProxy === undefined ? null : trustedProxies(config.trustProxy)
  const origins = config.corsOrigin === undefined ? null : allowedOrigins(config.corsOrigin)

  const { adminPort } = config
  let boundAdmin: Pick<Ports, 'admin'> = {}
  if (adminPort !== null) {
    const admin = createAdminServer({ host, port: adminPort, metrics, readiness, log })
    boundAdmin = await lifecycle.step(
      'admin',
      () => listening(() => admin.start()),
      () => admin.stop(),
    )
  }

  const { store, folder } = await startStore({ config, where, env, log, clock, lifecycle })
  readiness.addCheck({ name: 'store', check: () => store.mailbox.ping() })
  const { mailbox, credentials, uplink, sessions } = store
  const security = await startSecurity({ config, where, env, folder, credentials, log, clock, metrics, lifecycle })
  const { tokens, keyring } = security

  const bus = await startBus({ config, connections: store.connections, log, metrics, lifecycle })
  metrics.expose(uplinkMetrics(uplinkCounters, uplink))

  let broker: Broker | null = null
  let devicePorts: DevicePorts = {}
  // Without tokens everybody on this machine can be every device: such a server is one for development.
  const devFiles = config.auth === 'none' ? await readDevFiles(DEV_PAGE_PLACES) : null
  const api = createPushApi({
    host,
    port: config.httpPort,
    https: certificates === null || config.httpsPort === null ? null : { port: config.httpsPort, certificates },
    trustedProxies: proxies ?? NO_PROXIES,
    origins,
    clientCertificates: config.tlsClientCa !== undefined,
    mailbox,
    bus,
    credentials,
    uplink,
    forgetSession: async (device) => broker?.forgetDevice(device),
    keyring,
    tokens,
    log: clientLog,
    counters: apiCounters,
    limits: {
      ...limits.api,
      stopTimeoutMs: Math.min(DEFAULT_API_LIMITS.stopTimeoutMs, config.drainDeadline / 2),
    },
    clock,
    sockets: limits.sockets,
    devPage:
      devFiles === null
        ? null
        : { files: devFiles, ports: () => ({ ws: devicePorts.ws ?? null, wss: devicePorts.wss ?? null }) },
    version,
  })
  metrics.expose([...queueMetrics(api.queue), ...httpMetrics(api.connections)])
  const boundApi = await lifecycle.step(
    'api',
    () => listening(() => api.start()),
    () => api.stop(),
  )

  const couriers = createCourierHost({
    node,
    mailbox,
    bus,
    clock,
    log: clientLog,
    counters: courierCounters,
    window: config.window,
    windowMax: config.windowMax,
    sweepIntervalMs: config.sweepInterval,
  })
  await lifecycle.step(
    'couriers',
    () => couriers.start(),
    () => couriers.stop(),
  )

  const devices = createBroker({
    host,
    mqttPort: config.mqttPort,
    wsPort: config.wsPort,
    tls: certificates === null ? null : { certificates, mqttsPort: config.mqttsPort, wssPort: config.wssPort },
    proxyProtocol: config.proxyProtocol,
    trustedProxies: proxies,
    origins: origins ?? (config.auth === 'none' ? LOOPBACK_ORIGINS : null),
    couriers,
    tokens,
    credentials,
    sessions,
    uplink,
    uplinkCounters,
    log: clientLog,
    counters: brokerCounters,
    pubsubCounters,
    limits: limits.broker,
    pubsubLimits: limits.pubsub,
    sockets: limits.sockets,
    clock,
  })
  broker = devices
  const boundBroker = await lifecycle.step(
    'broker',
    () => listening(() => devices.start()),
    () => devices.stop(),
  )
  devicePorts = boundBroker
  const ports: Ports = { ...boundBroker, ...boundApi, ...boundAdmin }

  if (devFiles !== null && ports.http !== undefined)
    log.info({ url: `http://localhost:${ports.http}/dev/` }, 'a page for development is served')
  log.info({ node, ports, ...store.described, auth: config.auth }, 'serving')
  return { ports, certificates, folder, made: security.made }
}
