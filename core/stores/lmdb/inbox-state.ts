// One device's record and the part of its log that is in memory: plain data and the transitions on it. No I/O: what lies on
// disk is asked of a `LogReader`. The same transitions run when a change is made and when the journal is replayed.
//
//   seqs:   1 … cursor | cursor+1 … materialized | materialized+1 … head
//             handled        on disk                  in `tail`

import type { ExceptionReason } from '../../../protocol/codes.js'
import { ackedSeq, epochAt, type EpochStart, startEpoch } from '../../model/epochs.js'
import {
  addException,
  changeBetween,
  exceptedBetween,
  exceptionAt,
  type ExceptionRange,
  overExceptions,
  pruneExceptions,
} from '../../model/exceptions.js'
import type { Position } from '../../model/message.js'
import type { Claim } from '../../ports/mailbox.js'
import type { LogEntry } from './message-codec.js'

/** A dedup id's answer. */
export interface DedupEntry {
  readonly seq: number
  readonly epoch: string
  readonly at: number
  readonly expiresAt: number | null
  /** `dedupIdHash` of the id: its key on disk. */
  readonly idHash: Buffer
  readonly bodyHash: Uint8Array
}

/** The fixed-width head of a stored message. */
export interface EntryHeader {
  readonly at: number
  readonly expiresAt: number
  readonly cumulative: number
  readonly size: number
  readonly receipt: boolean
}

/** The messages of a log that are on disk. */
export interface LogReader {
  header(device: InboxState, seq: number): EntryHeader | null
  entry(device: InboxState, seq: number): LogEntry | null
}

const NO_RANGES: readonly ExceptionRange[] = []
const NO_TAIL: LogEntry[] = []

export class InboxState {
  readonly device: string
  /** Names the device's messages and dedup ids on disk; never used again after a purge. */
  readonly number: number

  createdAt: number
  lastSeenAt: number | null = null
  /** Last push, token or connection: for the removal of idle records. */
  usedAt: number
  epochs: readonly EpochStart[]
  epochGeneration: string
  head = 0
  headCumulative = 0
  cursor = 0
  cursorCumulative = 0
  /** Highest seq known to have been put on the wire. */
  sent = 0
  /** Highest seq known to have been received by the device. */
  received = 0
  exceptions: readonly ExceptionRange[] = NO_RANGES
  /** Exceptions up to here are forgotten. */
  exceptionsFloor = 0
  pending = 0
  pendingBytes = 0
  subscription: string | null = null
  /** No pending message expires before this; Infinity when none does. */
  nextExpiry = Infinity
  /** The youngest dedup id of this device on disk is from then; 0: there is none. */
  dedupAt = 0
  /** No message with a receipt stands behind it. */
  receiptUpTo = 0
  /** When it was told that the device is offline and messages wait; 0: not since its last claim. */
  toldOfflineAt = 0
  /** Seqs up to here are on disk, as far as they are pending. */
  materialized = 0
  /** Seqs up to here have been deleted from disk. */
  diskFloor = 0

  // ---- in memory only
  /** Seqs up to here are on disk, or in the commit under way. */
  copied = 0
  claim: Claim | null = null
  connectedAt: number | null = null
  /** From `tail[tailStart]` on the entries of `tailBase`, `tailBase + 1`, …, head; handled ones leave at the front. */
  tail: LogEntry[] = NO_TAIL
  tailStart = 0
  tailBase = 1
  /** Dedup ids not on disk yet, and those that the commit under way writes. */
  recent: Map<string, DedupEntry> | null = null
  recentInCommit: Map<string, DedupEntry> | null = null
  /** The last group with a change of this device; what a read saw is durable when that group is. */
  lastGroup = 0
  /** The first group with a change that is not in the record on disk; 0: none. */
  dirtyGroup = 0
  dirtySince = 0
  /** All changes up to this group are in the record on disk. */
  recordGroup = 0
  /** When the retention was last looked at. */
  agedAt = 0
  purged = false

  constructor(device: string, number: number, createdAt: number, epoch: string, generation: string) {
    this.device = device
    this.number = number
    this.createdAt = createdAt
    this.usedAt = createdAt
    this.epochs = [{ epoch, firstSeq: 1 }]
    this.epochGeneration = generation
  }

  // ---- reading

  get lastEpoch(): string {
    return this.epochs[this.epochs.length - 1]?.epoch ?? ''
  }

  get cursorPosition(): Position {
    return { epoch: epochAt(this.epochs, this.cursor), seq: this.cursor }
  }

  tailEntry(seq: number): LogEntry | undefined {
    return seq < this.tailBase ? undefined : this.tail[this.tailStart + seq - this.tailBase]
  }

  /** The stored message at `seq`, also when it is an exception; null when it is not kept any more. */
  entry(seq: number, disk: LogReader): LogEntry | null {
    const inTail = this.tailEntry(seq)
    if (inTail !== undefined) return inTail
    return seq > this.diskFloor && seq <= this.materialized ? disk.entry(this, seq) : null
  }

  header(seq: number, disk: LogReader): EntryHeader | null {
    const inTail = this.tailEntry(seq)
    if (inTail !== undefined) {
      const { at, expiresAt } = inTail.message
      const { cumulative, size } = inTail
      return { at, expiresAt: expiresAt ?? 0, cumulative, size, receipt: inTail.message.receipt === true }
    }
    return seq > this.diskFloor && seq <= this.materialized ? disk.header(this, seq) : null
  }

  /** The exception that holds `seq`. */
  exceptionAt(seq: number): ExceptionRange | undefined {
    return this.exceptions.length === 0 ? undefined : exceptionAt(this.exceptions, seq)
  }

  // ---- transitions

  /** Begins an epoch with the next append. */
  beginEpoch(epoch: string, generation: string): void {
    this.epochs = startEpoch(this.epochs, epoch, this.head, this.cursor)
    this.epochGeneration = generation
  }

  append(entry: LogEntry): void {
    if (this.tail === NO_TAIL) this.tail = []
    if (this.tail.length === 0) this.tailBase = entry.message.seq
    this.tail.push(entry)
    this.head = entry.message.seq
    this.headCumulative = entry.cumulative
    this.pending++
    this.pendingBytes += entry.size
    const { expiresAt, receipt } = entry.message
    if (expiresAt !== null && expiresAt < this.nextExpiry) this.nextExpiry = expiresAt
    if (receipt === true) this.receiptUpTo = this.head
  }

  /** Up to which seq an ack counts; null: its epoch is unknown. */
  resolveAck(position: Position): number | null {
    return ackedSeq(this.epochs, this.head, position)
  }

  /** What an ack up to `seq` takes back of the exceptions, because it was on the wire. */
  takenBack(seq: number): ReadonlyArray<{ readonly from: number; readonly to: number }> {
    if (this.exceptions.length === 0) return NO_RANGES
    const found = this.exceptions.filter((range) => range.onWire && range.from <= seq)
    return found.length === 0 ? NO_RANGES : found.map(({ from, to }) => ({ from, to: Math.min(to, seq) }))
  }

  /** To be called when the cursor has passed the exception: its messages are handled then, and no longer weigh. */
  takeBack(taken: { readonly from: number; readonly to: number }): void {
    this.exceptions = changeBetween(this.exceptions, taken.from, taken.to, () => null)
  }

  /** Moves the cursor to `seq`, and over the exceptions there; never back. */
  moveCursor(seq: number, disk: LogReader): void {
    if (seq <= this.cursor) return
    const to = overExceptions(this.exceptions, seq)
    this.passTo(to, this.#cumulativeAt(to, disk))
  }

  /** The same with all that the journal noted of it: nothing is read, the messages may be deleted by now. */
  passTo(to: number, cumulative: number): void {
    if (to <= this.cursor) return
    const excepted = exceptedBetween(this.exceptions, this.cursor, to)
    this.pending -= to - this.cursor - excepted.count
    this.pendingBytes -= cumulative - this.cursorCumulative - excepted.bytes
    this.#setCursor(to, cumulative)
  }

  #setCursor(to: number, cumulative: number): void {
    this.cursor = to
    this.cursorCumulative = cumulative
    this.#dropTail(to)
    if (this.pending === 0) this.nextExpiry = Infinity
  }

  #cumulativeAt(seq: number, disk: LogReader): number {
    if (seq === this.head) return this.headCumulative
    const range = this.exceptionAt(seq)
    if (range !== undefined && range.to === seq) return range.cumulative
    const header = this.header(seq, disk)
    if (header === null) throw new RangeError(`message ${seq} of a log is missing on disk`)
    return header.cumulative
  }

  /**
   * Makes the message at `seq`, which must be pending, an exception. `size` and `cumulative` are its own (journaled with the
   * change, because the message may be deleted when the journal is replayed).
   */
  except(seq: number, reason: ExceptionReason, at: number, onWire: boolean, size: number, cumulative: number): void {
    this.exceptions = addException(this.exceptions, { from: seq, to: seq, reason, at, bytes: size, cumulative, onWire })
    this.pending--
    this.pendingBytes -= size
    if (seq !== this.cursor + 1) return
    const to = overExceptions(this.exceptions, this.cursor)
    this.#setCursor(to, this.exceptionAt(to)?.cumulative ?? cumulative)
  }

  /** Late acks of an earlier claim no longer take exceptions back. */
  forgetWire(): void {
    if (this.exceptions.some((range) => range.onWire)) {
      this.exceptions = this.exceptions.map((range) => (range.onWire ? { ...range, onWire: false } : range))
    }
  }

  /** A read for delivery left out the exceptions in (after, upTo]: they are not on this claim's wire. */
  leftOut(after: number, upTo: number): void {
    if (!this.exceptions.some((range) => range.onWire && range.to > after && range.from <= upTo)) return
    this.exceptions = changeBetween(this.exceptions, after + 1, upTo, (range) => ({ ...range, onWire: false }))
  }

  /** What may be on the wire of the present claim. */
  get onWire(): readonly ExceptionRange[] {
    return this.exceptions.filter((range) => range.onWire)
  }

  /** The same after memory was made anew from the disk. */
  restoreWire(ranges: readonly ExceptionRange[]): void {
    for (const { from, to } of ranges) {
      this.exceptions = changeBetween(this.exceptions, from, to, (range) => ({ ...range, onWire: true }))
    }
  }

  prune(decidedBefore: number): void {
    const { ranges, floor } = pruneExceptions(this.exceptions, this.cursor, decidedBefore)
    this.exceptions = ranges
    if (floor > this.exceptionsFloor) this.exceptionsFloor = floor
  }

  /** The tail up to `seq` is on disk now. */
  tailOnDisk(seq: number): void {
    this.materialized = Math.max(this.materialized, seq)
    this.#dropTail(seq)
  }

  #dropTail(upTo: number): void {
    if (this.tail.length === 0 || upTo < this.tailBase) return
    const start = this.tailStart + upTo - this.tailBase + 1
    if (start >= this.tail.length) {
      this.tail = NO_TAIL
      this.tailStart = 0
      this.tailBase = this.head + 1
      return
    }
    this.tailStart = start
    this.tailBase = upTo + 1
    // Compacting only when half is gone keeps the cost of a drop constant on average.
    if (this.tailStart * 2 > this.tail.length) {
      this.tail = this.tail.slice(this.tailStart)
      this.tailStart = 0
    }
  }
}
