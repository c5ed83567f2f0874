import type { Clock } from '../core/clock.js'
import type { ServerConfig } from '../core/config/server-options.js'
import type { Drain } from '../core/drain.js'
import type { Lifecycle } from '../core/lifecycle.js'
import type { Logger } from '../core/log.js'
import type { Metrics } from '../core/metrics/metrics.js'
import type { AllowedOrigins } from '../core/net/origins.js'
import type { TrustedProxies } from '../core/net/trusted-proxies.js'
import type { Bus } from '../core/ports/bus.js'
import type { Certificates } from '../core/tls/certificates.js'
import type { Tracer } from '../core/tracing/tracer.js'
import type { NodeLimits } from './compose-limits.js'
import type { Security } from './compose-security.js'
import type { Store } from './compose-store.js'

/** What the parts of a process share. */
export interface NodeParts {
  /** Its name on the bus and in claims. */
  readonly name: string
  /** Null: no traces are exported. */
  readonly tracer: Tracer | null
  readonly config: ServerConfig
  readonly store: Store
  readonly bus: Bus
  readonly security: Security
  /** Null: TLS is off. */
  readonly certificates: Certificates | null
  /** Null: nobody's header is believed. */
  readonly proxies: TrustedProxies | null
  readonly origins: AllowedOrigins | null
  readonly limits: NodeLimits
  readonly metrics: Pick<Metrics, 'expose'>
  readonly lifecycle: Lifecycle
  readonly drain: Drain
  readonly clock: Clock
  /** For lines that clients cause. */
  readonly clientLog: Logger
  /** Explains why an address cannot be listened on. */
  readonly listening: <T>(start: () => Promise<T>) => Promise<T>
}
