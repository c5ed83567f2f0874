// Changes of device states as they happen: each is applied to the state in memory and noted in the journal of the group that
// fills. Who calls it answers only when that group is stored.

import type { ExceptionReason } from '../../../protocol/codes.js'
import type { Position } from '../../model/message.js'
import type { Group, GroupCommit } from './group-commit.js'
import type { DedupEntry, InboxState, LogReader } from './inbox-state.js'
import type { LogEntry } from './message-codec.js'

export class Ledger {
  readonly #groups: GroupCommit
  readonly #disk: LogReader
  readonly #markDirty: (state: InboxState, group: number) => void

  constructor(groups: GroupCommit, disk: LogReader, markDirty: (state: InboxState, group: number) => void) {
    this.#groups = groups
    this.#disk = disk
    this.#markDirty = markDirty
  }

  /** The state differs from its record on disk, for a reason that is in the group's journal or need not be. */
  touch(state: InboxState, grows = false): Group {
    const group = this.#groups.enter(grows)
    state.lastGroup = group.number
    this.#markDirty(state, group.number)
    return group
  }

  /** Throws StoreUnavailable when nothing can be appended now. */
  expectGrowth(): void {
    this.#groups.enter(true)
  }

  append(state: InboxState, entry: LogEntry, dedup: DedupEntry | null): void {
    this.touch(state, true).journal.append(state, entry, dedup === null ? null : dedup.bodyHash)
    state.append(entry)
    if (dedup !== null && entry.message.dedupId !== null) {
      state.recent ??= new Map()
      state.recent.set(entry.message.dedupId, dedup)
    }
  }

  epoch(state: InboxState, epoch: string, generation: string): void {
    this.touch(state, true).journal.epoch(state, epoch, generation)
    state.beginEpoch(epoch, generation)
  }

  /** Merges an ack and watermarks; false when the ack's epoch is unknown. */
  ack(
    state: InboxState,
    position: Position,
    marks: { readonly sent?: Position; readonly received?: Position },
  ): boolean {
    const acked = state.resolveAck(position)
    const seq = acked ?? 0
    const received = Math.max(marks.received === undefined ? 0 : (state.resolveAck(marks.received) ?? 0), seq)
    const sent = Math.max(marks.sent === undefined ? 0 : (state.resolveAck(marks.sent) ?? 0), received)
    const takenBack = state.takenBack(seq)
    if (seq > state.cursor || sent > state.sent || received > state.received || takenBack.length > 0) {
      const group = this.touch(state)
      state.moveCursor(seq, this.#disk)
      if (sent > state.sent) state.sent = sent
      if (received > state.received) state.received = received
      group.journal.ack(state)
      for (const { from, to } of takenBack) {
        group.journal.takeBack(state, from, to)
        state.takeBack({ from, to })
      }
    }
    return acked !== null
  }

  /** Makes a pending message an exception; false when it is not pending. */
  except(state: InboxState, seq: number, reason: ExceptionReason, at: number): boolean {
    if (seq <= state.cursor || seq > state.head || state.exceptionAt(seq) !== undefined) return false
    const header = state.header(seq, this.#disk)
    if (header === null) throw new RangeError(`message ${seq} of a log is missing on disk`)
    const { size, cumulative } = header
    this.touch(state).journal.exception(state, { seq, reason, at, size, cumulative })
    state.except(seq, reason, at, state.claim !== null || seq <= state.sent, size, cumulative)
    return true
  }

  subscription(state: InboxState, filter: string | null): void {
    this.touch(state).journal.subscription(state, filter)
    state.subscription = filter
  }
}
