// The composition of the store: which driver there is.

import { access, constants, mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Clock } from '../core/clock.js'
import type { Environment } from '../core/config/read-environment.js'
import type { ServerConfig } from '../core/config/server-options.js'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import type { Lifecycle } from '../core/lifecycle.js'
import type { Logger } from '../core/log.js'
import { measuredEvents, measuredMailbox, measuredUplink, measuredWebhooks } from '../core/metrics/measured-store.js'
import type { Metrics } from '../core/metrics/metrics.js'
import { StoreCounters } from '../core/metrics/store-counters.js'
import type { Credentials } from '../core/ports/credentials.js'
import type { EventLog } from '../core/ports/event-log.js'
import type { Mailbox } from '../core/ports/mailbox.js'
import type { SessionStore } from '../core/ports/session-store.js'
import type { SharedSessions } from '../core/ports/shared-sessions.js'
import type { Uplink } from '../core/ports/uplink.js'
import { LmdbCounters } from '../core/metrics/lmdb-counters.js'
import type { WebhookStore } from '../core/ports/webhook-store.js'
import { openLmdbStore } from '../core/stores/lmdb/open.js'
import type { RedisConnections } from '../core/stores/redis/connections.js'
import { RedisCounters } from '../core/metrics/redis-counters.js'
import { openRedisStore } from '../core/stores/redis/open.js'
import { describeLocation, isRedisUrl, parseRedisUrl } from '../core/config/redis-location.js'
import { isMongoUrl } from '../core/config/mongo-location.js'
import { startMongo } from './compose-mongodb.js'
import { REDIS } from './metrics/redis.js'
import { LMDB, OUTCOMES, STORE } from './metrics/store.js'
import { requireSecrets } from './secrets.js'
import { eventLimits, mailboxLimits, ordinaryLimits, uplinkLimits } from './store-limits.js'

export interface Store {
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly events: EventLog
  readonly webhooks: WebhookStore
  readonly sessions: SessionStore | SharedSessions
  /** Parked events of a webhook that the store holds, in characters; null: as many as there may be. */
  readonly parkedMaxBytes: number | null
  /** What the bus may share; null: it is on no Redis. */
  readonly connections: RedisConnections | null
  /** For the log, without secrets. */
  readonly described: Readonly<Record<string, string | number>>
}

export interface StoreParts {
  readonly config: ServerConfig
  readonly where: ReadonlyMap<string, string>
  readonly env: Environment
  readonly log: Logger
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'expose'>
  readonly lifecycle: Lifecycle
}

/** `folder`: the data folder, absolute; null: it is no file store. */
export async function startStore(
  parts: StoreParts,
): Promise<{ readonly store: Store; readonly folder: string | null }> {
  const started = await startKind(parts)
  return parts.config.metrics === 'on' ? { ...started, store: measured(started.store, parts) } : started
}

async function startKind(parts: StoreParts): Promise<{ readonly store: Store; readonly folder: string | null }> {
  const { store } = parts.config
  if (isRedisUrl(store)) return { store: await startRedis(parts), folder: null }
  if (isMongoUrl(store)) return { store: await startMongo(parts), folder: null }
  return startFolder(parts)
}

function measured(store: Store, { metrics, clock }: StoreParts): Store {
  const counters = new StoreCounters()
  metrics.expose(STORE.of(counters))
  return {
    ...store,
    mailbox: measuredMailbox(store.mailbox, counters, clock),
    uplink: measuredUplink(store.uplink, counters, clock),
    events: measuredEvents(store.events, counters, clock),
    webhooks: measuredWebhooks(store.webhooks, counters, clock),
  }
}

async function startRedis({ config, env, log, metrics, lifecycle }: StoreParts): Promise<Store> {
  requireSecrets(env)
  const location = parseRedisUrl(config.store)
  const counters = new RedisCounters()
  const opened = await lifecycle.step(
    'store',
    // The clock is Redis'.
    () =>
      openRedisStore({
        url: config.store,
        limits: mailboxLimits(config),
        uplinkLimits: uplinkLimits(config),
        ordinaryLimits: ordinaryLimits(config),
        eventLimits: eventLimits(config),
        wait: config.redisWait,
        allowNoAof: config.redisNoAof,
        log,
        counters,
      }),
    (store) => store.close(),
  )
  const { mailbox, credentials, uplink, events, webhooks, sessions, connections } = opened
  metrics.expose([...OUTCOMES.of(counters.outcomes), ...REDIS.of({ counters, state: () => connections.state() })])
  const store = location === null ? '' : describeLocation(location)
  const ports = { mailbox, credentials, uplink, events, webhooks, sessions, parkedMaxBytes: null }
  return { ...ports, connections, described: { store, redisWait: config.redisWait } }
}

async function startFolder(parts: StoreParts): Promise<{ readonly store: Store; readonly folder: string }> {
  const { config, where, log, clock, metrics, lifecycle } = parts
  const counters = new LmdbCounters()
  const folder = resolve(config.store)
  await lifecycle.step('data folder', () => makeFolder(folder, where.get('store') ?? '--store (default)'))
  const opened = await lifecycle.step(
    'store',
    () =>
      openLmdbStore({
        path: folder,
        durability: config.durability,
        limits: mailboxLimits(config),
        uplinkLimits: uplinkLimits(config),
        eventLimits: eventLimits(config),
        clock,
        log,
        counters,
      }),
    (store) => store.close(),
  )
  const { mailbox, credentials, uplink, events, webhooks, sessions } = opened
  metrics.expose([...OUTCOMES.of(counters.outcomes), ...LMDB.of({ counters, usage: () => opened.usage() })])
  const described = { folder, durability: config.durability }
  const ports = { mailbox, credentials, uplink, events, webhooks, sessions, parkedMaxBytes: null }
  return { store: { ...ports, connections: null, described }, folder }
}

async function makeFolder(folder: string, where: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new StartupError(`${where}: the data folder ${folder} cannot be used: ${reason}`, {
      cause,
      exitCode: EXIT.cannotCreate.code,
    })
  }
}
