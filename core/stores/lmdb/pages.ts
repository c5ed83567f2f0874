// Reads of a log: pages for delivery and for a look. Pure over a state and what is on disk.

import { endOfStretch, epochAt } from '../../model/epochs.js'
import type { StoredMessage } from '../../model/message.js'
import type { PageEntry } from '../../ports/mailbox.js'
import type { InboxState, LogReader } from './inbox-state.js'

export interface Page {
  readonly entries: PageEntry[]
  /** The last seq that the page covers. */
  readonly end: number
}

/**
 * Pending messages and exceptions after `after`, up to the limits; the first message fits always. Messages at or below the
 * sent watermark, or from before `sentBefore`, may have been on the wire before.
 */
export function readPage(
  state: InboxState,
  after: number,
  maxMessages: number,
  maxBytes: number,
  disk: LogReader,
  sentBefore: number,
): Page {
  const entries: PageEntry[] = []
  let messages = 0
  let bytes = 0
  // What the cursor has passed is handled or an exception; exceptions there may still have to be told.
  let seq = after
  while (seq < state.head) {
    const next = seq + 1
    const range = state.exceptionAt(next)
    if (range !== undefined) {
      pushException(entries, state, next, range.to, range.reason)
      seq = range.to
      continue
    }
    if (next <= state.cursor) {
      seq = next
      continue
    }
    const entry = state.entry(next, disk)
    if (entry === null) throw new RangeError(`message ${next} of a log is missing on disk`)
    if (messages > 0 && (messages >= maxMessages || bytes + entry.size > maxBytes)) break
    const { message } = entry
    const redelivered = next <= state.sent || message.at < sentBefore
    entries.push({ kind: 'message', epoch: epochAt(state.epochs, next), message, redelivered })
    messages++
    bytes += entry.size
    seq = next
  }
  return { entries, end: seq }
}

/** An entry never mixes epochs. */
function pushException(
  entries: PageEntry[],
  state: InboxState,
  from: number,
  to: number,
  reason: Extract<PageEntry, { kind: 'exception' }>['reason'],
): void {
  for (let start = from; start <= to;) {
    const epoch = epochAt(state.epochs, start)
    const index = state.epochs.findIndex((e) => e.epoch === epoch)
    const end = Math.min(to, Math.max(start, endOfStretch(state.epochs, index, state.head)))
    entries.push({ kind: 'exception', epoch, from: start, to: end, reason })
    start = end + 1
  }
}

/** Pending messages only. */
export function readPending(
  state: InboxState,
  after: number,
  limit: number,
  maxBytes: number,
  disk: LogReader,
): { readonly messages: Array<{ readonly epoch: string; readonly message: StoredMessage }>; readonly more: boolean } {
  const messages: Array<{ readonly epoch: string; readonly message: StoredMessage }> = []
  let bytes = 0
  for (let seq = Math.max(after, state.cursor) + 1; seq <= state.head; seq++) {
    const range = state.exceptionAt(seq)
    if (range !== undefined) {
      seq = range.to
      continue
    }
    const entry = state.entry(seq, disk)
    if (entry === null) throw new RangeError(`message ${seq} of a log is missing on disk`)
    if (messages.length >= limit || (messages.length > 0 && bytes + entry.size > maxBytes)) {
      return { messages, more: true }
    }
    messages.push({ epoch: epochAt(state.epochs, seq), message: entry.message })
    bytes += entry.size
  }
  return { messages, more: false }
}
