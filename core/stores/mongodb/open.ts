import { type Clock, systemClock } from '../../clock.js'
import { StartupError } from '../../errors.js'
import { isMongoLocation, MONGO_URL_RULE } from '../../config/mongo-location.js'
import type { Logger } from '../../log.js'
import { describeMongoUrl } from '../../config/mongo-location.js'
import { MongoCounters } from '../../metrics/mongo-counters.js'
import type { Credentials } from '../../ports/credentials.js'
import { DEFAULT_EVENT_LIMITS, type EventLimits, type EventLog } from '../../ports/event-log.js'
import type { WebhookStore } from '../../ports/webhook-store.js'
import type { Mailbox, MailboxLimits } from '../../ports/mailbox.js'
import type { SessionStore } from '../../ports/session-store.js'
import { DEFAULT_UPLINK_LIMITS, type Uplink, type UplinkLimits } from '../../ports/uplink.js'
import { CLAIM_LEASE_MS, ClaimNodes } from './claim-nodes.js'
import { ClaimsSweep } from './claims-sweep.js'
import { MongoConnection } from './connection.js'
import { DeviceChanges } from './device-changes.js'
import type { FaultPoint } from './device-commit.js'
import { DueSweep } from './due-sweep.js'
import { MongoEvents } from './mongo-events.js'
import { MONGO_PARKED_MAX_BYTES, MongoWebhooks } from './mongo-webhooks.js'
import { type LeaseOptions, StoreLease } from './lease.js'
import { MongoCredentials } from './mongo-credentials.js'
import { MongoMailbox } from './mongo-mailbox.js'
import { MongoSessions } from './mongo-sessions.js'
import { MongoUplink } from './mongo-uplink.js'
import { messageOf } from './mongo-errors.js'

export interface MongoStoreOptions {
  /** See core/config/mongo-location.ts. May hold a password: never logged. */
  readonly url: string
  readonly limits: MailboxLimits
  readonly uplinkLimits?: Partial<UplinkLimits>
  readonly eventLimits?: Partial<EventLimits>
  /** How long a process keeps its claims without a sign of life; a quarter of it is how often time is let pass for devices that nobody uses. Default 20,000. */
  readonly claimLeaseMs?: number
  /** Refuse a server that is in no replica set. */
  readonly needsReplicaSet?: boolean
  /** The store's time, for tests; default: the server's, which all nodes share. */
  readonly clock?: Clock
  /** For tests: called between any two writes of one change; what it throws ends the change there. */
  readonly fault?: (point: FaultPoint) => Promise<void>
  readonly log: Logger
  /** Default: new ones, out of sight. */
  readonly counters?: MongoCounters
  /** A migration into it is under way. */
  readonly filling?: boolean
  /** Not given: nobody is asked whether others use the store (for tests). */
  readonly lease?: Pick<LeaseOptions, 'use' | 'onLost'>
}

export interface MongoStore {
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly events: EventLog
  readonly webhooks: WebhookStore
  /** Of one webhook, in characters. */
  readonly parkedMaxBytes: number
  /** Ordinary pub/sub, for one writer. */
  readonly sessions: SessionStore
  readonly connection: MongoConnection
  readonly generation: string
  /** Waits for what is under way, ends the connections. Idempotent. */
  close(): Promise<void>
}

/**
 * Opens the store: makes its collections and indexes where they are not there. Rejects with StartupError when MongoDB cannot be
 * reached, refuses the user, is too old or in no replica set where one is needed, or holds what a newer version wrote.
 */
export async function openMongoStore(options: MongoStoreOptions): Promise<MongoStore> {
  const { url, limits, log, clock, fault, counters = new MongoCounters() } = options
  if (!isMongoLocation(url)) throw new StartupError(`the URL of the MongoDB store is not of the form ${MONGO_URL_RULE}`)
  const connection = await MongoConnection.open({
    url,
    log,
    needsReplicaSet: options.needsReplicaSet ?? false,
    filling: options.filling ?? false,
    counters,
    ...(clock === undefined ? {} : { clock }),
  })
  const lease = await takeLease(connection, options).catch(async (error: unknown) => {
    await connection.close()
    throw error
  })
  const uplinkLimits = { ...DEFAULT_UPLINK_LIMITS, ...options.uplinkLimits }
  const uplink = await MongoUplink.open(connection, uplinkLimits, log).catch(async (cause: unknown) => {
    await lease?.release()
    await connection.close()
    throw new StartupError(`the MongoDB store cannot be read: ${messageOf(cause)}`, { cause })
  })
  const faulty = fault === undefined ? {} : { fault }
  const eventLimits = { ...DEFAULT_EVENT_LIMITS, ...options.eventLimits }
  const events = new MongoEvents(eventLimits, { connection, log, ...faulty })
  const { relay } = events
  const webhooks = new MongoWebhooks(connection)
  const { collections } = connection
  const leaseMs = options.claimLeaseMs ?? CLAIM_LEASE_MS
  const monotonic = (): number => systemClock.monotonic()
  const nodes = new ClaimNodes({ nodes: collections.nodes, log, monotonic, leaseMs })
  const changes = new DeviceChanges({ connection, limits, log, counters, relay, ...faulty })
  const now = (): number => connection.now()
  const sweeps = { collections, nodes, changes, limits, counters, log, now }
  const claims = new ClaimsSweep({ ...sweeps, intervalMs: leaseMs / 10 })
  const due = new DueSweep({ ...sweeps, intervalMs: leaseMs / 4 })
  const mailbox = new MongoMailbox({ connection, changes, nodes, relay, limits, counters, log })
  const credentials = new MongoCredentials(connection)
  const sessions = new MongoSessions(connection)
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    await Promise.all([claims.close(), due.close()])
    // What it told is brought to the log as far as that is possible; the rest by the next one.
    await mailbox.close()
    await relay.bring().catch(() => undefined)
    await Promise.all([credentials.close(), uplink.close(), sessions.close(), events.close(), webhooks.close()])
    await nodes.close()
    await lease?.release()
    await connection.close()
  }
  return {
    mailbox,
    credentials,
    uplink,
    events,
    webhooks,
    parkedMaxBytes: MONGO_PARKED_MAX_BYTES,
    sessions,
    connection,
    get generation() {
      return connection.generation
    },
    close: () => (closing ??= close()),
  }
}

async function takeLease(connection: MongoConnection, options: MongoStoreOptions): Promise<StoreLease | null> {
  const { lease, url, log } = options
  if (lease === undefined) return null
  return StoreLease.take({ ...lease, connection, log, where: describeMongoUrl(url) })
}
