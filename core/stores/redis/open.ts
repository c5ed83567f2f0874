import { type Clock, systemClock } from '../../clock.js'
import { StartupError } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { Credentials } from '../../ports/credentials.js'
import { DEFAULT_EVENT_LIMITS, type EventLimits, type EventLog } from '../../ports/event-log.js'
import type { Mailbox, MailboxLimits } from '../../ports/mailbox.js'
import { DEFAULT_SHARED_LIMITS, type SharedLimits, type SharedSessions } from '../../ports/shared-sessions.js'
import { DEFAULT_UPLINK_LIMITS, type Uplink, type UplinkLimits } from '../../ports/uplink.js'
import type { WebhookStore } from '../../ports/webhook-store.js'
import { unfinished } from '../../migration/refusals.js'
import { RedisConnections } from './connections.js'
import { CLAIM_LEASE_MS, ClaimNodes } from './claim-nodes.js'
import { scriptSettings, type StoreContext } from './device-scripts.js'
import { FORMAT, NEWEST_FORMAT } from './formats.js'
import { DueSweep } from './due-sweep.js'
import { deviceRecordKey, eventOutboxKey, EVENTS_KEY, META_KEY } from './keys.js'
import { describeLocation, parseRedisUrl, REDIS_URL_RULE } from '../../config/redis-location.js'
import { RedisCredentials } from './redis-credentials.js'
import { RedisEventRelay } from './redis-event-relay.js'
import { RedisEvents } from './redis-events.js'
import { RedisMailbox } from './redis-mailbox.js'
import { RedisSharedSessions } from './ordinary/shared-sessions.js'
import { RedisUplink } from './redis-uplink.js'
import { RedisCounters } from '../../metrics/redis-counters.js'
import { RedisWebhooks } from './redis-webhooks.js'
import { textOf } from './reply.js'
import { loadScripts } from './script-loader.js'
import { watchServers } from './server-watch.js'
import { clusterShards, oneServerShards } from './shards.js'
import { slotOf, slotTags } from './slot.js'

export interface RedisStoreOptions {
  /** See core/config/redis-location.ts. May hold a password: never logged. */
  readonly url: string
  readonly limits: MailboxLimits
  readonly uplinkLimits?: Partial<UplinkLimits>
  readonly ordinaryLimits?: Partial<SharedLimits>
  readonly eventLimits?: Partial<EventLimits>
  /** How long a node keeps its claims without a sign of life; a quarter of it is how often time is let pass for devices that nobody uses. Default 20,000. */
  readonly claimLeaseMs?: number
  /** A change is answered when so many replicas have it, too; 0: not asked. */
  readonly wait?: number
  /** Take a server without an append-only file. */
  readonly allowNoAof?: boolean
  /** The store's time, for tests; default: the server's, which all nodes share. */
  readonly clock?: Clock
  readonly log: Logger
  /** Default: new ones, out of sight. */
  readonly counters?: RedisCounters
  /** A migration into it is under way. */
  readonly filling?: boolean
}

export interface RedisStore {
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly events: EventLog
  readonly webhooks: WebhookStore
  /** Ordinary pub/sub of all nodes. */
  readonly sessions: SharedSessions
  /** Shared with the bus. */
  readonly connections: RedisConnections
  readonly generation: string
  /** Waits for what is under way, ends the connections. Idempotent. */
  close(): Promise<void>
}

/**
 * Opens the store. Rejects with StartupError when Redis cannot be reached, refuses the password, is of a kind that would lose
 * accepted messages, or holds what a newer version wrote.
 */
export async function openRedisStore(options: RedisStoreOptions): Promise<RedisStore> {
  const location = parseRedisUrl(options.url)
  if (location === null) throw new StartupError(`the URL of the Redis store is not of the form ${REDIS_URL_RULE}`)
  const counters = options.counters ?? new RedisCounters()
  const ordinary = { ...DEFAULT_SHARED_LIMITS, ...options.ordinaryLimits }
  const tags = location.kind === 'cluster' ? slotTags() : null
  const scripts = loadScripts(
    scriptSettings(
      options.limits,
      { ...DEFAULT_UPLINK_LIMITS, ...options.uplinkLimits },
      ordinary,
      { ...DEFAULT_EVENT_LIMITS, ...options.eventLimits },
      tags !== null,
    ),
  )
  const connections = await RedisConnections.open({
    location,
    log: options.log,
    wait: options.wait ?? 0,
    allowNoAof: options.allowNoAof ?? false,
    counters,
  })
  const context: StoreContext = {
    connections,
    scripts,
    clock: options.clock ?? null,
    eventsKey: eventsKeyFor(tags),
    shards: tags === null ? oneServerShards() : clusterShards(connections, tags),
  }
  const uplink = await openParts(context, describeLocation(location), options).catch(async (error: unknown) => {
    await connections.close()
    throw error
  })
  const nodes = new ClaimNodes({
    context,
    counters,
    log: options.log,
    monotonic: () => systemClock.monotonic(),
    ...(options.claimLeaseMs === undefined ? {} : { leaseMs: options.claimLeaseMs }),
  })
  const due = new DueSweep({
    context,
    isCaretaker: () => nodes.isCaretaker,
    log: options.log,
    intervalMs: (options.claimLeaseMs ?? CLAIM_LEASE_MS) / 4,
  })
  const mailbox = new RedisMailbox(context, nodes)
  const credentials = new RedisCredentials(context, options.clock ?? systemClock)
  const sessions = new RedisSharedSessions(context, options.log, ordinary.leaseMs)
  const events = new RedisEvents(context, options.log)
  const relay = tags === null ? null : new RedisEventRelay(context, options.log, tags)
  const webhooks = new RedisWebhooks(context)
  const watch = watchServers(connections, counters)
  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    watch.stop()
    await relay?.close()
    await due.close()
    await Promise.all([
      mailbox.close(),
      credentials.close(),
      uplink.close(),
      sessions.close(),
      events.close(),
      webhooks.close(),
    ])
    await nodes.close()
    await connections.close()
  }
  return {
    mailbox,
    credentials,
    uplink,
    events,
    webhooks,
    sessions,
    connections,
    get generation() {
      return connections.generation
    },
    close: () => (closing ??= close()),
  }
}

/** Events are written with the change of the device, so in its slot; without slots into the log itself. */
export function eventsKeyFor(tags: readonly string[] | null): (device: string) => string {
  if (tags === null) return () => EVENTS_KEY
  return (device) => eventOutboxKey(tags[slotOf(deviceRecordKey(device))] ?? '')
}

async function openParts(context: StoreContext, where: string, options: RedisStoreOptions): Promise<RedisUplink> {
  await checkFormat(context.connections, where, options.filling ?? false)
  return RedisUplink.open(context, options.log)
}

/** The store has the newest format that a node has written to it. One that is newer than the next is refused. */
async function checkFormat(connections: RedisConnections, where: string, filling: boolean): Promise<void> {
  try {
    if (!filling && (await connections.command('hget', [META_KEY, 'migration'])) !== null) throw unfinished(where)
    await connections.command('hsetnx', [META_KEY, 'format', FORMAT])
    const format = Number(textOf(await connections.command('hget', [META_KEY, 'format'])))
    // Nobody lowers it.
    if (format < FORMAT) await connections.command('hset', [META_KEY, 'format', FORMAT])
    if (format <= NEWEST_FORMAT) return
    throw new StartupError(
      `${where}: the store has format ${format}, this version reads up to format ${NEWEST_FORMAT}: use the version that wrote it, or a newer one`,
    )
  } catch (cause) {
    if (cause instanceof StartupError) throw cause
    throw new StartupError(`${where}: the store cannot be read: ${String(cause)}`, { cause })
  }
}
