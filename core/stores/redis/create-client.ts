// How the clients of ioredis are made: nothing is queued, nothing is sent twice (see connections.ts).

import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { RedisLocation } from '../../config/redis-location.js'

const COMMAND_TIMEOUT_MS = 1_500
/** A connection that owes answers and says nothing for so long is dead, whatever TCP says. */
export const SILENCE_MS = 1_800
const CONNECT_TIMEOUT_MS = 2_000
const SLOTS_REFRESH_MS = 1_000
const RETRY_MS = { first: 50, most: 1_000 }

/** `opening.done`: a connection that ends is made anew from then on. */
export function createClient(location: RedisLocation, opening: { readonly done: boolean }): Redis | Cluster {
  const retry = (times: number): number | null =>
    opening.done ? Math.min(RETRY_MS.first * times, RETRY_MS.most) : null
  const common = commonOptions(location, retry)
  const [first] = location.hosts
  switch (location.kind) {
    case 'single':
      return new Redis({ ...common, host: first.host, port: first.port, db: location.db })
    case 'sentinel':
      return new Redis({
        ...common,
        sentinels: [...location.hosts],
        name: location.name,
        db: location.db,
        sentinelRetryStrategy: retry,
        ...(location.sentinelPassword === null ? {} : { sentinelPassword: location.sentinelPassword }),
        ...(location.tls ? { enableTLSForSentinelMode: true } : {}),
      })
    case 'cluster': {
      const { lazyConnect, enableOfflineQueue, retryStrategy, ...redisOptions } = common
      return new Cluster([...location.hosts], {
        lazyConnect,
        enableOfflineQueue,
        redisOptions,
        clusterRetryStrategy: retryStrategy,
        clusterNodeRetryStrategy: retryStrategy,
        // ioredis would send a command again whose connection was lost, although it may have been carried out.
        retryDelayOnFailover: 0,
        slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
        // A master that is gone tells nobody where its slots went.
        slotsRefreshInterval: SLOTS_REFRESH_MS,
      })
    }
    default:
      throw location satisfies never
  }
}

export function commonOptions(location: RedisLocation, retryStrategy: (times: number) => number | null) {
  return {
    lazyConnect: true,
    ...(location.user === null ? {} : { username: location.user }),
    ...(location.password === null ? {} : { password: location.password }),
    ...(location.tls ? { tls: {} } : {}),
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SILENCE_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy,
    keepAlive: 10_000,
    connectionName: 'postrider',
  } satisfies RedisOptions
}
