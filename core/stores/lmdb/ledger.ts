// Changes of device states as they happen: each is applied to the state in memory and noted in the journal of the group that
// fills. Who calls it answers only when that group is stored.

import type { ExceptionReason } from '../../../protocol/codes.js'
import { epochAt } from '../../model/epochs.js'
import type { NewEvent } from '../../model/event.js'
import type { Position } from '../../model/message.js'
import type { OutcomeCounters } from '../../model/outcome-counters.js'
import type { Group, GroupCommit } from './group-commit.js'
import type { DedupEntry, InboxState, LogReader } from './inbox-state.js'
import type { LogEntry } from './message-codec.js'

export class Ledger {
  readonly #groups: GroupCommit
  readonly #disk: LogReader
  readonly #markDirty: (state: InboxState, group: number) => void
  readonly #record: (group: Group, event: NewEvent) => void
  readonly #now: () => number
  readonly #outcomes: OutcomeCounters

  /** `record`: puts an event into the log of events, with the group. */
  constructor(
    groups: GroupCommit,
    disk: LogReader,
    markDirty: (state: InboxState, group: number) => void,
    record: (group: Group, event: NewEvent) => void,
    now: () => number,
    outcomes: OutcomeCounters,
  ) {
    this.#outcomes = outcomes
    this.#groups = groups
    this.#disk = disk
    this.#markDirty = markDirty
    this.#record = record
    this.#now = now
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
      if (state.receiptUpTo > state.cursor) this.#tellHandled(state, seq, group)
      const { pending } = state
      state.moveCursor(seq, this.#disk)
      this.#outcomes.handled += pending - state.pending
      if (sent > state.sent) state.sent = sent
      if (received > state.received) state.received = received
      group.journal.ack(state)
      for (const { from, to } of takenBack) {
        group.journal.takeBack(state, from, to)
        this.#countTakenBack(state, from, to)
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
    const group = this.touch(state)
    group.journal.exception(state, { seq, reason, at, size, cumulative })
    if (reason === 'expired' || reason === 'retention') this.#tell(state, group, 'message.expired', seq, at, reason)
    else if (reason === 'overflow') this.#tell(state, group, 'message.overflow', seq, at)
    this.#outcomes.undelivered[reason]++
    state.except(seq, reason, at, state.claim !== null || seq <= state.sent, size, cumulative)
    return true
  }

  /** Records that messages wait and nobody is there to take them; once until the next claim. */
  tellOffline(state: InboxState, at: number): void {
    if (state.claim !== null || state.pending === 0 || state.toldOfflineAt !== 0) return
    const group = this.touch(state)
    state.toldOfflineAt = at
    group.journal.toldOffline(state)
    const seq = state.cursor + 1
    this.#record(group, {
      type: 'device.offline_with_pending',
      device: state.device,
      at,
      epoch: epochAt(state.epochs, seq),
      seq,
      count: state.pending,
      reason: null,
    })
  }

  /** The device is claimed: the next time that it is offline is told again. */
  online(state: InboxState): void {
    if (state.toldOfflineAt === 0) return
    const group = this.touch(state)
    state.toldOfflineAt = 0
    group.journal.toldOffline(state)
  }

  /** The messages with a receipt that a cursor on its way to `seq` passes. */
  #tellHandled(state: InboxState, seq: number, group: Group): void {
    const to = Math.min(seq, state.receiptUpTo)
    for (let at = state.cursor + 1; at <= to; at++) {
      const exception = state.exceptionAt(at)
      if (exception !== undefined) at = exception.to
      else if (state.header(at, this.#disk)?.receipt === true) {
        this.#tell(state, group, 'message.handled', at, this.#now())
      }
    }
  }

  #tell(
    state: InboxState,
    group: Group,
    type: NewEvent['type'],
    seq: number,
    at: number,
    reason: NewEvent['reason'] = null,
  ): void {
    this.#record(group, { type, device: state.device, at, epoch: epochAt(state.epochs, seq), seq, count: 1, reason })
  }

  #countTakenBack(state: InboxState, from: number, to: number): void {
    const reason = state.exceptionAt(from)?.reason
    if (reason === undefined) return
    this.#outcomes.handled += to - from + 1
    this.#outcomes.takenBack[reason] += to - from + 1
  }

  subscription(state: InboxState, filter: string | null): void {
    this.touch(state).journal.subscription(state, filter)
    state.subscription = filter
  }
}
