// The composition of the bus: over the Redis of the store, over one of its own, or within this process.

import { isMongoUrl } from '../core/config/mongo-location.js'
import { createLocalBus, LocalBusCounters } from '../core/bus/local/local-bus.js'
import { RedisBusCounters } from '../core/bus/redis/counters.js'
import { createRedisBus, openRedisBus } from '../core/bus/redis/redis-bus.js'
import type { ServerConfig } from '../core/config/server-options.js'
import type { Lifecycle } from '../core/lifecycle.js'
import type { Logger } from '../core/log.js'
import type { Metrics } from '../core/metrics/metrics.js'
import type { Bus } from '../core/ports/bus.js'
import type { RedisConnections } from '../core/stores/redis/connections.js'
import { BUS, REDIS_BUS } from './metrics/bus.js'

export interface BusParts {
  readonly config: ServerConfig
  /** Of the store, or already open to the Redis of the bus; null: the store is on no Redis. */
  readonly connections: RedisConnections | null
  readonly log: Logger
  readonly metrics: Pick<Metrics, 'expose'>
  readonly lifecycle: Lifecycle
}

export async function startBus({ config, connections, log, metrics, lifecycle }: BusParts): Promise<Bus> {
  const onHandlerError = (err: Error): void => log.error({ err }, 'a bus handler failed')
  const started = (start: () => Bus | Promise<Bus>): Promise<Bus> =>
    lifecycle.step('bus', start, (opened) => opened.close())

  if (config.bus === undefined && connections === null) {
    const counters = new LocalBusCounters()
    metrics.expose(BUS.of(counters))
    return started(() => createLocalBus({ counters, onHandlerError }))
  }
  const counters = new RedisBusCounters()
  metrics.expose([...BUS.of(counters.local), ...REDIS_BUS.of(counters)])
  const { bus: url } = config
  const isOpen = url === undefined || isMongoUrl(config.store)
  return started(() =>
    isOpen && connections !== null
      ? createRedisBus({ connections, log, counters, onHandlerError })
      : openRedisBus({ url: url ?? '', log, counters, onHandlerError }),
  )
}
