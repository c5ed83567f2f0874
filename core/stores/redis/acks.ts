// Acks of many devices in few script calls.

import type { Position } from '../../model/message.js'
import type { AckItem, AckResult } from '../../ports/mailbox.js'
import { type DevicePart, groupsOf, runGroup } from './device-groups.js'
import type { StoreContext } from './device-scripts.js'
import { positionLength, writePosition } from './position-codec.js'
import { explainFailure } from './redis-errors.js'

const COUNTED = 1

/** One result for each item. Rejects with StoreUnavailable or OutcomeUnknown; then some may be stored. */
export async function ackAll(context: StoreContext, items: readonly AckItem[]): Promise<readonly AckResult[]> {
  const groups = groupsOf(
    items.map((item) => new Acking(item)),
    context.connections.oneSlot,
  )
  const results = await Promise.all(groups.map((group) => ackGroup(context, group)))
  return results.flat()
}

async function ackGroup(context: StoreContext, group: readonly Acking[]): Promise<readonly AckResult[]> {
  try {
    const reply = await runGroup(context, 'ack', group, [], true)
    return group.map(() => {
      const failure = reply.failure()
      if (failure !== null) throw failure
      return { counted: reply.uint8() === COUNTED, cursor: reply.uint48(), pending: reply.uint48() }
    })
  } catch (error) {
    throw explainFailure(error)
  }
}

class Acking implements DevicePart {
  readonly device: string
  readonly bytes: number
  readonly #marks: ReadonlyArray<Position | undefined>

  constructor({ device, position, sent, received }: AckItem) {
    this.device = device
    this.#marks = [position, sent, received]
    let bytes = 0
    for (const mark of this.#marks) bytes += positionLength(mark)
    this.bytes = bytes
  }

  write(out: Buffer, start: number): void {
    let at = start
    for (const mark of this.#marks) at = writePosition(mark, out, at)
  }
}
