// What every call on one device shares: its keys, the store's time, and who answers.

import type { Clock } from '../../clock.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import { DEFAULT_SHARED_LIMITS, type SharedLimits } from '../../ports/shared-sessions.js'
import { DEFAULT_EVENT_LIMITS, type EventLimits } from '../../ports/event-log.js'
import { UPLINK_DEDUP_MS, type UplinkLimits } from '../../ports/uplink.js'
import type { Argument, RedisConnections } from './connections.js'
import { FORMAT, NEWEST_FORMAT } from './formats.js'
import { deviceKeys } from './keys.js'
import { explainFailure, explainUnanswered } from './redis-errors.js'
import type { ScriptName, Scripts, ScriptSettings } from './script-loader.js'
import type { Shards } from './shards.js'

/** Events that a slot of a Cluster keeps at most while nobody brings them to the log. */
const OUTBOX_MAX = 10_000

export function scriptSettings(
  limits: MailboxLimits,
  uplink: UplinkLimits,
  ordinary: SharedLimits = DEFAULT_SHARED_LIMITS,
  events: EventLimits = DEFAULT_EVENT_LIMITS,
  cluster = false,
): ScriptSettings {
  return {
    inboxMax: limits.inboxMax,
    inboxMaxBytes: limits.inboxMaxBytes,
    dropOldest: limits.overflow === 'drop-oldest',
    retentionMs: limits.retentionSeconds * 1000,
    dedupMs: limits.dedupWindowSeconds * 1000,
    idleMs: limits.idleDeviceSeconds * 1000,
    uplinkMaxBytes: uplink.maxBytes,
    uplinkRetentionMs: uplink.retentionSeconds * 1000,
    uplinkDedupMs: UPLINK_DEDUP_MS,
    format: FORMAT,
    newestFormat: NEWEST_FORMAT,
    ordinaryQueueMax: ordinary.queueMax,
    ordinaryQueueMaxBytes: ordinary.queueMaxBytes,
    ordinaryRetainedMax: ordinary.retainedMax,
    ordinaryRetainedMaxBytes: ordinary.retainedMaxBytes,
    ordinaryNodeMaxBytes: ordinary.nodeMaxBytes,
    ordinaryFanOut: ordinary.fanOut,
    ordinaryLeaseMs: ordinary.leaseMs,
    eventsMax: events.maxCount,
    outboxMax: cluster ? OUTBOX_MAX : 0,
    eventsRetentionMs: events.retentionSeconds * 1000,
  }
}

export interface StoreContext {
  readonly connections: RedisConnections
  readonly scripts: Scripts
  /** Null: the server's own, as it must be where more than one node writes. */
  readonly clock: Clock | null
  /** Where the events of a device are written. */
  readonly eventsKey: (device: string) => string
  readonly shards: Shards
}

const allKeys = ({ eventsKey }: StoreContext, device: string): readonly string[] => [
  ...deviceKeys(device),
  eventsKey(device),
]

/** The argument of lua/lib/clock.lua. */
export const timeArgument = ({ clock }: StoreContext): string => (clock === null ? '' : String(clock.now()))

/** Runs a script that changes something: rejects with StoreUnavailable (nothing was done) or OutcomeUnknown. */
export async function change(
  context: StoreContext,
  name: ScriptName,
  device: string,
  args: readonly Argument[],
): Promise<unknown> {
  try {
    return await rawChange(context, name, device, args)
  } catch (error) {
    throw explainFailure(error)
  }
}

/** The same with the error as it comes. */
export function rawChange(
  context: StoreContext,
  name: ScriptName,
  device: string,
  args: readonly Argument[],
): Promise<unknown> {
  const { connections, scripts } = context
  return connections.run({
    script: scripts(name),
    keys: allKeys(context, device),
    args: [timeArgument(context), ...args],
    durable: true,
  })
}

/** The same on other keys than a device's. */
export async function changeKeys(
  { connections, scripts }: StoreContext,
  name: ScriptName,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  try {
    return await connections.run({ script: scripts(name), keys, args, durable: true })
  } catch (error) {
    throw explainFailure(error)
  }
}

/** Runs a script that only looks (and does what time does) on other keys than a device's. */
export async function lookKeys(
  { connections, scripts }: StoreContext,
  name: ScriptName,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  try {
    return await connections.run({ script: scripts(name), keys, args, durable: false })
  } catch (error) {
    throw explainUnanswered(error)
  }
}

/** A command that only looks. */
export async function ask(
  { connections }: StoreContext,
  name: string,
  args: readonly [string, ...Argument[]],
): Promise<unknown> {
  try {
    return await connections.command(name, args)
  } catch (error) {
    throw explainUnanswered(error)
  }
}

/** Runs a script that only looks (and does what time does): rejects with StoreUnavailable. */
export async function look(
  context: StoreContext,
  name: ScriptName,
  device: string,
  args: readonly Argument[],
): Promise<unknown> {
  const { connections, scripts } = context
  try {
    return await connections.run({
      script: scripts(name),
      keys: allKeys(context, device),
      args: [timeArgument(context), ...args],
      durable: false,
    })
  } catch (error) {
    throw explainUnanswered(error)
  }
}
