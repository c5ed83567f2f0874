// The collections and their indexes. Everything that is asked for while messages travel is asked for by `_id`; the other indexes
// are for what ends by itself (TTL), for events that are on their way to the log, for the devices of a dead node, and for those of
// which something expires. ADR 17 and 24 say what they are for.

import type { Collection, Db, Document } from 'mongodb'

export interface Named extends Document {
  readonly _id: string
}
export interface Keyed extends Document {
  readonly _id: Uint8Array
}
export interface Numbered extends Document {
  readonly _id: number
}

export interface Collections {
  /** One document a device: record, tail, the last dedup ids. */
  readonly devices: Collection<Named>
  /** Messages that left the tail; never changed. */
  readonly messages: Collection<Named>
  /** Dedup ids that left the device's document, and those of uplink. */
  readonly dedup: Collection<Keyed>
  readonly apiKeys: Collection<Named>
  readonly revocations: Collection<Named>
  /** One document: the end of the uplink log. */
  readonly uplink: Collection<Named>
  /** The uplink log before its end, by the number of the first one in each. */
  readonly uplinkLog: Collection<Numbered>
  readonly sessions: Collection<Named>
  readonly sessionQueue: Collection<Named>
  readonly retained: Collection<Named>
  readonly wills: Collection<Named>
  /** Changes of the session collections that are not in them yet. */
  readonly sessionJournal: Collection<Numbered>
  /** Batches of events, by the number of the first one in each. */
  readonly eventLog: Collection<Numbered>
  /** Webhooks with their progress, and the next token of a lease. */
  readonly webhooks: Collection<Named>
  /** Processes that have claims, with a sign of life. */
  readonly nodes: Collection<Named>
  readonly meta: Collection<Named>
}

export function collectionsOf(db: Db): Collections {
  return {
    devices: db.collection('devices'),
    messages: db.collection('messages'),
    dedup: db.collection('dedup'),
    apiKeys: db.collection('api_keys'),
    revocations: db.collection('revocations'),
    uplink: db.collection('uplink'),
    uplinkLog: db.collection('uplink_log'),
    sessions: db.collection('sessions'),
    sessionQueue: db.collection('session_queue'),
    retained: db.collection('retained'),
    wills: db.collection('wills'),
    sessionJournal: db.collection('session_journal'),
    eventLog: db.collection('event_log'),
    webhooks: db.collection('webhooks'),
    nodes: db.collection('nodes'),
    meta: db.collection('meta'),
  }
}

/** Field with the time from which on a document may go. Documents without a time stay. */
export const TTL_INDEXES = [
  ['devices', 'idleAt'],
  ['messages', 'until'],
  ['dedup', 'until'],
  ['revocations', 'until'],
] as const satisfies ReadonlyArray<readonly [keyof Collections, string]>

/** Made at every start; what is there stays. */
export async function makeIndexes(collections: Collections): Promise<void> {
  await Promise.all([
    ...TTL_INDEXES.map(([name, field]) =>
      collections[name].createIndex({ [field]: 1 }, { expireAfterSeconds: 0, name: `ttl_${field}` }),
    ),
    collections.devices.createIndex({ evV: 1 }, { name: 'events_wait', sparse: true }),
    // Only devices that somebody owns are in it, and only those of which something expires are in the next one.
    collections.devices.createIndex(
      { 'r.node': 1, _id: 1 },
      { name: 'claims', partialFilterExpression: { 'r.node': { $gt: '' } } },
    ),
    collections.devices.createIndex({ due: 1 }, { name: 'due', sparse: true }),
    collections.sessionQueue.createIndex({ client: 1, life: 1, number: 1 }, { name: 'client_life_number' }),
  ])
}
