// Devices are divided into shards, so that what is noted of many devices at one place stays small, and can be looked through a bit
// at a time. On a Cluster a shard is a slot: what is noted stands beside the devices, and is written with them in one step.

import type { RedisConnections } from './connections.js'
import { deviceRecordKey } from './keys.js'
import { slotOf, slotTags } from './slot.js'

/** Of a server by itself. Never changed: it says where a note is found again. */
const ONE_SERVER = 4_096

export interface Shards {
  /** The hash tag of a device's shard. */
  of(device: string): string
  /** All of them, by the server that has them now. */
  byServer(): ReadonlyArray<readonly string[]>
}

export function oneServerShards(): Shards {
  const all = [Array.from({ length: ONE_SERVER }, (_, i) => String(i))]
  return { of: (device) => String(slotOf(deviceRecordKey(device)) % ONE_SERVER), byServer: () => all }
}

export function clusterShards(connections: RedisConnections, tags: readonly string[] = slotTags()): Shards {
  return {
    of: (device) => tags[slotOf(deviceRecordKey(device))] ?? '',
    byServer: () => connections.slotsByMaster().map((slots) => slots.map((slot) => tags[slot] ?? '')),
  }
}
