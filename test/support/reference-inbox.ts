// One device of the reference mailbox: the contract in its most literal form. Everything is kept for ever, per seq, and every
// question is answered by counting. Written without core/model, so that a mistake there is not repeated here.

import { createHash } from 'node:crypto'
import type { ExceptionReason } from '../../protocol/codes.js'
import type { NewMessage, Position, StoredMessage } from '../../core/model/message.js'
import type { Claim, LogGap, MailboxLimits, ResumeResult } from '../../core/ports/mailbox.js'

export interface Row {
  readonly message: StoredMessage
  readonly epoch: string
  readonly size: number
  exception: { readonly reason: ExceptionReason; readonly at: number; onWire: boolean } | null
}

export interface DedupRow {
  readonly seq: number
  readonly body: string
  readonly at: number
}

const RANGES_KEPT = 1000
const EPOCHS_KEPT = 16

export const sizeOf = (m: NewMessage): number =>
  64 +
  m.payload.byteLength +
  m.contentType.length +
  (m.dedupId ?? '').length +
  (m.attributes ?? []).reduce((sum, [key, value]) => sum + key.length + value.length, 0)

export const bodyOf = (m: NewMessage): string =>
  JSON.stringify([createHash('sha256').update(m.payload).digest('hex'), m.contentType, m.attributes, m.ttl, m.priority])

export class ReferenceInbox {
  readonly rows: Row[] = [] // rows[seq - 1]
  readonly dedup = new Map<string, DedupRow>()
  readonly createdAt: number
  epochs: Array<{ readonly epoch: string; readonly first: number }>
  generation: string
  cursor = 0
  sent = 0
  received = 0
  /** Seqs up to here have lost their exceptions. */
  floor = 0
  claim: Claim | null = null
  connectedAt: number | null = null
  lastSeenAt: number | null = null
  usedAt: number
  subscription: string | null = null

  constructor(now: number, epoch: string, generation: string) {
    this.createdAt = now
    this.usedAt = now
    this.epochs = [{ epoch, first: 1 }]
    this.generation = generation
  }

  get head(): number {
    return this.rows.length
  }

  get lastEpoch(): string {
    return this.epochs.at(-1)?.epoch ?? ''
  }

  row(seq: number): Row | undefined {
    return seq < 1 ? undefined : this.rows[seq - 1]
  }

  pendingRows(): Row[] {
    return this.rows.filter((row) => row.message.seq > this.cursor && row.exception === null)
  }

  /** Last seq of the stretch of an epoch, or null when the list does not have it. */
  endOf(epoch: string): number | null {
    const index = this.epochs.findIndex((e) => e.epoch === epoch)
    if (index === -1) return null
    const next = this.epochs[index + 1]
    return next === undefined ? this.head : next.first - 1
  }

  /** Up to where a position counts, or null: unknown. */
  counts(position: Position): number | null {
    const end = this.endOf(position.epoch)
    return end === null ? null : Math.min(position.seq, end)
  }

  epochOf(seq: number): string {
    const started = this.epochs.filter((e) => e.first <= seq)
    return (started.at(-1) ?? this.epochs[0])?.epoch ?? ''
  }

  cursorPosition(): Position {
    return { epoch: this.epochOf(this.cursor), seq: this.cursor }
  }

  /** What time alone does. */
  age(now: number, limits: MailboxLimits): void {
    for (const row of this.pendingRows()) {
      const { at, expiresAt, seq } = row.message
      if (now - at >= limits.retentionSeconds * 1000) this.except(seq, 'retention', now)
      else if (expiresAt !== null && now >= expiresAt) this.except(seq, 'expired', now)
    }
  }

  except(seq: number, reason: ExceptionReason, now: number): void {
    const row = this.row(seq)
    if (row === undefined) throw new Error(`no row ${seq}`)
    row.exception = { reason, at: now, onWire: this.claim !== null || seq <= this.sent }
    this.overExceptions()
  }

  overExceptions(): void {
    while (this.row(this.cursor + 1)?.exception) this.cursor++
    this.#forgetExceptions()
  }

  /** Only the newest 1,000 ranges are kept, of those that the cursor has passed. */
  #forgetExceptions(): void {
    const starts: number[] = []
    for (const [i, row] of this.rows.entries()) {
      if (row.exception !== null && i >= this.floor && row.exception.reason !== this.rows[i - 1]?.exception?.reason) {
        starts.push(i + 1)
      }
    }
    for (const [i, start] of starts.entries()) {
      if (starts.length - i <= RANGES_KEPT) break
      let end = start
      const reason = this.row(start)?.exception?.reason
      while (this.row(end + 1)?.exception?.reason === reason) end++
      if (end > this.cursor) break
      this.floor = end
    }
  }

  ack(position: Position, sent: Position | undefined, received: Position | undefined): boolean {
    const seq = this.counts(position)
    const mark = (watermark: Position | undefined): number =>
      watermark === undefined ? 0 : (this.counts(watermark) ?? 0)
    this.received = Math.max(this.received, mark(received), seq ?? 0)
    this.sent = Math.max(this.sent, mark(sent), mark(received), seq ?? 0)
    if (seq === null) return false
    for (const row of this.rows.slice(0, Math.max(0, seq))) {
      if (row.exception?.onWire === true) row.exception = null
    }
    this.cursor = Math.max(this.cursor, seq)
    this.overExceptions()
    return true
  }

  /** Takes the position as an ack; what it is. */
  resume(position: Position | null): Extract<ResumeResult, { kind: 'resumed' }>['found'] {
    if (position === null) return 'none'
    const end = this.endOf(position.epoch)
    this.ack(position, undefined, undefined)
    if (end === null) return 'unknown'
    return position.seq > end ? 'past' : 'valid'
  }

  /** What a stream device is told of the seqs from after `from` to the cursor. None of them is on the wire. */
  tellGaps(from: number): LogGap[] {
    const gaps: LogGap[] = []
    for (const row of this.rows.slice(0, this.cursor)) {
      if (row.exception !== null) row.exception.onWire = false
      const { seq } = row.message
      const reason = this.#gapReason(row)
      if (seq <= from || reason === null) continue
      const before = gaps.at(-1)
      if (before?.to === seq - 1 && before.reason === reason) gaps[gaps.length - 1] = { ...before, to: seq }
      else gaps.push({ from: seq, to: seq, reason })
    }
    return gaps
  }

  #gapReason({ message, exception }: Row): LogGap['reason'] | null {
    if (message.seq <= this.floor) return 'retention'
    if (exception === null) return 'handled-elsewhere'
    return exception.reason === 'overflow' || exception.reason === 'retention' ? exception.reason : null
  }

  /** A new epoch for a new generation; the list forgets what nothing after the cursor needs. */
  enterGeneration(generation: string, epoch: string): void {
    if (this.generation === generation) return
    this.generation = generation
    this.epochs.push({ epoch, first: this.head + 1 })
    while (this.epochs.length > EPOCHS_KEPT && (this.epochs[1]?.first ?? Infinity) - 1 <= this.cursor)
      this.epochs.shift()
  }
}
