// All that is kept of a device, in the form in which it goes from one kind of store to another.

import type { EpochStart } from '../model/epochs.js'
import { exceptionAt, type ExceptionRange } from '../model/exceptions.js'
import { messageSize, type StoredMessage } from '../model/message.js'

/** A place behind the cursor. */
export interface CopiedEntry {
  readonly seq: number
  readonly at: number
  /** 0: never. */
  readonly expiresAt: number
  readonly size: number
  /** Null: it became an exception, and does not wait. */
  readonly message: StoredMessage | null
}

/** A dedup id's answer. */
export interface CopiedDedup {
  /** `dedupIdHash`. */
  readonly idHash: Buffer
  readonly bodyHash: Buffer
  readonly seq: number
  readonly at: number
  readonly epoch: string
}

export interface DeviceRecord {
  readonly device: string
  readonly createdAt: number
  readonly usedAt: number
  readonly lastSeenAt: number | null
  readonly subscription: string | null
  readonly epochs: readonly EpochStart[]
  readonly head: number
  readonly headCumulative: number
  readonly cursor: number
  readonly cursorCumulative: number
  /** What may have been on the wire counts as sent. */
  readonly sent: number
  readonly received: number
  /** Exceptions up to here are forgotten. */
  readonly floor: number
  readonly pending: number
  readonly pendingBytes: number
  readonly toldOfflineAt: number
  /** None on the wire. */
  readonly exceptions: readonly ExceptionRange[]
}

export interface DeviceCopy extends DeviceRecord {
  /** cursor + 1 … head, without a hole. */
  readonly entries: readonly CopiedEntry[]
  readonly dedups: readonly CopiedDedup[]
}

/** The next append begins an epoch: this is no generation of any store. A position from before stays valid. */
export const MIGRATED_GENERATION = 'migrated'

/**
 * The places behind the cursor. Of what became an exception the weight stands at the last place of its range, so that the sums up
 * to each range's end, and up to each waiting message, are right. Throws RangeError when a waiting message is missing.
 */
export function layEntries(
  { device, cursor, head, exceptions }: Pick<DeviceRecord, 'device' | 'cursor' | 'head' | 'exceptions'>,
  messageAt: (seq: number) => StoredMessage | null,
): readonly CopiedEntry[] {
  const entries: CopiedEntry[] = []
  let before = 0
  for (let seq = cursor + 1; seq <= head; seq++) {
    const range = exceptionAt(exceptions, seq)
    if (range !== undefined) {
      const at = before === 0 ? range.at : before
      entries.push({ seq, at, expiresAt: 0, size: seq === range.to ? range.bytes : 0, message: null })
      continue
    }
    const message = messageAt(seq)
    if (message === null) throw new RangeError(`message ${seq} of device ${device} is missing in the store`)
    before = message.at
    entries.push({ seq, at: message.at, expiresAt: message.expiresAt ?? 0, size: messageSize(message), message })
  }
  return entries
}

/** When the first of what waits expires; 0: nothing does. */
export function nextExpiryOf(entries: readonly CopiedEntry[]): number {
  let next = 0
  for (const { expiresAt } of entries) if (expiresAt !== 0 && (next === 0 || expiresAt < next)) next = expiresAt
  return next
}

export const receiptsOf = (entries: readonly CopiedEntry[]): readonly number[] =>
  entries.flatMap(({ seq, message }) => (message?.receipt === true ? [seq] : []))
