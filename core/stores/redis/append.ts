// Appending: all messages of a device in a call are one step, many devices go in one script call.

import { bodyHash, dedupIdHash } from '../../model/body-hash.js'
import { messageSize, type NewMessage } from '../../model/message.js'
import type { AppendRefused, AppendResult, Claim } from '../../ports/mailbox.js'
import { randomIds } from '../../random-id.js'
import { type DevicePart, groupsOf, type PackedReply, runGroup } from './device-groups.js'
import type { DeviceIndex } from './device-index.js'
import type { StoreContext } from './device-scripts.js'
import { deviceRecordKey } from './keys.js'
import { bodyLength, writeBody } from './message-codec.js'
import { codeOf, explainFailure } from './redis-errors.js'
import { textOf } from './reply.js'

/** How often an append may find that another instance answers, in one call. */
const STALE_TRIES = 4
const UNAVAILABLE: AppendRefused = { ok: false, code: 'store_unavailable' }

/** Characters of an epoch's id. */
const EPOCH = 11
const MESSAGE_HEAD = 15
const HASHES = 32
const HASH = 16

export async function appendAll(
  context: StoreContext,
  index: DeviceIndex,
  items: readonly NewMessage[],
): Promise<readonly AppendResult[]> {
  const { connections } = context
  const results = Array.from<AppendResult>({ length: items.length })
  const parts = new Map<string, Appending>()
  for (const [i, item] of items.entries()) {
    const { device } = item
    let part = parts.get(device)
    if (part === undefined) {
      // Before a look at the message: an outage must cost little.
      if (!connections.canSend(deviceRecordKey(device))) {
        results[i] = UNAVAILABLE
        continue
      }
      parts.set(device, (part = new Appending(device, context.shards.of(device))))
    }
    part.add(item, i)
  }
  const ids = randomIds(parts.size)
  let n = 0
  for (const part of parts.values()) part.newEpoch = ids[n++] ?? ''
  const unindexed: string[] = []
  await Promise.all(
    groupsOf([...parts.values()], connections.oneSlot).map((group) => appendGroup(context, group, results, unindexed)),
  )
  // The messages are stored whatever becomes of this: the device's next use adds it to the index otherwise.
  await Promise.all(unindexed.map((device) => index.add(device).catch(() => undefined)))
  return results
}

/** The messages of one device. */
class Appending implements DevicePart {
  readonly device: string
  readonly items: NewMessage[] = []
  /** Where their results belong. */
  readonly places: number[] = []
  /** The id of an epoch, if one begins with them. */
  newEpoch = ''
  readonly #shard: string
  bytes: number

  constructor(device: string, shard: string) {
    this.device = device
    this.#shard = shard
    this.bytes = EPOCH + 1 + shard.length + 4
  }

  add(item: NewMessage, place: number): void {
    this.items.push(item)
    this.places.push(place)
    this.bytes += MESSAGE_HEAD + (item.dedupId === null ? 0 : HASHES) + bodyLength(item)
  }

  write(out: Buffer, start: number): void {
    let at = start + out.write(this.newEpoch, start)
    at = out.writeUInt8(this.#shard.length, at)
    at += out.write(this.#shard, at)
    at = out.writeUInt32BE(this.items.length, at)
    for (const item of this.items) {
      const withId = item.dedupId !== null
      const head = at
      at = out.writeUInt8(withId ? 1 : 0, at)
      at = out.writeUIntBE(item.ttl === null ? 0 : expiresAfter(item.ttl), at, 6)
      at = out.writeUInt32BE(messageSize(item), at) + 4
      if (item.dedupId !== null) {
        dedupIdHash(item.dedupId).copy(out, at, 0, HASH)
        bodyHash(item).copy(out, at + HASH, 0, HASH)
        at += HASHES
      }
      const end = writeBody(item, out, at)
      out.writeUInt32BE(end - at, head + 11)
      at = end
    }
  }
}

/** Fills in the results of a group; never rejects. */
async function appendGroup(
  context: StoreContext,
  group: readonly Appending[],
  results: AppendResult[],
  unindexed: string[],
): Promise<void> {
  const fail = ({ places }: Appending, error: unknown): void => {
    const { code } = explainFailure(error)
    const failed: AppendRefused = { ok: false, code: code === 'store_unavailable' ? code : 'outcome_unknown' }
    for (const place of places) results[place] = failed
  }
  try {
    const reply = await callAppend(context, group)
    const now = reply.uint48()
    for (const part of group) {
      const failure = reply.failure()
      if (failure !== null) {
        fail(part, failure)
        continue
      }
      if (reply.uint8() === 0) unindexed.push(part.device)
      const epoch = reply.text()
      const node = reply.text()
      const claimId = reply.text()
      const owner = claimId === '' ? null : { node, claimId }
      part.items.forEach((item, n) => {
        const place = part.places[n]
        const result = resultOf(item, reply, now, epoch, owner)
        if (place !== undefined) results[place] = result
      })
    }
  } catch (error) {
    for (const part of group) fail(part, error)
  }
}

async function callAppend(context: StoreContext, group: readonly Appending[]): Promise<PackedReply> {
  const { connections } = context
  const key = deviceRecordKey(group[0]?.device ?? '')
  for (let tries = 1; ; tries++) {
    const { replicationId, generation } = connections.knownInstance(key) ?? (await connections.instance(key))
    try {
      return await runGroup(context, 'append', group, [replicationId, generation], true)
    } catch (error) {
      if (codeOf(error) !== 'STALE' || tries === STALE_TRIES) throw error
      await connections.learnAgain(key)
    }
  }
}

const expiresAfter = (ttl: number): number => Math.max(1, Math.round(ttl * 1000))

function resultOf(item: NewMessage, reply: PackedReply, now: number, epoch: string, owner: Claim | null): AppendResult {
  const code = reply.uint8()
  if (code === 2) return { ok: false, code: 'inbox_full' }
  const seq = reply.uint48()
  // The body of a duplicate is the same, so the ttl is.
  const expiry = (at: number): number | null => (item.ttl === null ? null : at + expiresAfter(item.ttl))
  if (code === 0) return { ok: true, seq, epoch, at: now, expiresAt: expiry(now), duplicate: false, owner }
  const at = reply.uint48()
  const first = reply.text()
  if (code === 1) return { ok: true, seq, epoch: first, at, expiresAt: expiry(at), duplicate: true, owner: null }
  return { ok: false, code: 'dedup_conflict', seq }
}

/** Null: nobody owns the device. */
export function claimOf(node: unknown, claimId: unknown): Claim | null {
  const id = textOf(claimId)
  return id === '' ? null : { node: textOf(node), claimId: id }
}
