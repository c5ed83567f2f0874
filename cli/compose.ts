// The composition of a server: which drivers there are, and in which order the parts start. Stopping is the same list
// backwards: devices are let go first, then requests under way are answered, the store closes after everything that writes.

import { hostname } from 'node:os'
import type { Broker } from '../broker/create-broker.js'
import type { DevicePorts } from '../broker/listeners/create-listeners.js'
import { createAdminServer } from '../core/admin/admin-server.js'
import type { Readiness } from '../core/admin/readiness.js'
import type { Clock } from '../core/clock.js'
import type { Environment } from '../core/config/read-environment.js'
import type { ServerConfig } from '../core/config/server-options.js'
import type { Drain } from '../core/drain.js'
import type { Lifecycle } from '../core/lifecycle.js'
import { CLIENT_LINES, createLogger, LineLimit, type Logger } from '../core/log.js'
import { createMetrics, NO_METRICS, type Metrics } from '../core/metrics/metrics.js'
import { allowedOrigins } from '../core/net/origins.js'
import { trustedProxies } from '../core/net/trusted-proxies.js'
import { randomId } from '../core/random-id.js'
import type { Certificates } from '../core/tls/certificates.js'
import { startApi } from './compose-api.js'
import { startBroker } from './compose-broker.js'
import { startBus } from './compose-bus.js'
import { DEV_PAGE_PLACES, readDevFiles } from './compose-dev-page.js'
import { nodeLimits } from './compose-limits.js'
import type { NodeParts } from './compose-node.js'
import { startSecurity } from './compose-security.js'
import { startStore } from './compose-store.js'
import { startTls } from './compose-tls.js'
import { startTracing } from './compose-tracing.js'
import { explainListenError } from './listen-error.js'
import { DRAIN_PHASE } from './metrics/drain.js'
import { LIMITS } from './metrics/limits.js'
import { PROCESS, processSource } from './metrics/process.js'

/** The listeners that are on, and their ports. */
export interface Ports extends DevicePorts {
  readonly http?: number
  readonly https?: number
  readonly admin?: number
}

export interface RunningServer {
  readonly ports: Ports
  /** Null: there are none. */
  readonly metrics: Metrics | null
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
  readonly drain: Drain
  readonly readiness: Readiness
  /** Everything serves. */
  readonly started: () => boolean
  /** Of the product. */
  readonly version: string
}

/**
 * Starts all parts of one process, as its role says. Rejects with StartupError for what the operator can put right; what had started is stopped by `lifecycle.stop`, which the caller calls.
 */
export async function startServer(parts: ServerParts): Promise<RunningServer> {
  const { config, where, env, log, clock, lifecycle, drain, readiness, version } = parts
  const listening = <T>(start: () => Promise<T>): Promise<T> =>
    start().catch((error: unknown) => {
      throw explainListenError(error, config, where)
    })

  const lines = new LineLimit(CLIENT_LINES, clock)
  const clientLog = createLogger({ level: config.logLevel, limit: lines })
  const limits = nodeLimits(config, where, log)
  const collected = config.metrics === 'on' ? createMetrics() : null
  const metrics = collected ?? NO_METRICS
  metrics.expose([
    ...PROCESS.of(processSource({ config, version, lines, readiness })),
    ...DRAIN_PHASE.of(drain),
    ...LIMITS.of({
      connections: limits.connectionsMax,
      sockets: limits.sockets.max,
      socketsOpen: () => limits.sockets.open,
      apiConnections: config.httpConnectionsMax,
      uplinkBytes: config.uplinkMax,
    }),
  ])

  const certificates = await startTls({ config, where, log, clock, metrics, lifecycle })
  const proxies = config.trustProxy === undefined ? null : trustedProxies(config.trustProxy)
  const origins = config.corsOrigin === undefined ? null : allowedOrigins(config.corsOrigin)

  const { adminPort } = config
  let boundAdmin: Pick<Ports, 'admin'> = {}
  if (adminPort !== null) {
    const admin = createAdminServer({
      host: config.host,
      port: adminPort,
      metrics: collected,
      readiness,
      start: () => ({ started: parts.started(), step: lifecycle.starting }),
      log,
    })
    boundAdmin = await lifecycle.step(
      'admin',
      () => listening(() => admin.start()),
      () => admin.stop(),
    )
  }

  const name = `${hostname()}-${randomId()}`
  const tracer = await startTracing({ config, env, name, version, clock, log: clientLog, metrics, lifecycle })
  const { store, folder } = await startStore({ config, where, env, log, clock, metrics, lifecycle })
  await lifecycle.step(
    'readiness',
    () => readiness.addCheck({ name: 'store', check: () => store.mailbox.ping() }),
    async () => readiness.stop(),
  )
  const { credentials } = store
  const security = await startSecurity({ config, where, env, folder, credentials, log, clock, metrics, lifecycle })
  const bus = await startBus({ config, connections: store.connections, log, metrics, lifecycle })
  const shared = { name, tracer, config, store, bus, security, certificates, proxies, origins, limits, metrics }
  const node: NodeParts = { ...shared, lifecycle, drain, clock, clientLog, listening }

  let broker: Broker | null = null
  let devicePorts: DevicePorts = {}
  let apiPorts: Pick<Ports, 'http' | 'https'> = {}
  // Without tokens everybody on this machine can be every device: such a server is one for development.
  const devFiles = config.auth === 'none' && config.role === 'all' ? await readDevFiles(DEV_PAGE_PLACES) : null
  if (config.role !== 'broker') {
    const devPorts = () => ({ ws: devicePorts.ws ?? null, wss: devicePorts.wss ?? null })
    apiPorts = await startApi(node, {
      forgetSession: async (device) => {
        // Sessions that nodes share are ended wherever they are, by whoever is told first.
        if ('end' in store.sessions) await store.sessions.end(device)
        else await broker?.forgetDevice(device)
      },
      devPage: devFiles === null ? null : { files: devFiles, ports: devPorts },
      version,
    })
  }
  if (config.role !== 'api') ({ broker, ports: devicePorts } = await startBroker(node))
  const ports: Ports = { ...devicePorts, ...apiPorts, ...boundAdmin }

  if (devFiles !== null && ports.http !== undefined)
    log.info({ url: `http://localhost:${ports.http}/dev/` }, 'a page for development is served')
  log.info({ node: name, role: config.role, ports, ...store.described, auth: config.auth }, 'serving')
  return { ports, metrics: collected, certificates, folder, made: security.made }
}
