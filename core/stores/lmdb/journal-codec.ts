// What a group commit writes: the changes of its devices in order, in one or more parts.
//
//   part:   u8 format, change…
//   change: u8 kind, text device, u48 device number, then by kind
//     append        u48 seq, 16 bytes body hash (zeros without a dedup id), u32 length, message
//     epoch         text epoch, text generation          (begins with the device's next append)
//     ack           u48 cursor, u48 cumulative weight there, u48 sent, u48 received (since format 2): what became of the record
//     take back     u48 from, u48 to
//     exception     u48 seq, u8 reason, u48 at, u32 size, u48 cumulative
//     subscription  text filter (empty: none)
//     told offline  u48 at (0: not any more)             (since format 3)

import { EXCEPTION_REASONS, type ExceptionReason } from '../../../protocol/codes.js'
import { ByteReader, ByteWriter } from './bytes.js'
import type { InboxState } from './inbox-state.js'
import { type LogEntry, readEntry, writeEntry } from './message-codec.js'

const FORMAT = 3
const KIND = { append: 1, epoch: 2, ack: 3, takeBack: 4, exception: 5, subscription: 6, toldOffline: 7 } as const
/** A part is closed when it is larger; a change is never split. Bytes. */
export const PART_SIZE = 1 << 20
/** Where space is short: such parts need no run of free pages. */
export const PART_SIZE_SHORT = 1_500
const HASH_SIZE = 16
const NO_HASH = new Uint8Array(HASH_SIZE)

export interface ExceptionChange {
  readonly seq: number
  readonly reason: ExceptionReason
  readonly at: number
  readonly size: number
  readonly cumulative: number
}

export type Change = { readonly device: string; readonly number: number } & (
  | { readonly kind: 'append'; readonly entry: LogEntry; readonly bodyHash: Uint8Array }
  | { readonly kind: 'epoch'; readonly epoch: string; readonly generation: string }
  | {
      readonly kind: 'ack'
      readonly cursor: number
      readonly cumulative: number
      readonly sent: number
      readonly received: number
    }
  | { readonly kind: 'takeBack'; readonly from: number; readonly to: number }
  | ({ readonly kind: 'exception' } & ExceptionChange)
  | { readonly kind: 'subscription'; readonly filter: string | null }
  | { readonly kind: 'toldOffline'; readonly at: number }
)

/** Collects the changes of one group. */
export class JournalWriter {
  readonly #out = new ByteWriter(16_384)
  readonly #parts: Buffer[] = []
  readonly #partSize: number
  #changes = 0

  constructor(partSize: number) {
    this.#partSize = partSize
  }

  get changes(): number {
    return this.#changes
  }

  /** Of all parts so far. */
  get bytes(): number {
    return this.#parts.reduce((sum, { length }) => sum + length, this.#out.length)
  }

  get partCount(): number {
    return this.#parts.length + (this.#out.length > 0 ? 1 : 0)
  }

  #begin(kind: number, state: InboxState): ByteWriter {
    if (this.#out.length > this.#partSize) this.#parts.push(this.#out.take())
    if (this.#out.length === 0) this.#out.u8(FORMAT)
    this.#changes++
    this.#out.u8(kind)
    this.#out.text(state.device)
    this.#out.u48(state.number)
    return this.#out
  }

  append(state: InboxState, entry: LogEntry, bodyHash: Uint8Array | null): void {
    const out = this.#begin(KIND.append, state)
    out.u48(entry.message.seq)
    out.bytes(bodyHash ?? NO_HASH)
    const at = out.length
    out.u32(0)
    writeEntry(out, entry)
    out.patchU32(at, out.length - at - 4)
  }

  epoch(state: InboxState, epoch: string, generation: string): void {
    const out = this.#begin(KIND.epoch, state)
    out.text(epoch)
    out.text(generation)
  }

  /** Where the cursor and the watermarks stand now. */
  ack(state: InboxState): void {
    const out = this.#begin(KIND.ack, state)
    out.u48(state.cursor)
    out.u48(state.cursorCumulative)
    out.u48(state.sent)
    out.u48(state.received)
  }

  takeBack(state: InboxState, from: number, to: number): void {
    const out = this.#begin(KIND.takeBack, state)
    out.u48(from)
    out.u48(to)
  }

  exception(state: InboxState, change: ExceptionChange): void {
    const out = this.#begin(KIND.exception, state)
    out.u48(change.seq)
    out.u8(EXCEPTION_REASONS.indexOf(change.reason))
    out.u48(change.at)
    out.u32(change.size)
    out.u48(change.cumulative)
  }

  subscription(state: InboxState, filter: string | null): void {
    this.#begin(KIND.subscription, state).text(filter ?? '')
  }

  /** As the state has it now. */
  toldOffline(state: InboxState): void {
    this.#begin(KIND.toldOffline, state).u48(state.toldOfflineAt)
  }

  /** The parts to store; empty when nothing changed. */
  finish(): readonly Buffer[] {
    if (this.#out.length > 0) this.#parts.push(this.#out.take())
    return this.#parts
  }
}

/** The changes of one part, in order. Throws RangeError when it is damaged or of a newer format. */
export function* readChanges(part: Buffer): Generator<Change> {
  const input = new ByteReader(part)
  const format = input.u8()
  if (format < 1 || format > FORMAT) throw new RangeError(`a journal entry has the unknown format ${format}`)
  while (!input.done) {
    const kind = input.u8()
    const device = input.text()
    const number = input.u48()
    switch (kind) {
      case KIND.append: {
        const seq = input.u48()
        const bodyHash = input.bytes(HASH_SIZE)
        yield { kind: 'append', device, number, bodyHash, entry: readEntry(seq, input.bytes(input.u32())) }
        break
      }
      case KIND.epoch:
        yield { kind: 'epoch', device, number, epoch: input.text(), generation: input.text() }
        break
      case KIND.ack:
        yield {
          kind: 'ack',
          device,
          number,
          cursor: input.u48(),
          cumulative: input.u48(),
          sent: input.u48(),
          received: format === 1 ? 0 : input.u48(),
        }
        break
      case KIND.takeBack:
        yield { kind: 'takeBack', device, number, from: input.u48(), to: input.u48() }
        break
      case KIND.exception: {
        const seq = input.u48()
        const reason = EXCEPTION_REASONS[input.u8()]
        if (reason === undefined) throw new RangeError('a journal entry has an unknown exception reason')
        const at = input.u48()
        yield { kind: 'exception', device, number, seq, reason, at, size: input.u32(), cumulative: input.u48() }
        break
      }
      case KIND.subscription: {
        const filter = input.text()
        yield { kind: 'subscription', device, number, filter: filter === '' ? null : filter }
        break
      }
      case KIND.toldOffline:
        yield { kind: 'toldOffline', device, number, at: input.u48() }
        break
      default:
        throw new RangeError(`a journal entry has the unknown change ${kind}`)
    }
  }
}
