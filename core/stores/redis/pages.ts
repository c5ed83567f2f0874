// What the scripts answer of a log, in the words of the port.

import { EXCEPTION_REASONS, type ExceptionReason } from '../../../protocol/codes.js'
import { endOfStretch, epochAt, type EpochStart } from '../../model/epochs.js'
import type { PageEntry } from '../../ports/mailbox.js'
import { decodeEntry } from './message-codec.js'
import { bytesOf, listOf, numberOf, textOf } from './reply.js'

/** By the number that lua/lib/exceptions.lua gives it. */
export function reasonOf(number: number): ExceptionReason {
  const reason = EXCEPTION_REASONS[number - 1]
  if (reason === undefined) throw new RangeError(`an exception has the unknown reason ${number}`)
  return reason
}

export interface Range {
  readonly from: number
  readonly to: number
  readonly reason: ExceptionReason
}

export function rangesOf(value: unknown): readonly Range[] {
  const flat = listOf(value).map(numberOf)
  return Array.from({ length: flat.length / 3 }, (_, i) => ({
    from: flat[i * 3] ?? 0,
    to: flat[i * 3 + 1] ?? 0,
    reason: reasonOf(flat[i * 3 + 2] ?? 0),
  }))
}

export function epochsOf(value: unknown): readonly EpochStart[] {
  const flat = listOf(value)
  return Array.from({ length: flat.length / 2 }, (_, i) => ({
    epoch: textOf(flat[i * 2]),
    firstSeq: numberOf(flat[i * 2 + 1]),
  }))
}

/** Messages and exceptions after `after`, in order; an entry never mixes epochs. */
export function pageEntries(
  after: number,
  head: number,
  sent: number,
  epochs: readonly EpochStart[],
  ranges: readonly Range[],
  messages: readonly unknown[],
): PageEntry[] {
  const entries: PageEntry[] = []
  let nextRange = 0
  const rangesBefore = (seq: number): void => {
    for (let range = ranges[nextRange]; range !== undefined && range.from < seq; range = ranges[++nextRange]) {
      entries.push(...exceptionEntries(range, after, head, epochs))
    }
  }
  for (let i = 0; i < messages.length; i += 2) {
    const seq = numberOf(messages[i])
    rangesBefore(seq)
    entries.push({
      kind: 'message',
      epoch: epochAt(epochs, seq),
      message: decodeEntry(seq, bytesOf(messages[i + 1])),
      redelivered: seq <= sent,
    })
  }
  rangesBefore(Infinity)
  return entries
}

function exceptionEntries(
  { from, to, reason }: Range,
  after: number,
  head: number,
  epochs: readonly EpochStart[],
): PageEntry[] {
  const entries: PageEntry[] = []
  for (let start = Math.max(from, after + 1); start <= to;) {
    const epoch = epochAt(epochs, start)
    const index = epochs.findIndex((e) => e.epoch === epoch)
    const end = Math.min(to, Math.max(start, endOfStretch(epochs, index, head)))
    entries.push({ kind: 'exception', epoch, from: start, to: end, reason })
    start = end + 1
  }
  return entries
}
