// What a read covers, decided on the state alone; the bodies are fetched afterwards.

import { endOfStretch, epochAt, resolvePosition } from '../../model/epochs.js'
import { type ExceptionRange, firstEndingAt } from '../../model/exceptions.js'
import type { Position } from '../../model/message.js'
import type { PageEntry } from '../../ports/mailbox.js'
import type { DeviceState } from './device-state.js'

type ExceptionEntry = Extract<PageEntry, { kind: 'exception' }>

export type PlannedEntry =
  | { readonly kind: 'message'; readonly seq: number; readonly epoch: string; readonly redelivered: boolean }
  | ExceptionEntry

export interface PagePlan {
  readonly entries: readonly PlannedEntry[]
  readonly next: Position
}

/** Null: the position is past or unknown. */
export function planPage(
  state: DeviceState,
  position: Position,
  limits: { readonly maxMessages: number; readonly maxBytes: number },
): PagePlan | null {
  const { fields, exceptions } = state
  const { epochs, head, cursor } = fields
  if (resolvePosition(epochs, head, position).kind !== 'valid') return null
  const entries: PlannedEntry[] = []
  const sent = Math.max(fields.sent, fields.maybeSent)
  let messages = 0
  let bytes = 0
  let last = position.seq

  /** Takes what waits up to `upTo`; false: the page is full. */
  const take = (upTo: number): boolean => {
    // What the cursor has passed is handled or an exception.
    if (last < cursor) last = Math.max(last, Math.min(upTo, cursor))
    while (last < upTo) {
      const seq = last + 1
      const size = state.headOf(seq)?.size ?? 0
      if (messages > 0 && (messages >= limits.maxMessages || bytes + size > limits.maxBytes)) return false
      entries.push({ kind: 'message', seq, epoch: epochAt(epochs, seq), redelivered: seq <= sent })
      messages++
      bytes += size
      last = seq
    }
    return true
  }

  let room = true
  for (let i = firstEndingAt(exceptions, position.seq + 1); room && i < exceptions.length; i++) {
    const range = exceptions[i]
    if (range === undefined) break
    room = take(range.from - 1)
    if (!room) break
    entries.push(...exceptionEntries(state, range, position.seq))
    last = Math.max(last, range.to)
  }
  if (room) take(head)
  return { entries, next: last === position.seq ? position : { epoch: epochAt(epochs, last), seq: last } }
}

/** An entry never mixes epochs. */
function exceptionEntries({ fields }: DeviceState, { from, to, reason }: ExceptionRange, after: number) {
  const { epochs, head } = fields
  const entries: ExceptionEntry[] = []
  for (let start = Math.max(from, after + 1); start <= to;) {
    const epoch = epochAt(epochs, start)
    const index = epochs.findIndex((each) => each.epoch === epoch)
    const end = Math.min(to, Math.max(start, endOfStretch(epochs, index, head)))
    entries.push({ kind: 'exception', epoch, from: start, to: end, reason })
    start = end + 1
  }
  return entries
}

/** The seqs of messages that wait after `after`, for a look. */
export function planPeek(
  state: DeviceState,
  query: { readonly after: number; readonly limit: number; readonly maxBytes: number },
): { readonly seqs: readonly number[]; readonly more: boolean } {
  const { fields } = state
  const seqs: number[] = []
  let bytes = 0
  for (let seq = Math.max(query.after, fields.cursor) + 1; seq <= fields.head; seq++) {
    const exception = state.exceptionAt(seq)
    if (exception !== undefined) {
      seq = exception.to
      continue
    }
    bytes += state.headOf(seq)?.size ?? 0
    if (seqs.length >= query.limit || (seqs.length > 0 && bytes > query.maxBytes)) return { seqs, more: true }
    seqs.push(seq)
  }
  return { seqs, more: false }
}
