// What can be seen of a device and of one message.

import { epochAt } from '../../model/epochs.js'
import type { DeviceInfo, MessageState } from '../../ports/mailbox.js'
import type { DeviceState } from './device-state.js'

export function stateOf(state: DeviceState, seq: number, epoch: string | null): MessageState {
  const { fields } = state
  if (!state.isPlace(seq, epoch)) return { kind: 'gone' }
  const head = seq > fields.cursor ? state.headOf(seq) : null
  const known = (word: Extract<MessageState, { kind: 'known' }>['state']): MessageState => ({
    kind: 'known',
    epoch: epochAt(fields.epochs, seq),
    seq,
    state: word,
    at: head === null ? null : head.at,
    expiresAt: head === null || head.expiresAt === 0 ? null : head.expiresAt,
  })
  const exception = state.exceptionAt(seq)
  if (exception !== undefined) return known(exception.reason)
  if (seq <= fields.floor) return { kind: 'gone' }
  if (seq <= fields.cursor) return known('handled')
  if (seq <= fields.received) return known('received')
  return known(seq <= fields.sent ? 'sent' : 'queued')
}

export function infoOf(state: DeviceState): DeviceInfo {
  const { fields } = state
  return {
    device: state.device,
    claim: fields.claim,
    connectedAt: fields.connectedAt,
    lastSeenAt: fields.lastSeenAt,
    createdAt: fields.createdAt,
    epoch: state.lastEpoch,
    head: fields.head,
    cursor: fields.cursor,
    pending: fields.pending,
    pendingBytes: fields.pendingBytes,
    oldestPendingAt: oldestAt(state),
  }
}

export const oldestAt = (state: DeviceState): number | null =>
  state.fields.pending === 0 ? null : (state.headOf(state.fields.cursor + 1)?.at ?? null)
