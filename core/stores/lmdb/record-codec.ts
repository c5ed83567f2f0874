// The stored form of a device record. u8 format; fields of fixed width; texts; then the lists.

import { EXCEPTION_REASONS } from '../../../protocol/codes.js'
import type { EpochStart } from '../../model/epochs.js'
import type { ExceptionRange } from '../../model/exceptions.js'
import { ByteReader, type ByteWriter } from './bytes.js'
import { InboxState } from './inbox-state.js'

/** Format 1 had no `received`; 3 added the two fields at the end. */
const FORMAT = 3

/** `group`: every change of the device up to this group is in the record. */
export function encodeRecord(out: ByteWriter, state: InboxState, group: number): Buffer {
  out.u8(FORMAT)
  out.u48(group)
  out.u48(state.number)
  out.u48(state.createdAt)
  out.u48(state.lastSeenAt ?? 0)
  out.u48(state.usedAt)
  out.u48(state.head)
  out.u48(state.headCumulative)
  out.u48(state.cursor)
  out.u48(state.cursorCumulative)
  out.u48(state.sent)
  out.u48(state.received)
  out.u48(state.exceptionsFloor)
  out.u48(state.pending)
  out.u48(state.pendingBytes)
  out.u48(state.nextExpiry === Infinity ? 0 : state.nextExpiry)
  out.u48(state.dedupAt)
  out.u48(state.head) // everything pending up to head is on disk with this record
  out.u48(state.diskFloor)
  out.text(state.subscription ?? '')
  out.text(state.epochGeneration)
  out.u16(state.epochs.length)
  for (const { epoch, firstSeq } of state.epochs) {
    out.text(epoch)
    out.u48(firstSeq)
  }
  out.u32(state.exceptions.length)
  for (const range of state.exceptions) {
    out.u48(range.from)
    out.u48(range.to)
    out.u8(EXCEPTION_REASONS.indexOf(range.reason))
    out.u48(range.at)
    out.u48(range.bytes)
    out.u48(range.cumulative)
  }
  out.u48(state.receiptUpTo)
  out.u48(state.toldOfflineAt)
  return out.copy()
}

export function decodeRecord(device: string, bytes: Buffer): InboxState {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format < 1 || format > FORMAT)
    throw new RangeError(`the record of device ${device} has the unknown format ${format}`)
  const group = input.u48()
  const state = new InboxState(device, input.u48(), input.u48(), '', '')
  state.recordGroup = group
  const lastSeenAt = input.u48()
  state.lastSeenAt = lastSeenAt === 0 ? null : lastSeenAt
  state.usedAt = input.u48()
  state.head = input.u48()
  state.headCumulative = input.u48()
  state.cursor = input.u48()
  state.cursorCumulative = input.u48()
  state.sent = input.u48()
  state.received = format === 1 ? 0 : input.u48()
  state.exceptionsFloor = input.u48()
  state.pending = input.u48()
  state.pendingBytes = input.u48()
  const nextExpiry = input.u48()
  state.nextExpiry = nextExpiry === 0 ? Infinity : nextExpiry
  state.dedupAt = input.u48()
  state.materialized = input.u48()
  state.copied = state.materialized
  state.diskFloor = input.u48()
  const subscription = input.text()
  state.subscription = subscription === '' ? null : subscription
  state.epochGeneration = input.text()
  const epochs: EpochStart[] = []
  for (let n = input.u16(); n > 0; n--) epochs.push({ epoch: input.text(), firstSeq: input.u48() })
  state.epochs = epochs
  const exceptions: ExceptionRange[] = []
  for (let n = input.u32(); n > 0; n--) {
    const from = input.u48()
    const to = input.u48()
    const reason = EXCEPTION_REASONS[input.u8()]
    if (reason === undefined) throw new RangeError(`the record of device ${device} has an unknown exception reason`)
    exceptions.push({
      from,
      to,
      reason,
      at: input.u48(),
      bytes: input.u48(),
      cumulative: input.u48(),
      onWire: false,
    })
  }
  if (exceptions.length > 0) state.exceptions = exceptions
  if (format >= 3) {
    state.receiptUpTo = input.u48()
    state.toldOfflineAt = input.u48()
  }
  state.tailBase = state.head + 1
  return state
}
