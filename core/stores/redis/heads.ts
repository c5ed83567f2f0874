// What the sweep asks: many devices in few script calls.

import type { Position } from '../../model/message.js'
import type { HeadResult } from '../../ports/mailbox.js'
import { type DevicePart, groupsOf, type PackedReply, runGroup } from './device-groups.js'
import type { StoreContext } from './device-scripts.js'
import { positionLength, writePosition } from './position-codec.js'
import { explainUnanswered } from './redis-errors.js'

interface Asked {
  readonly device: string
  readonly acked: Position | null
}

/** One result for each item; null: no such device. Rejects with StoreUnavailable. */
export async function headsOf(
  context: StoreContext,
  items: readonly Asked[],
): Promise<ReadonlyArray<HeadResult | null>> {
  const parts = items.map(({ device, acked }): DevicePart => ({
    device,
    bytes: positionLength(acked),
    write: (out, at) => writePosition(acked, out, at),
  }))
  const { connections } = context
  const groups = groupsOf(parts, connections.oneSlot)
  const results = await Promise.all(
    groups.map(async (group) => {
      try {
        const reply = await runGroup(context, 'heads', group, [], false)
        return group.map(() => headOf(reply, connections.generation))
      } catch (error) {
        throw explainUnanswered(error)
      }
    }),
  )
  return results.flat()
}

function headOf(reply: PackedReply, generation: string): HeadResult | null {
  const failure = reply.failure()
  if (failure !== null) throw failure
  if (reply.uint8() === 0) return null
  const node = reply.text()
  const claimId = reply.text()
  const lastEpoch = reply.text()
  const epoch = reply.text()
  const head = reply.uint48()
  const cursor = { epoch, seq: reply.uint48() }
  const pending = reply.uint48()
  const oldest = reply.uint48()
  const counts = reply.uint8() === 1
  const upTo = reply.uint48()
  return {
    claim: claimId === '' ? null : { node, claimId },
    generation,
    lastEpoch,
    head,
    cursor,
    pending,
    oldestPendingAt: oldest === 0 ? null : oldest,
    ackedSeq: counts ? upTo : null,
  }
}
