import { BATCH_SIZES, Histogram, WORK_SECONDS } from './histogram.js'

/** Calls of the store's ports. */
export const STORE_OPERATIONS = [
  'append',
  'read',
  'ack',
  'resume',
  'claim',
  'release',
  'keep_subscription',
  'heads',
  'info',
  'list',
  'peek',
  'state',
  'cancel',
  'purge',
  'ensure',
  'ping',
  'uplink_append',
  'uplink_read',
  'uplink_end',
  'events_read',
  'events_end',
  'webhook_put',
  'webhook_get',
  'webhook_list',
  'webhook_remove',
  'webhook_acquire',
  'webhook_commit',
  'webhook_release',
] as const
export type StoreOperation = (typeof STORE_OPERATIONS)[number]

/** `other`: an error of the program. */
export const STORE_ERRORS = ['store_unavailable', 'outcome_unknown', 'other'] as const
export type StoreError = (typeof STORE_ERRORS)[number]

/** Operations on many devices, messages or events at once. */
export const BATCHED_OPERATIONS = ['append', 'ack', 'heads', 'uplink_append', 'events_read', 'webhook_commit'] as const
export type BatchedOperation = (typeof BATCHED_OPERATIONS)[number]

/** What the store's callers see of it. */
export class StoreCounters {
  readonly seconds = forEach(STORE_OPERATIONS, () => new Histogram(WORK_SECONDS))
  readonly errors = forEach(STORE_OPERATIONS, () => forEach(STORE_ERRORS, () => 0))
  /** Messages, devices or events of one call. Of `webhook_commit`: events kept for later, and those that were kept. */
  readonly items = forEach(BATCHED_OPERATIONS, () => new Histogram(BATCH_SIZES))
}

function forEach<K extends string, V>(keys: readonly K[], make: () => V): Record<K, V> {
  const made: Partial<Record<K, V>> = {}
  for (const key of keys) made[key] = make()
  if (!isWhole(made, keys)) throw new TypeError('a key is missing')
  return made
}

function isWhole<K extends string, V>(made: Partial<Record<K, V>>, keys: readonly K[]): made is Record<K, V> {
  return keys.every((key) => key in made)
}
