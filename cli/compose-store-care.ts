// The composition of what operators do to a store that nobody serves, or beside the server: which driver does it.

import { resolve } from 'node:path'
import { Membership } from '../core/bus/redis/membership.js'
import { describeMongoUrl, isMongoUrl } from '../core/config/mongo-location.js'
import { describeLocation, isRedisUrl, parseRedisUrl, REDIS_URL_RULE } from '../core/config/redis-location.js'
import { PostriderError, StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import { createLogger, type Logger } from '../core/log.js'
import { type Backup, backUp } from '../core/stores/lmdb/backup.js'
import { newGeneration } from '../core/stores/lmdb/generation.js'
import { MongoConnection } from '../core/stores/mongodb/connection.js'
import { StoreLease } from '../core/stores/mongodb/lease.js'
import { RedisConnections } from '../core/stores/redis/connections.js'
import { renewMark } from '../core/stores/redis/generation-mark.js'
import { usageError } from './command.js'

/** Nothing is logged: what goes wrong is told by the command. */
const silent = (): Logger => createLogger({ level: 'silent' })

export interface Place {
  /** As `--store` says it. */
  readonly store: string
  /** As `--bus` says it. */
  readonly bus: string | undefined
}

/** Resolves to where the store is, without secrets. Rejects with StartupError: there is none, somebody serves it, … */
export async function beginGeneration({ store, bus }: Place): Promise<string> {
  if (bus !== undefined) await overRedis(bus, false, refuseWhileServed)
  if (isRedisUrl(store)) {
    return overRedis(store, true, async (connections, where) => {
      await refuseWhileServed(connections, where)
      await renewMark(connections, where)
    })
  }
  if (isMongoUrl(store)) return onMongo(store)
  const folder = resolve(store)
  await newGeneration(folder)
  return folder
}

async function overRedis(
  url: string,
  keepsMessages: boolean,
  use: (connections: RedisConnections, where: string) => Promise<void>,
): Promise<string> {
  const location = parseRedisUrl(url)
  if (location === null) throw new StartupError(`the URL of the Redis is not of the form ${REDIS_URL_RULE}`)
  const where = describeLocation(location)
  // Whether the server keeps what it accepts is for those to look at who serve it.
  const connections = await RedisConnections.open({
    location,
    log: silent(),
    wait: 0,
    allowNoAof: true,
    keepsMessages,
  })
  try {
    await use(connections, where)
  } finally {
    await connections.close()
  }
  return where
}

/** A node that was killed counts as alive for ten seconds more. */
async function refuseWhileServed(connections: RedisConnections, where: string): Promise<void> {
  const nodes = await new Membership(connections, '').nodes().catch((cause: unknown) => {
    const reason = cause instanceof PostriderError ? cause.message : String(cause)
    throw new StartupError(`${where}: cannot tell which nodes serve it: ${reason}`, { cause })
  })
  if (nodes.length === 0) return
  const some = nodes.slice(0, 5).join(', ') + (nodes.length > 5 ? ', …' : '')
  throw new StartupError(
    `${where}: ${nodes.length} nodes serve it (${some}), and would go on in the old generation; stop all of them first (one that was killed is forgotten after 10 s)`,
    { exitCode: EXIT.busy.code },
  )
}

async function onMongo(url: string): Promise<string> {
  const where = describeMongoUrl(url)
  const connection = await MongoConnection.open({ url, log: silent(), needsReplicaSet: false, mustExist: true })
  try {
    // Refused while somebody serves it, with a bus or alone.
    const options = { connection, use: 'alone', where, log: silent(), onLost: () => undefined } as const
    const lease = await StoreLease.take(options).catch((cause: unknown) => {
      const why = `${where}: it is served, and would go on in the old generation; stop all nodes first`
      throw cause instanceof StartupError ? new StartupError(why, { cause, exitCode: EXIT.busy.code }) : cause
    })
    try {
      await connection.newGeneration()
    } finally {
      await lease.release()
    }
  } finally {
    await connection.close()
  }
  return where
}

/** Copies the store of a data folder into `to`, which is there and empty. Rejects with StartupError. */
export function backUpStore(store: string, to: string): Promise<Backup> {
  if (isRedisUrl(store) || isMongoUrl(store)) {
    throw usageError(
      'postrider backup copies a file store; a Redis is backed up by its own files (RDB), a MongoDB with mongodump',
    )
  }
  return backUp(resolve(store), to)
}
