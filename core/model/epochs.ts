// Positions in a log: what the store makes of a pair [epoch, seq] that somebody else remembers.
//
// A log keeps `epochs`, a list of [epoch, firstSeq] in order, as Kafka's leader epochs do (KIP-101). An epoch's stretch
// ends before the next one's first seq; the last one's at head.

import type { Position } from './message.js'

export interface EpochStart {
  readonly epoch: string
  readonly firstSeq: number
}

/** How many epochs a log remembers at least; more while messages after the cursor belong to them. */
export const EPOCHS_KEPT = 16

export type Resolved =
  /** The epoch is known and seq is inside its stretch. */
  | { readonly kind: 'valid'; readonly seq: number }
  /** The epoch is known, seq is past its end: the store lost what the other side has seen. `seq` is the end. */
  | { readonly kind: 'past'; readonly seq: number }
  | { readonly kind: 'unknown' }

const UNKNOWN: Resolved = { kind: 'unknown' }

/** Last seq of the stretch of `epochs[index]`. */
export function endOfStretch(epochs: readonly EpochStart[], index: number, head: number): number {
  const next = epochs[index + 1]
  return next === undefined ? head : next.firstSeq - 1
}

export function resolvePosition(epochs: readonly EpochStart[], head: number, position: Position): Resolved {
  for (let i = epochs.length - 1; i >= 0; i--) {
    if (epochs[i]?.epoch !== position.epoch) continue
    const end = endOfStretch(epochs, i, head)
    return position.seq <= end ? { kind: 'valid', seq: position.seq } : { kind: 'past', seq: end }
  }
  return UNKNOWN
}

/**
 * The seq up to which an ack counts: its own, at most the end of its epoch's stretch. Null: the epoch is unknown, the ack
 * is ignored.
 */
export function ackedSeq(epochs: readonly EpochStart[], head: number, position: Position): number | null {
  const resolved = resolvePosition(epochs, head, position)
  return resolved.kind === 'unknown' ? null : resolved.seq
}

/** The epoch that the message at `seq` (or a cursor that stands there) belongs to. */
export function epochAt(epochs: readonly EpochStart[], seq: number): string {
  for (let i = epochs.length - 1; i > 0; i--) {
    const start = epochs[i]
    if (start !== undefined && start.firstSeq <= seq) return start.epoch
  }
  const first = epochs[0]
  if (first === undefined) throw new RangeError('a log has at least one epoch')
  return first.epoch
}

export function lastEpoch(epochs: readonly EpochStart[]): string {
  const last = epochs[epochs.length - 1]
  if (last === undefined) throw new RangeError('a log has at least one epoch')
  return last.epoch
}

/** Adds an epoch that begins with the next append, and drops old ones that nothing after the cursor belongs to. */
export function startEpoch(
  epochs: readonly EpochStart[],
  epoch: string,
  head: number,
  cursor: number,
): readonly EpochStart[] {
  let list = [...epochs, { epoch, firstSeq: head + 1 }]
  while (list.length > EPOCHS_KEPT && endOfStretch(list, 0, head) <= cursor) list = list.slice(1)
  return list
}
