// One device's record and log as plain data, and the transitions on it. No I/O: a state is made from the device document, changed,
// and what differs is written back in one update that only counts if nobody else changed the document (device-document.ts).
//
//   seqs:   1 … cursor | cursor+1 …       … head
//             handled     in `chunks`, the rest in the `tail`

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
import { OutcomeCounters } from '../../model/outcome-counters.js'
import type { NewMessage, Position } from '../../model/message.js'
import type { Claim } from '../../ports/mailbox.js'
import { type EntryHead, unpackHeads } from './entry-heads.js'
import { newDevice } from './new-device.js'
import { DeviceNotes, type KeptNotes } from './device-notes.js'

/** A dedup id's answer. */
export interface DedupEntry {
  /** `dedupIdHash`. */
  readonly idHash: Buffer
  readonly bodyHash: Buffer
  readonly seq: number
  readonly at: number
  readonly epoch: string
}

/** Messages that are in a document of their own, which never changes. */
export interface Chunk {
  /** Of the document. */
  readonly id: string
  readonly from: number
  readonly count: number
  /** The log's cumulative weight up to the last one. */
  readonly cumulative: number
  /** `packHeads`. */
  readonly heads: Uint8Array
}

export const lastOf = (chunk: Chunk): number => chunk.from + chunk.count - 1

/** Everything of a record but its lists. */
export interface RecordFields {
  createdAt: number
  /** Last push, token or connection. */
  usedAt: number
  lastSeenAt: number | null
  connectedAt: number | null
  claim: Claim | null
  subscription: string | null
  epochs: readonly EpochStart[]
  /** Of the store, when the last epoch began. */
  generation: string
  head: number
  headCumulative: number
  cursor: number
  cursorCumulative: number
  /** Highest seq known to have been put on the wire, and to have been received. */
  sent: number
  received: number
  /** Up to here a node that died may have put messages on the wire without a word. */
  maybeSent: number
  /** Exceptions up to here are forgotten. */
  floor: number
  pending: number
  pendingBytes: number
  /** No message that waits expires before; 0: none does. */
  nextExpiry: number
  /** Until then dedup ids in documents of their own count; 0: there are none. */
  spilledUntil: number
  /** Of a newer version. */
  readonly unknown: ReadonlyArray<readonly [name: string, value: unknown]>
}

export interface DeviceParts {
  readonly fields: RecordFields
  readonly exceptions: readonly ExceptionRange[]
  readonly chunks: readonly Chunk[]
  /** Heads of the last messages, up to `fields.head`. */
  readonly tail: readonly EntryHead[]
  /** Oldest first. */
  readonly dedups: readonly DedupEntry[]
  readonly notes: KeptNotes
}

export class DeviceState {
  readonly device: string
  /** Names this life of the device: after a purge the id may begin another one. */
  readonly life: string
  /** Of the document that this was made from; 0: there is none yet. */
  readonly version: number
  readonly fields: RecordFields
  exceptions: readonly ExceptionRange[]
  chunks: readonly Chunk[]
  tail: EntryHead[]
  dedups: DedupEntry[]
  /** Messages appended since the document was read, in order. The others of the tail are in the document. */
  added: NewMessage[] = []
  /** Something differs from the document. */
  changed = false
  /** How messages left since the document was read; null: none did. */
  outcomes: OutcomeCounters | null = null
  /** What is to be told of it. */
  readonly notes: DeviceNotes
  readonly #unpacked = new Map<string, readonly EntryHead[]>()

  constructor(device: string, life: string, version: number, parts: DeviceParts) {
    this.device = device
    this.life = life
    this.version = version
    this.fields = { ...parts.fields }
    this.exceptions = parts.exceptions
    this.chunks = parts.chunks
    this.tail = [...parts.tail]
    this.dedups = [...parts.dedups]
    this.notes = new DeviceNotes(device, parts.notes)
  }

  static create(device: string, life: string, now: number, epoch: string, generation: string): DeviceState {
    const state = new DeviceState(device, life, 0, newDevice(now, epoch, generation))
    state.changed = true
    return state
  }

  // ---- reading

  get lastEpoch(): string {
    return this.fields.epochs.at(-1)?.epoch ?? ''
  }

  get cursorPosition(): Position {
    return { epoch: epochAt(this.fields.epochs, this.fields.cursor), seq: this.fields.cursor }
  }

  /** The seq of the tail's first message. */
  get tailFrom(): number {
    return this.fields.head - this.tail.length + 1
  }

  owns(claimId: string): boolean {
    return this.fields.claim !== null && this.fields.claim.claimId === claimId
  }

  exceptionAt(seq: number): ExceptionRange | undefined {
    return this.exceptions.length === 0 ? undefined : exceptionAt(this.exceptions, seq)
  }

  /** Whether `seq` of `epoch` (null: of any) is a place in this log. */
  isPlace(seq: number, epoch: string | null): boolean {
    const { epochs, head } = this.fields
    if (seq < 1 || seq > head) return false
    if (epoch === null) return seq >= (epochs[0]?.firstSeq ?? 1)
    const index = epochs.findIndex((each) => each.epoch === epoch)
    const start = epochs[index]
    return start !== undefined && seq >= start.firstSeq && seq < (epochs[index + 1]?.firstSeq ?? Infinity)
  }

  /** Of a message that the cursor has not passed, whether it waits or is an exception; null: it is not kept. */
  headOf(seq: number): EntryHead | null {
    const { tailFrom } = this
    if (seq >= tailFrom) return this.tail[seq - tailFrom] ?? null
    const chunk = this.chunkOf(seq)
    return chunk === null ? null : (this.headsOf(chunk)[seq - chunk.from] ?? null)
  }

  chunkOf(seq: number): Chunk | null {
    return this.chunks.find((chunk) => seq >= chunk.from && seq <= lastOf(chunk)) ?? null
  }

  headsOf(chunk: Chunk): readonly EntryHead[] {
    let heads = this.#unpacked.get(chunk.id)
    if (heads === undefined) this.#unpacked.set(chunk.id, (heads = unpackHeads(chunk.heads)))
    return heads
  }

  #cumulativeAt(seq: number): number {
    const { head, headCumulative, cursor, cursorCumulative } = this.fields
    if (seq === head) return headCumulative
    if (seq === cursor) return cursorCumulative
    const range = this.exceptionAt(seq)
    if (range !== undefined && range.to === seq) return range.cumulative
    const { tailFrom } = this
    if (seq >= tailFrom) return headCumulative - weightOf(this.tail.slice(seq - tailFrom + 1))
    const chunk = this.chunkOf(seq)
    // What is not kept any more weighs nothing: the whole weight up to the tail.
    if (chunk === null) return headCumulative - weightOf(this.tail)
    return chunk.cumulative - weightOf(this.headsOf(chunk).slice(seq - chunk.from + 1))
  }

  // ---- transitions

  /** Begins an epoch with the next append. */
  beginEpoch(epoch: string, generation: string): void {
    const { fields } = this
    fields.epochs = startEpoch(fields.epochs, epoch, fields.head, fields.cursor)
    fields.generation = generation
    this.changed = true
  }

  append(message: NewMessage, head: EntryHead): void {
    const { fields } = this
    this.added.push(message)
    this.tail.push(head)
    fields.head++
    fields.headCumulative += head.size
    fields.pending++
    fields.pendingBytes += head.size
    if (head.expiresAt !== 0 && (fields.nextExpiry === 0 || head.expiresAt < fields.nextExpiry)) {
      fields.nextExpiry = head.expiresAt
    }
    if (message.receipt === true) this.notes.receipts.push(fields.head)
    this.changed = true
    this.#tellOffline(head.at)
  }

  /** Up to which seq an ack counts; null: its epoch is unknown. */
  resolveAck(position: Position): number | null {
    return ackedSeq(this.fields.epochs, this.fields.head, position)
  }

  /** Merges an ack and watermarks; false when the ack's epoch is unknown. */
  ack(position: Position, marks: { readonly sent?: Position; readonly received?: Position }, now: number): boolean {
    const { fields } = this
    const acked = this.resolveAck(position)
    const seq = acked ?? 0
    const mark = (at: Position | undefined): number => (at === undefined ? 0 : (this.resolveAck(at) ?? 0))
    const received = Math.max(mark(marks.received), seq)
    const sent = Math.max(mark(marks.sent), received)
    if (seq > fields.cursor || sent > fields.sent || received > fields.received) this.changed = true
    if (seq > fields.cursor) this.#passTo(overExceptions(this.exceptions, seq), now)
    fields.sent = Math.max(fields.sent, sent)
    fields.received = Math.max(fields.received, received)
    // What was on the wire and is acknowledged is handled after all. Behind the move: its messages no longer weigh.
    this.#changeWire(1, seq, ({ from, to, reason }) => {
      const outcomes = this.#counted()
      outcomes.takenBack[reason] += to - from + 1
      outcomes.handled += to - from + 1
      return null
    })
    return acked !== null
  }

  #passTo(to: number, now: number): void {
    const { fields } = this
    for (const seq of this.notes.passed(to)) {
      if (this.exceptionAt(seq) === undefined) this.notes.tellHandled(fields.epochs, seq, now)
    }
    const cumulative = this.#cumulativeAt(to)
    const excepted = exceptedBetween(this.exceptions, fields.cursor, to)
    const handled = to - fields.cursor - excepted.count
    fields.pending -= handled
    this.#counted().handled += handled
    fields.pendingBytes -= cumulative - fields.cursorCumulative - excepted.bytes
    this.#setCursor(to, cumulative)
  }

  #setCursor(to: number, cumulative: number): void {
    const { fields } = this
    const { tailFrom } = this
    fields.cursor = to
    fields.cursorCumulative = cumulative
    if (to >= tailFrom) {
      const gone = to - tailFrom + 1
      // Of the messages that are in no document yet those leave that the tail loses.
      const kept = this.tail.length - gone
      if (this.added.length > kept) this.added = kept === 0 ? [] : this.added.slice(-kept)
      this.tail = this.tail.slice(gone)
    }
    if (this.chunks.some((chunk) => lastOf(chunk) <= to)) this.chunks = this.chunks.filter((c) => lastOf(c) > to)
    if (fields.pending === 0) fields.nextExpiry = 0
    this.changed = true
  }

  /** Makes the message at `seq` an exception; false when it does not wait. */
  except(seq: number, reason: ExceptionReason, now: number): boolean {
    const { fields } = this
    if (seq <= fields.cursor || seq > fields.head || this.exceptionAt(seq) !== undefined) return false
    const bytes = this.headOf(seq)?.size ?? 0
    const cumulative = this.#cumulativeAt(seq)
    const onWire = fields.claim !== null || seq <= fields.sent
    this.exceptions = addException(this.exceptions, { from: seq, to: seq, reason, at: now, bytes, cumulative, onWire })
    fields.pending--
    fields.pendingBytes -= bytes
    this.#counted().undelivered[reason]++
    this.notes.tellException(fields.epochs, seq, reason, now)
    this.changed = true
    if (seq !== fields.cursor + 1) return true
    const to = overExceptions(this.exceptions, fields.cursor)
    this.#setCursor(to, this.exceptionAt(to)?.cumulative ?? cumulative)
    return true
  }

  /** Makes `claim` the owner at `now`. Late acks of an earlier claim no longer take exceptions back. */
  take(claim: Claim, now: number): void {
    const { fields } = this
    // A node gives its claims back, or flushes before another connection of its own takes the device. This one did neither.
    if (fields.claim !== null && fields.claim.node !== claim.node) fields.maybeSent = fields.head
    fields.claim = claim
    fields.connectedAt = now
    fields.lastSeenAt = now
    fields.usedAt = now
    this.notes.offlineAt = 0
    this.#changeWire(1, Infinity, (range) => ({ ...range, onWire: false }))
    this.changed = true
  }

  /** Its node is dead: what that had put on the wire, nobody knows. */
  endClaim(now: number): void {
    this.fields.maybeSent = this.fields.head
    this.release(now)
  }

  release(now: number): void {
    const { fields } = this
    fields.claim = null
    fields.connectedAt = null
    fields.lastSeenAt = now
    fields.usedAt = now
    this.changed = true
    this.#tellOffline(now)
  }

  #tellOffline(now: number): void {
    const { claim, epochs, cursor, pending } = this.fields
    if (claim === null && pending > 0) this.notes.tellOffline(epochs, cursor + 1, pending, now)
  }

  keepSubscription(filter: string | null): void {
    this.fields.subscription = filter
    this.changed = true
  }

  /** Notes that the device is used; at most once a minute, for it is no more exact than that. */
  use(now: number): void {
    if (now - this.fields.usedAt <= 60_000) return
    this.fields.usedAt = now
    this.changed = true
  }

  /** Whether exceptions in (after, upTo] may be on the wire of the present claim. */
  hasOnWire(after: number, upTo: number): boolean {
    return this.exceptions.some((range) => range.onWire && range.to > after && range.from <= upTo)
  }

  /** A read for delivery left out the exceptions in (after, upTo]: they are not on this claim's wire. */
  leftOut(after: number, upTo: number): void {
    this.#changeWire(after + 1, upTo, (range) => ({ ...range, onWire: false }))
  }

  #changeWire(from: number, to: number, change: (range: ExceptionRange) => ExceptionRange | null): void {
    if (to < from || !this.hasOnWire(from - 1, to)) return
    this.exceptions = changeBetween(this.exceptions, from, to, (range) => (range.onWire ? change(range) : range))
    this.changed = true
  }

  #counted(): OutcomeCounters {
    return (this.outcomes ??= new OutcomeCounters())
  }

  prune(decidedBefore: number): void {
    if (this.exceptions.length === 0) return
    const { ranges, floor } = pruneExceptions(this.exceptions, this.fields.cursor, decidedBefore)
    if (ranges === this.exceptions) return
    this.exceptions = ranges
    this.fields.floor = Math.max(this.fields.floor, floor)
    this.changed = true
  }
}

export function weightOf(heads: readonly EntryHead[]): number {
  let weight = 0
  for (const { size } of heads) weight += size
  return weight
}
