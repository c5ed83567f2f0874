// The composition of exported traces. Nothing of them is loaded unless they are on.

import type { Clock } from '../core/clock.js'
import { environmentName } from '../core/config/option.js'
import type { Environment } from '../core/config/read-environment.js'
import type { ServerConfig } from '../core/config/server-options.js'
import { StartupError } from '../core/errors.js'
import type { Lifecycle } from '../core/lifecycle.js'
import type { Logger } from '../core/log.js'
import type { Metrics } from '../core/metrics/metrics.js'
import { TraceCounters } from '../core/tracing/trace-counters.js'
import type { Tracer } from '../core/tracing/tracer.js'
import { TRACING } from './metrics/tracing.js'

export interface TracingParts {
  readonly config: ServerConfig
  readonly env: Environment
  /** This node's name. */
  readonly name: string
  readonly version: string
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: Pick<Metrics, 'expose'>
  readonly lifecycle: Lifecycle
}

const HEADERS_VARIABLE = environmentName('otel-headers')

/**
 * `name=value,name=value`, percent-encoded as OTEL_EXPORTER_OTLP_HEADERS is. StartupError, without the text: it is a secret.
 */
export function parseTraceHeaders(text: string): Headers {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  try {
    return new Headers(
      pairs.map((pair): [string, string] => {
        const at = pair.indexOf('=')
        if (at < 1) throw new Error('no name')
        return [pair.slice(0, at).trim(), decodeURIComponent(pair.slice(at + 1).trim())]
      }),
    )
  } catch {
    throw new StartupError(
      `${HEADERS_VARIABLE}: must be name=value,name=value, of header names and percent-encoded values`,
    )
  }
}

/** Null: traces are off. Before everything that makes spans, so that it stops after it. */
export async function startTracing(parts: TracingParts): Promise<Tracer | null> {
  const { config, env, name, version, clock, log, metrics, lifecycle } = parts
  const headers = parseTraceHeaders(env[HEADERS_VARIABLE] ?? '')
  const { otelEndpoint: endpoint, otelRatio: ratio } = config
  if (endpoint === undefined) return null
  const counters = new TraceCounters()
  const { tracer, queue } = await lifecycle.step(
    'tracing',
    async () => {
      const tracing = await import('../core/tracing/start-tracing.js')
      const resource = { 'service.name': 'postrider', 'service.version': version, 'service.instance.id': name }
      return tracing.startTracing({ endpoint, headers, ratio, resource, version, counters, clock, log })
    },
    ({ queue: left }) => left.stop(),
  )
  metrics.expose(TRACING.of({ counters, tracer, queue }))
  return tracer
}
