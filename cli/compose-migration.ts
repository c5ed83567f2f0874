// The composition of a migration: which driver each side is of, and that nobody serves it.

import { Membership } from '../core/bus/redis/membership.js'
import { isMongoUrl } from '../core/config/mongo-location.js'
import { isRedisUrl, parseRedisUrl } from '../core/config/redis-location.js'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import { createLogger } from '../core/log.js'
import { migrate, type Migrated } from '../core/migration/migrate.js'
import type { StoreCopy } from '../core/migration/store-copy.js'
import { DEFAULT_MAILBOX_LIMITS } from '../core/ports/mailbox.js'
import { openLmdbCopy } from '../core/stores/lmdb/copy.js'
import { RedisConnections } from '../core/stores/redis/connections.js'
import { openRedisCopy } from '../core/stores/redis/copy.js'

export interface MigrationSettings {
  readonly from: string
  readonly to: string
  /** As the server on the new store will have them. */
  readonly dedupWindow: number
  readonly retention: number
  readonly deviceIdle: number
  readonly uplinkMax: number
  readonly uplinkRetention: number
  readonly redisNoAof: boolean
}

export async function runMigration(
  settings: MigrationSettings,
  onProgress: (devices: number) => void,
): Promise<Migrated> {
  const from = await openSide(settings.from, settings, true)
  try {
    const to = await openSide(settings.to, settings, false)
    try {
      return await migrate(from, to, onProgress)
    } finally {
      await to.close()
    }
  } finally {
    await from.close()
  }
}

async function openSide(store: string, settings: MigrationSettings, exists: boolean): Promise<StoreCopy> {
  const limits = {
    ...DEFAULT_MAILBOX_LIMITS,
    dedupWindowSeconds: settings.dedupWindow,
    retentionSeconds: settings.retention,
    idleDeviceSeconds: settings.deviceIdle,
  }
  const uplinkLimits = { maxBytes: settings.uplinkMax, retentionSeconds: settings.uplinkRetention }
  const options = { limits, uplinkLimits, log: createLogger({ level: 'silent' }), allowNoAof: settings.redisNoAof }
  if (isRedisUrl(store)) {
    await refuseWhileServed(store)
    return openRedisCopy({ url: store, ...options })
  }
  if (isMongoUrl(store)) {
    const { openMongoCopy } = await import('../core/stores/mongodb/copy.js')
    return openMongoCopy({ url: store, ...options })
  }
  return openLmdbCopy(store, options, exists)
}

/** By the nodes on its bus. A node that was killed counts as alive for ten seconds more. */
async function refuseWhileServed(url: string): Promise<void> {
  const location = parseRedisUrl(url)
  if (location === null) return
  const log = createLogger({ level: 'silent' })
  const connections = await RedisConnections.open({ location, log, wait: 0, allowNoAof: true, keepsMessages: false })
  try {
    const nodes = await new Membership(connections, '').nodes()
    if (nodes.length === 0) return
    throw new StartupError(
      `${nodes.length} nodes serve the Redis store; stop all of them first (one that was killed is forgotten after 10 s)`,
      { exitCode: EXIT.busy.code },
    )
  } finally {
    await connections.close()
  }
}
