// The parts of the embedded store, wired: tables, states in memory, journal, group commit, materialisation. Driver files stand
// on this and hold no state of their own.

import type { Logger } from '../../log.js'
import type { Clock } from '../../clock.js'
import { StartupError } from '../../errors.js'
import type { NewEvent } from '../../model/event.js'
import type { ExceptionRange } from '../../model/exceptions.js'
import type { Claim, MailboxLimits } from '../../ports/mailbox.js'
import { randomId } from '../../random-id.js'
import { applyAging } from './aging.js'
import { DedupIndex, type DedupWindow, firstWindow } from './dedup-index.js'
import { Directory } from './directory.js'
import { type Group, GroupCommit, type Place } from './group-commit.js'
import { InboxState, type LogReader } from './inbox-state.js'
import { Ledger } from './ledger.js'
import { LmdbCounters, type LmdbUsage } from '../../metrics/lmdb-counters.js'
import type { JournalDisk } from './journal-file.js'
import { JournalFiles } from './journal-files.js'
import { createLogReader } from './log-reader.js'
import { Materializer, MATERIALIZER_DEFAULTS } from './materializer.js'
import { recover } from './recovery.js'
import { readNumber, writeNumber } from './numbers.js'
import { readSequence, SEQUENCE_KEY, sequenceValue } from './sequence.js'
import { Space } from './space.js'
import { journalId, storedGroups } from './stored-journal.js'
import { deviceKey, journalKey, numberKey, type Tables } from './tables.js'

/** States are brought to their places with a group this long after the last time. Milliseconds. */
const MATERIALIZE_INTERVAL = 25
/** Retention is looked at this often per device at most. Milliseconds. */
const AGING_INTERVAL = 250

export interface EngineOptions {
  /** Where the tables lie. */
  readonly folder: string
  readonly tables: Tables
  readonly limits: MailboxLimits
  readonly clock: Clock
  readonly log: Logger
  readonly generation: string
  readonly counters?: LmdbCounters
  /** Changes may go into journal files beside LMDB: the store waits for its disk. Default false. */
  readonly journalFiles?: boolean
  /** Default: the file system. */
  readonly journalDisk?: JournalDisk
  /** Messages from before this time (milliseconds) count as sent before: DUP. Default 0. */
  readonly sentBefore?: number
}

export class Engine {
  readonly tables: Tables
  readonly limits: MailboxLimits
  readonly clock: Clock
  readonly log: Logger
  readonly generation: string
  readonly sentBefore: number
  readonly counters: LmdbCounters
  readonly disk: LogReader
  readonly directory: Directory
  readonly dedup: DedupIndex
  readonly groups: GroupCommit
  readonly ledger: Ledger
  readonly #folder: string
  readonly #files: JournalFiles
  readonly #useFiles: boolean
  readonly #materializer: Materializer
  #materializedAt = -Infinity
  readonly #space: Space
  #nextNumber: number
  #nextNumberStored: number
  #dedupWindowStored = false
  #writeAll = false
  #record: (group: Group, event: NewEvent) => void = () => undefined
  readonly #resets: Array<() => void> = []

  constructor(options: EngineOptions) {
    this.tables = options.tables
    this.limits = options.limits
    this.clock = options.clock
    this.log = options.log
    this.generation = options.generation
    this.sentBefore = options.sentBefore ?? 0
    this.counters = options.counters ?? new LmdbCounters()
    this.disk = createLogReader(this.tables)
    this.#space = new Space(
      options.folder,
      this.tables,
      () => this.#materializer.journalBytes,
      () => this.clock.monotonic(),
    )
    this.directory = new Directory(this.tables)
    this.dedup = new DedupIndex(this.tables.dedup, this.#dedupWindowMs, this.#readDedupWindow())
    this.#folder = options.folder
    this.#useFiles = options.journalFiles ?? false
    this.#files = new JournalFiles({
      folder: options.folder,
      id: journalId(this.tables),
      log: this.log,
      write: this.#useFiles,
      monotonic: () => this.clock.monotonic(),
      roomy: () => this.#space.roomy,
      ...(options.journalDisk === undefined ? {} : { disk: options.journalDisk }),
    })
    this.#materializer = new Materializer(this.tables, this.directory, this.dedup, this.#files, MATERIALIZER_DEFAULTS)
    this.#nextNumber = this.#nextNumberStored = readNumber(this.tables, 'next-number') ?? 1
    let last: number
    try {
      last = this.#recover()
    } catch (error) {
      throw new StartupError(`the store's journal cannot be read: ${messageOf(error)}`, { cause: error })
    }
    this.groups = new GroupCommit(last + 1, () => this.clock.monotonic(), {
      mayGrow: () => this.#space.mayGrow(0),
      tight: () => this.#space.tight,
      place: (group) => this.#placeOf(group),
      commit: (group, place, after) =>
        this.#measured(group, place === 'table' ? this.#commit(group, after) : this.#file(group)),
      failed: (group, error) => this.#failed(group, error),
      fatal: (error) => this.#fatal(error),
    })
    this.ledger = new Ledger(
      this.groups,
      this.disk,
      (state, group) => this.markDirty(state, group),
      (group, event) => this.#record(group, event),
      () => this.clock.now(),
      this.counters.outcomes,
    )
  }

  /** Who puts events into their log. */
  recordEventsWith(record: (group: Group, event: NewEvent) => void): void {
    this.#record = record
  }

  /** Runs `reset` after a failed commit, with the disk at rest: what others keep in memory must be made anew from it. */
  onReset(reset: () => void): void {
    this.#resets.push(reset)
  }

  /** Throws StoreUnavailable when there is no room for messages of `bytes` in sum. */
  makeSureOfRoom(bytes: number): void {
    if (!this.#space.mayGrow(bytes)) this.groups.enter(true)
  }

  /** The device's state as of now; null: no such device. */
  find(device: string): InboxState | null {
    const state = this.directory.get(device)
    if (state !== null) this.#age(state)
    return state
  }

  findOrCreate(device: string): InboxState {
    return this.find(device) ?? this.#create(device)
  }

  /** Exact: nothing that expires at or before now is pending afterwards. */
  ageNow(state: InboxState): void {
    state.agedAt = 0
    this.#age(state)
  }

  #age(state: InboxState): void {
    if (state.pending === 0) return
    const now = this.clock.now()
    if (Math.abs(now - state.agedAt) < AGING_INTERVAL) return
    state.agedAt = now
    applyAging(state, now, { retentionMs: this.limits.retentionSeconds * 1000 }, this.ledger, this.disk)
  }

  /** A number for something new, stored with the group that fills; never given twice. */
  takeNumber(): number {
    return this.#nextNumber++
  }

  #create(device: string): InboxState {
    const group = this.groups.enter(true)
    const state = new InboxState(device, this.takeNumber(), this.clock.now(), randomId(), this.generation)
    this.directory.add(state)
    this.ledger.touch(state)
    group.writes.push(() => {
      if (!state.purged) this.#materializer.writeNow(state, group)
    })
    return state
  }

  /** Forgets the device with the group that fills. */
  purge(state: InboxState): Group {
    const group = this.groups.enter()
    this.counters.outcomes.undelivered.deleted += state.pending
    state.purged = true
    state.claim = null
    this.directory.remove(state)
    this.directory.hide(state.device)
    group.effects.push(() => this.directory.unhide(state.device))
    this.#materializer.forget(state)
    group.writes.push(() => {
      void this.tables.devices.remove(deviceKey(state.device))
      void this.tables.garbage.put(numberKey(state.number), Buffer.alloc(1))
    })
    return group
  }

  /** The record on disk is not the state any more. Not written for itself: with the next group, or the next tick. */
  markDirty(state: InboxState, group = this.groups.next): void {
    this.#materializer.markDirty(state, group, this.clock.monotonic())
  }

  /** Starts a group when states wait to be written and nothing else makes one. */
  tick(): void {
    this.directory.evict(this.groups.committed)
    this.#space.mayGrow(0)
    if (this.groups.idle && !this.groups.resting && this.#materializer.due(this.clock.monotonic())) this.groups.enter()
  }

  /** Writes every changed state and stops. */
  async close(): Promise<void> {
    this.#writeAll = true
    try {
      // What a commit under way has written of a state is left alone by the next one, hence more than one round. What finds
      // no room stays in the journal.
      for (let idle = 0, before = 0; this.#materializer.waiting > 0 && idle < 3;) {
        before = this.#materializer.waiting
        await this.groups.enter().done
        idle = this.#materializer.waiting < before ? 0 : idle + 1
      }
    } catch (error) {
      this.log.error({ err: error }, 'store_close_failed')
    }
    await this.groups.close()
    // After a halt, memory says nothing of what is needed.
    const empty = !this.groups.halted && readSequence(this.tables).files.length === 0
    if (empty) await this.tables.env.flushed
    await this.#files.close(empty)
  }

  /** Answers the last group on the disk. */
  #recover(): number {
    const journaled = recover(
      storedGroups(this.#folder, this.tables),
      this.directory,
      this.#materializer,
      this.clock.monotonic(),
    )
    const { last } = readSequence(this.tables)
    this.#files.startAfter(Math.max(journaled, last))
    return Math.max(journaled, last)
  }

  /** A file takes the journal of what needs nothing else, in between the times at which states are brought to their places. */
  #placeOf(group: Group): Place {
    if (!this.#useFiles || group.writes.length > 0 || this.#writeAll) return 'table'
    if (this.#nextNumber !== this.#nextNumberStored || this.groups.room !== 'plenty') return 'table'
    const now = this.clock.monotonic()
    const rested = Math.abs(now - this.#materializedAt) >= MATERIALIZE_INTERVAL
    if (rested && this.#materializer.due(now)) return 'table'
    return group.journal.changes === 0 ? 'nowhere' : (this.#files.takes(group) ?? 'table')
  }

  #file(group: Group): Promise<boolean> {
    this.#materializer.expect(group.journal.changes)
    const parts = group.journal.finish()
    // States were touched in memory, and will be written in their turn: nothing to store.
    if (parts.length === 0) return Promise.resolve(true)
    const { place, bytes, stored } = this.#files.append(group, parts)
    this.#materializer.journaled(group.number, parts.length, bytes, place)
    group.effects.push(() => this.#files.stored(group.number))
    return stored.then(() => true)
  }

  /** The version of the one entry of `sequence` is the number of the last group: the condition of the next one. */
  #commit(group: Group, after: number | null): Promise<boolean> {
    const { env, sequence } = this.tables
    this.#files.passed(group.number)
    const write = (): void => this.#write(group)
    return after === null ? env.batch(write) : sequence.ifVersion(SEQUENCE_KEY, after, write)
  }

  async #measured(group: Group, commit: Promise<boolean>): Promise<boolean> {
    const { counters, clock } = this
    const from = clock.monotonic()
    counters.commitChanges.observe(group.journal.changes)
    const stored = await commit
    counters.commitSeconds.observe((clock.monotonic() - from) / 1000)
    return stored
  }

  usage(): LmdbUsage {
    return {
      journalBytes: this.#materializer.journalBytes,
      devicesChanged: this.#materializer.waiting,
      ...this.#space.usage(),
      refuses: this.groups.room !== 'plenty' || !this.#space.mayGrow(0),
    }
  }

  #write(group: Group): void {
    // Before all else: of a group that breaks off half-written the number is on the disk, and not given again.
    this.#writeSequence(group)
    // Then: an id that is written goes into the window of now, or it would be forgotten a window too early.
    if (this.dedup.rotate(this.clock.now()) || !this.#dedupWindowStored) this.#writeDedupWindow()
    for (const write of group.writes) write()
    const journaled = group.journal.changes > 0
    this.#materializer.expect(group.journal.changes)
    this.#materializedAt = this.clock.monotonic()
    this.#materializer.run(group, this.#materializedAt, { all: this.#writeAll, room: this.groups.room })
    let bytes = 0
    const parts = journaled ? group.journal.finish() : []
    parts.forEach((part, i) => {
      void this.tables.journal.put(journalKey(group.number, i), part)
      bytes += part.length
    })
    if (parts.length > 0) this.#materializer.journaled(group.number, parts.length, bytes, null)
    if (this.#nextNumber !== this.#nextNumberStored) {
      this.#nextNumberStored = this.#nextNumber
      writeNumber(this.tables, 'next-number', this.#nextNumber)
    }
    this.#writeSequence(group)
    group.effects.push(() => this.#files.release())
  }

  #writeSequence(group: Group): void {
    void this.tables.sequence.put(SEQUENCE_KEY, sequenceValue(this.#files.needed), group.number)
  }

  /** Ends the process, by an error that nobody catches: the next start makes memory anew from the disk. */
  #fatal(error: unknown): void {
    this.log.fatal({ err: error }, 'store_halted')
    setImmediate(() => {
      throw error instanceof Error ? error : new Error('the store has stopped', { cause: error })
    })
  }

  get #dedupWindowMs(): number {
    return this.limits.dedupWindowSeconds * 1000
  }

  #readDedupWindow(): DedupWindow {
    const window = readNumber(this.tables, 'dedup-window')
    const clearFrom = readNumber(this.tables, 'dedup-clear-from')
    const length = readNumber(this.tables, 'dedup-window-ms')
    if (window === null || clearFrom === null || length !== this.#dedupWindowMs) {
      return firstWindow(this.clock.now(), this.#dedupWindowMs)
    }
    return { window, clearFrom }
  }

  #writeDedupWindow(): void {
    this.#dedupWindowStored = true
    const { window, clearFrom } = this.dedup.at
    writeNumber(this.tables, 'dedup-window', window)
    writeNumber(this.tables, 'dedup-clear-from', clearFrom)
    writeNumber(this.tables, 'dedup-window-ms', this.#dedupWindowMs)
  }

  #failed(group: Group, error: unknown): number {
    observeCommitError(error)
    this.counters.commitsFailed++
    this.log.error({ err: error, group: group.number }, 'store_commit_failed')
    const claims = new Map<string, { claim: Claim; connectedAt: number | null; onWire: readonly ExceptionRange[] }>()
    for (const { device, claim, connectedAt, onWire } of this.directory.claimed()) {
      if (claim !== null) claims.set(device, { claim, connectedAt, onWire })
    }
    this.#files.cut()
    this.dedup.reset(this.#readDedupWindow())
    this.#dedupWindowStored = false
    this.directory.clear()
    this.#materializer.clear()
    const onDisk = this.#recover()
    this.#nextNumberStored = 0
    for (const [device, { claim, connectedAt, onWire }] of claims) {
      const state = this.directory.get(device)
      if (state === null) continue
      state.claim = claim
      state.connectedAt = connectedAt
      state.restoreWire(onWire)
    }
    for (const reset of this.#resets) reset()
    return onDisk
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** lmdb's commit errors carry their cause as a promise that rejects; unobserved it would end the process. */
function observeCommitError(error: unknown): void {
  if (error instanceof Error && 'commitError' in error && error.commitError instanceof Promise) {
    error.commitError.catch(() => undefined)
  }
}
