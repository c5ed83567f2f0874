// The ids of all devices, for lists: sorted sets of members with one score, which Redis keeps in the order of their bytes. An id
// is in the set that its hash says, and the sets are in slots of their own, so no key is touched by more than a part of all
// devices. A set and the device's record are two units: the record says whether the index has it, and whoever finds that it
// does not adds it, so a crash between the two is made good with the device's next use.

import { INDEX_SHARDS, deviceRecordKey, indexKey, indexShardOf } from './keys.js'
import type { RedisConnections } from './connections.js'
import { change, type StoreContext } from './device-scripts.js'
import { explainFailure, explainUnanswered } from './redis-errors.js'
import { listOf, textOf } from './reply.js'

interface Shard {
  readonly key: string
  readonly ids: string[]
  /** There is nothing behind the last id. */
  ended: boolean
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

export class DeviceIndex {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  get #connections(): RedisConnections {
    return this.#context.connections
  }

  async add(device: string): Promise<void> {
    try {
      await this.#connections.command('zadd', [indexKey(indexShardOf(device)), 0, device], true)
    } catch (error) {
      throw explainFailure(error)
    }
    await change(this.#context, 'mark-indexed', device, [])
  }

  /** Takes an id out whose record is gone. If the device came back meanwhile, it is there again afterwards. */
  async remove(device: string): Promise<void> {
    try {
      await this.#connections.command('zrem', [indexKey(indexShardOf(device)), device])
      const exists = await this.#connections.command('exists', [deviceRecordKey(device)])
      if (exists === 1) await this.add(device)
    } catch (error) {
      throw explainFailure(error)
    }
  }

  /** Up to `limit` ids after `after`, in the order of their bytes; fewer only at the end. */
  async page(after: string | null, limit: number): Promise<readonly string[]> {
    const shards = Array.from({ length: INDEX_SHARDS }, (_, i): Shard => ({ key: indexKey(i), ids: [], ended: false }))
    const share = Math.ceil((limit / INDEX_SHARDS) * 2) + 2
    let wanting: readonly Shard[] = shards
    for (;;) {
      await Promise.all(wanting.map((shard) => this.#more(shard, shard.ids.at(-1) ?? after, share)))
      const ids = shards.flatMap((shard) => shard.ids).toSorted(byBytes)
      // What a set that goes on has not told yet stands behind its last id: up to the lowest of those all is known.
      const open = shards.filter((shard) => !shard.ended)
      const [bound] = open.map((shard) => shard.ids.at(-1) ?? '').toSorted(byBytes)
      const known = bound === undefined ? ids : ids.filter((id) => byBytes(id, bound) <= 0)
      if (bound === undefined || known.length >= limit) return known.slice(0, limit)
      wanting = open.filter((shard) => byBytes(shard.ids.at(-1) ?? '', ids[limit - 1] ?? '\u{10ffff}') < 0)
    }
  }

  async #more(shard: Shard, after: string | null, count: number): Promise<void> {
    const from = after === null ? '-' : `(${after}`
    try {
      const found = listOf(
        await this.#connections.command('zrangebylex', [shard.key, from, '+', 'LIMIT', 0, count]),
      ).map(textOf)
      shard.ids.push(...found)
      if (found.length < count) shard.ended = true
    } catch (error) {
      throw explainUnanswered(error)
    }
  }
}
