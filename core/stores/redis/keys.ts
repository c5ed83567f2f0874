// Every key that the Redis store uses, and nothing else makes one. What stands between braces is the hash tag: keys with the
// same one are in the same slot of a Redis Cluster, so a script may touch them together. ADR 12 says why they are as they are.

/**
 * A device's keys: its record, which every device has, and what it has only while there is something in it. The scripts get
 * them in this order.
 */
export type DeviceKeys = readonly [
  record: string,
  /** List: the messages cursor + 1 … head. */
  messages: string,
  /** Sorted set by last seq: the exceptions. */
  exceptions: string,
  /** Sorted set by time: the seqs of waiting messages that expire. */
  expiries: string,
  /** Hashes that take turns by dedup window. */
  dedupEven: string,
  dedupOdd: string,
]

export function deviceKeys(device: string): DeviceKeys {
  const record = deviceRecordKey(device)
  return [record, `${record}:m`, `${record}:x`, `${record}:t`, `${record}:i`, `${record}:j`]
}

export const deviceRecordKey = (device: string): string => `pr:{${device}}`

/**
 * The ids of all devices are in so many sorted sets, each in a slot of its own. Never changed: it is part of the format.
 */
export const INDEX_SHARDS = 128

export const indexKey = (shard: number): string => `pr-index:{${shard}}`

/** FNV-1a over the id's UTF-8 bytes. Never changed: it says where an id is found again. */
export function indexShardOf(device: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(device)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash % INDEX_SHARDS
}

/** The format of the whole store; see open.ts. */
export const META_KEY = 'pr-meta'

/** Hash: the id of an API key → its record. */
export const API_KEYS_KEY = 'pr-keys'

export const revocationKey = (device: string): string => `pr-revoked:{${device}}`

/** The log of all devices' uplink, and the counters beside it. */
export const UPLINK_LOG_KEY = 'pr-uplink:{log}'
export const UPLINK_STATE_KEY = 'pr-uplink:{log}:state'
/** One dedup id of a device, by the hash of both in hex. */
export const uplinkDedupKey = (hash: string): string => `pr-uplink:{log}:i:${hash}`

/**
 * The log of events, and beside it all of webhooks. On a server by itself the scripts of devices write into it; in a Cluster they
 * write into a stream of their own slot (see `eventOutboxKey`), from where it is brought here.
 */
export const EVENTS_KEY = 'pr-events:{log}'
/** Events of the devices of a slot that are not in the log yet. `tag`: see `slotTags`. Only in a Cluster. */
export const eventOutboxKey = (tag: string): string => `pr-events:{${tag}}:o`
/** Who brings them there, and what was brought last: hash slot → ids. */
export const EVENT_RELAY_KEYS = { lease: 'pr-events:{log}:relay', brought: 'pr-events:{log}:brought' } as const
/**
 * Devices are divided into shards, each wholly in the slot of its devices (shards.ts). In each, for each node: a hash of the devices
 * that it has claims of. lua/lib/claims.lua makes the same.
 */
export const claimsKey = (shard: string, node: string): string => `pr-claims:{${shard}}:${node}`
/** Sorted set: devices of the shard that are to be looked at, and when. lua/lib/due.lua makes the same. */
export const dueKey = (shard: string): string => `pr-due:{${shard}}`
/** Nodes with claims: sorted set node → until when it counts as alive, set of the dead ones, who looks after what they left. */
export const CLAIM_NODES_KEYS = ['pr-claims:{nodes}', 'pr-claims:{nodes}:dead', 'pr-claims:{nodes}:caretaker'] as const
/** Hash: id → webhook. */
export const WEBHOOKS_KEY = 'pr-webhooks:{log}'
/** The last token that a lease got. */
export const WEBHOOK_TOKENS_KEY = 'pr-webhooks:{log}:tokens'
/** Of one webhook: hash log → cursor, hash key → parked event, hash of the lease. */
export const webhookKeys = (id: string): readonly [cursors: string, parked: string, lease: string] => [
  `pr-webhook:{log}:c:${id}`,
  `pr-webhook:{log}:p:${id}`,
  `pr-webhook:{log}:l:${id}`,
]

/**
 * Ordinary pub/sub of many nodes: the prefix of all its keys, which lua/lib/ordinary.lua names. One slot, because a publish is one
 * step over many sessions. `pr-pubsub:{s}:` and
 *   tree                 hash: path of levels → how many filters lead through it
 *   f:<filter>           hash: `c` and a client, `n` and a node → QoS
 *   s:<client>           hash: kept, next, count, bytes, sent; while it is connected node, conn
 *   o:, r:, q:<client>   hash: filter → subscription; set: received packet ids; sorted set by number: queue
 *   sessions             sorted set by last use: clients with a stored session
 *   retained, topics     hash: topic → message; sorted set: the same topics, in order
 *   state                hash: bytes of retained messages, number of their last change
 *   nodes, dead          sorted set by lease: nodes; set: those to be cleared up
 *   n:, b:, i:, l:, w:<node>  stream to it; hash: its length; sets: filters, clients without a session; hash: client → will
 *   uplink-wills         hash: wills on their way to uplink
 *   job, job:<n>         hash: a message on its way to many sessions; hashes: copies of its filters
 *   later                list: messages behind it
 */
export const ORDINARY_ROOT = 'pr-pubsub:{s}'
export const ordinaryQueueKey = (client: string): string => `${ORDINARY_ROOT}:q:${client}`
export const ordinaryTopicsKey = `${ORDINARY_ROOT}:topics`
export const ordinaryStreamKey = (node: string): string => `${ORDINARY_ROOT}:n:${node}`

/** Who is on the bus: sorted set node → until when, hash node → which process. One slot, changed together. */
export const BUS_NODES_KEYS = ['pr-bus:{nodes}', 'pr-bus:{nodes}:ids'] as const
/** Pub/sub channel of a node. Channels know no databases, so the name does. */
export const busChannel = (db: number, node: string): string => `pr-bus:{${node}}:${db}`
