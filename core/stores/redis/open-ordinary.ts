// Ordinary pub/sub of many nodes on a Redis that is not the store's, but that of the bus (ADR 21).

import { StartupError } from '../../errors.js'
import type { Logger } from '../../log.js'
import { RedisCounters } from '../../metrics/redis-counters.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../ports/mailbox.js'
import { DEFAULT_SHARED_LIMITS, type SharedLimits, type SharedSessions } from '../../ports/shared-sessions.js'
import { DEFAULT_UPLINK_LIMITS } from '../../ports/uplink.js'
import { parseRedisUrl, REDIS_URL_RULE } from '../../config/redis-location.js'
import { RedisConnections } from './connections.js'
import { scriptSettings, type StoreContext } from './device-scripts.js'
import { EVENTS_KEY } from './keys.js'
import { RedisSharedSessions } from './ordinary/shared-sessions.js'
import { loadScripts } from './script-loader.js'
import { oneServerShards } from './shards.js'

export interface RedisOrdinary {
  readonly sessions: SharedSessions
  /** Shared with the bus. */
  readonly connections: RedisConnections
  /** Idempotent. */
  close(): Promise<void>
}

/** Rejects with StartupError, as a bus does. What it keeps is as durable as the Redis is: nothing of that is asked for. */
export async function openRedisOrdinary(options: {
  readonly url: string
  readonly limits: Partial<SharedLimits>
  readonly log: Logger
}): Promise<RedisOrdinary> {
  const { url, log } = options
  const location = parseRedisUrl(url)
  if (location === null) throw new StartupError(`the URL of the bus is not of the form ${REDIS_URL_RULE}`)
  const limits = { ...DEFAULT_SHARED_LIMITS, ...options.limits }
  const scripts = loadScripts(scriptSettings(DEFAULT_MAILBOX_LIMITS, DEFAULT_UPLINK_LIMITS, limits))
  const counters = new RedisCounters()
  const connections = await RedisConnections.open({
    location,
    log,
    wait: 0,
    allowNoAof: true,
    keepsMessages: false,
    counters,
  })
  // The scripts of devices are not run there.
  const context: StoreContext = {
    connections,
    scripts,
    clock: null,
    eventsKey: () => EVENTS_KEY,
    shards: oneServerShards(),
  }
  const sessions = new RedisSharedSessions(context, log, limits.leaseMs)
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await sessions.close()
    await connections.close()
  }
  return { sessions, connections, close: () => (closing ??= close()) }
}
