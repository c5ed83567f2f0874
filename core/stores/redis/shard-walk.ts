// A walk over what is noted of devices in their shards, for work in the background: in small steps, on all servers at the same time,
// at a bounded pace.

import { groupsOf, runGroup } from './device-groups.js'
import { lookKeys, type StoreContext } from './device-scripts.js'
import { listOf, numberOf } from './reply.js'
import type { Argument } from './connections.js'
import type { ScriptName } from './script-loader.js'

/** Shards that one script looks at: about a millisecond. */
const SCAN = 2_000
const SCAN_PAUSE_MS = 20
/** Of each server. */
const DEVICES_PER_SECOND = 2_000
/** Asked for at a time. */
export const DEVICES_PAGE = 64

export interface ShardWalk {
  readonly context: StoreContext
  /** Says which of the keys of one server hold something; in front of them stand `scanArgs`. */
  readonly scan: ScriptName
  readonly scanArgs: readonly Argument[]
  readonly keyOf: (shard: string) => string
  readonly visit: (shard: string) => Promise<void>
  /** Asked before each step. */
  readonly goesOn: () => boolean
}

/** Visits the shards that hold something. Rejects when a server did not answer; the others were visited all the same. */
export async function walkShards(walk: ShardWalk): Promise<void> {
  const servers = await Promise.allSettled(walk.context.shards.byServer().map((shards) => walkServer(walk, shards)))
  for (const server of servers) if (server.status === 'rejected') throw server.reason
}

async function walkServer(walk: ShardWalk, shards: readonly string[]): Promise<void> {
  const { context, scan, scanArgs, keyOf, visit, goesOn } = walk
  for (let from = 0; from < shards.length && goesOn(); from += SCAN) {
    const some = shards.slice(from, from + SCAN)
    const keys = some.map(keyOf)
    const found = listOf(await lookKeys(context, scan, keys.slice(0, 1), [...scanArgs, ...keys]))
    for (const place of found) {
      const shard = some[numberOf(place) - 1]
      if (shard !== undefined && goesOn()) await visit(shard)
    }
    await pause(SCAN_PAUSE_MS)
  }
}

/**
 * Runs a script on devices of one shard, which are in one slot. The answer of each; null: it failed (a newer version wrote the
 * record, and looks after it).
 */
export async function onDevices(
  context: StoreContext,
  name: ScriptName,
  devices: readonly string[],
  args: readonly Argument[],
): Promise<ReadonlyArray<number | null>> {
  const answers: Array<number | null> = []
  const parts = devices.map((device) => ({ device, bytes: 0, write: () => undefined }))
  for (const group of groupsOf(parts, true)) {
    const reply = await runGroup(context, name, group, args, true)
    for (const _ of group) answers.push(reply.failure() === null ? reply.uint8() : null)
    await pause((group.length * 1000) / DEVICES_PER_SECOND)
  }
  return answers
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
