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
import { type Group, GroupCommit } from './group-commit.js'
import { InboxState, type LogReader } from './inbox-state.js'
import { Ledger } from './ledger.js'
import { LmdbCounters, type LmdbUsage } from '../../metrics/lmdb-counters.js'
import { createLogReader } from './log-reader.js'
import { Materializer, MATERIALIZER_DEFAULTS } from './materializer.js'
import { recover } from './recovery.js'
import { Space } from './space.js'
import { deviceKey, journalKey, metaKey, numberKey, type Tables } from './tables.js'

const SEQUENCE_KEY = Buffer.from('group')
const SEQUENCE_VALUE = Buffer.alloc(1)
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
  readonly #materializer: Materializer
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
    this.#materializer = new Materializer(this.tables, this.directory, this.dedup, MATERIALIZER_DEFAULTS)
    this.#nextNumber = this.#nextNumberStored = readNumber(this.tables, 'next-number') ?? 1
    let last: number
    try {
      last = recover(this.tables, this.directory, this.#materializer, this.clock.monotonic())
    } catch (error) {
      throw new StartupError(`the store's journal cannot be read: ${messageOf(error)}`, { cause: error })
    }
    this.groups = new GroupCommit(
      Math.max(last, this.tables.sequence.getEntry(SEQUENCE_KEY)?.version ?? 0) + 1,
      () => this.clock.monotonic(),
      {
        mayGrow: () => this.#space.mayGrow(0),
        tight: () => this.#space.tight,
        commit: (group, after) => this.#measured(group, this.#commit(group, after)),
        failed: (group, error) => this.#failed(group, error),
        fatal: (error) => this.#fatal(error),
      },
    )
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
  }

  /** The version of the one entry of `sequence` is the number of the last group: the condition of the next one. */
  #commit(group: Group, after: number | null): Promise<boolean> {
    const { env, sequence } = this.tables
    const write = (): void => {
      void sequence.put(SEQUENCE_KEY, SEQUENCE_VALUE, group.number)
      this.#write(group)
    }
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
    // First: an id that is written goes into the window of now, or it would be forgotten a window too early.
    if (this.dedup.rotate(this.clock.now()) || !this.#dedupWindowStored) this.#writeDedupWindow()
    for (const write of group.writes) write()
    const journaled = group.journal.changes > 0
    this.#materializer.run(group, this.clock.monotonic(), { all: this.#writeAll, room: this.groups.room })
    let bytes = 0
    const parts = journaled ? group.journal.finish() : []
    parts.forEach((part, i) => {
      void this.tables.journal.put(journalKey(group.number, i), part)
      bytes += part.length
    })
    if (parts.length > 0) this.#materializer.journaled(group.number, parts.length, bytes)
    if (this.#nextNumber !== this.#nextNumberStored) {
      this.#nextNumberStored = this.#nextNumber
      writeNumber(this.tables, 'next-number', this.#nextNumber)
    }
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
    this.dedup.reset(this.#readDedupWindow())
    this.#dedupWindowStored = false
    this.directory.clear()
    this.#materializer.clear()
    recover(this.tables, this.directory, this.#materializer, this.clock.monotonic())
    this.#nextNumberStored = 0
    for (const [device, { claim, connectedAt, onWire }] of claims) {
      const state = this.directory.get(device)
      if (state === null) continue
      state.claim = claim
      state.connectedAt = connectedAt
      state.restoreWire(onWire)
    }
    for (const reset of this.#resets) reset()
    return this.tables.sequence.getEntry(SEQUENCE_KEY)?.version ?? 0
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

export function readNumber(tables: Tables, name: string): number | null {
  const value = tables.meta.get(metaKey(name))
  return value === undefined ? null : value.readDoubleBE(0)
}

export function writeNumber(tables: Tables, name: string, value: number): void {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  void tables.meta.put(metaKey(name), bytes)
}
