// What others are shown of a state. No change, no I/O but reads of the log.

import type { DeviceInfo, HeadResult, MessageState } from '../../ports/mailbox.js'
import { endOfStretch, epochAt } from '../../model/epochs.js'
import type { Position } from '../../model/message.js'
import type { InboxState, LogReader } from './inbox-state.js'

export function deviceInfo(state: InboxState, disk: LogReader): DeviceInfo {
  return {
    device: state.device,
    claim: state.claim,
    connectedAt: state.connectedAt,
    lastSeenAt: state.lastSeenAt,
    createdAt: state.createdAt,
    epoch: state.lastEpoch,
    head: state.head,
    cursor: state.cursor,
    pending: state.pending,
    pendingBytes: state.pendingBytes,
    oldestPendingAt: oldestPendingAt(state, disk),
  }
}

const oldestPendingAt = (state: InboxState, disk: LogReader): number | null =>
  state.pending === 0 ? null : (state.header(state.cursor + 1, disk)?.at ?? null)

export function headOf(state: InboxState, generation: string, acked: Position | null, disk: LogReader): HeadResult {
  return {
    claim: state.claim,
    generation,
    lastEpoch: state.lastEpoch,
    head: state.head,
    cursor: state.cursorPosition,
    pending: state.pending,
    oldestPendingAt: oldestPendingAt(state, disk),
    ackedSeq: acked === null ? null : state.resolveAck(acked),
  }
}

/** True when `seq` of `epoch` (any, when null) is a place in this log. */
export function isPlace(state: InboxState, seq: number, epoch: string | null): boolean {
  if (seq < 1 || seq > state.head) return false
  // The epochs of older messages are forgotten.
  if (epoch === null) return seq >= (state.epochs[0]?.firstSeq ?? 1)
  const index = state.epochs.findIndex((e) => e.epoch === epoch)
  const start = state.epochs[index]
  if (start === undefined) return false
  return seq <= endOfStretch(state.epochs, index, state.head) && seq >= start.firstSeq
}

export function messageState(state: InboxState, seq: number, epoch: string | null, disk: LogReader): MessageState {
  if (!isPlace(state, seq, epoch)) return { kind: 'gone' }
  const header = state.header(seq, disk)
  const known = {
    kind: 'known',
    epoch: epochAt(state.epochs, seq),
    seq,
    at: header === null ? null : header.at,
    expiresAt: header === null || header.expiresAt === 0 ? null : header.expiresAt,
  } as const
  const exception = state.exceptionAt(seq)
  if (exception !== undefined) return { ...known, state: exception.reason }
  if (seq <= state.exceptionsFloor) return { kind: 'gone' }
  if (seq <= state.cursor) return { ...known, state: 'handled' }
  if (seq <= state.received) return { ...known, state: 'received' }
  return { ...known, state: seq <= state.sent ? 'sent' : 'queued' }
}
