// Brings changed states to their places on disk, some with every group commit: messages that are still pending, deletions of
// handled ones, dedup ids, and in the end the record, which says that all changes up to its group are in it. A message that was
// handled before its turn came is never written again. The journal is cut behind the oldest changed state.

import type { DedupIndex } from './dedup-index.js'
import type { Directory } from './directory.js'
import type { Group } from './group-commit.js'
import { ByteWriter } from './bytes.js'
import type { DedupEntry, InboxState } from './inbox-state.js'
import { readChanges } from './journal-codec.js'
import type { JournalFiles } from './journal-files.js'
import { partsOf } from './journal-record.js'
import { writeEntry } from './message-codec.js'
import { encodeRecord } from './record-codec.js'
import type { FilePlace } from './stored-journal.js'
import { deviceKey, journalKey, messageKey, type Tables } from './tables.js'

export interface MaterializerOptions {
  /** A state is left alone for so long after its first change. Milliseconds. */
  readonly delayMs: number
  /** Journal bytes from which on states are written without delay. */
  readonly journalMax: number
  /** Puts and removes per group at least. */
  readonly quota: number
}

export const MATERIALIZER_DEFAULTS: MaterializerOptions = { delayMs: 2_000, journalMax: 64 << 20, quota: 512 }

/** The journal is searched for what is not needed this often at most. Milliseconds. */
const CUT_INTERVAL = 1_000
/** Groups looked at in one search. */
const CUT_GROUPS = 2_000

interface JournalGroup {
  readonly group: number
  readonly parts: number
  readonly bytes: number
  /** Null: in the table. */
  readonly place: FilePlace | null
}

export class Materializer {
  readonly #tables: Tables
  readonly #directory: Directory
  readonly #dedup: DedupIndex
  readonly #files: JournalFiles | null
  readonly #options: MaterializerOptions
  readonly #out = new ByteWriter(1024)
  /** Changed states by their first change; the front is the oldest. */
  readonly #queue = new Set<InboxState>()
  #journal: JournalGroup[] = []
  #journalBytes = 0
  #cutAt = -Infinity
  /** Where the last search ended. */
  #cutTo = 0
  /** Journaled since the last run. */
  #changes = 0

  /** `files`: null where the store is only read. */
  constructor(
    tables: Tables,
    directory: Directory,
    dedup: DedupIndex,
    files: JournalFiles | null,
    options: MaterializerOptions,
  ) {
    this.#tables = tables
    this.#directory = directory
    this.#dedup = dedup
    this.#files = files
    this.#options = options
  }

  get journalBytes(): number {
    return this.#journalBytes
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** True when a state waits whose time has come. */
  due(now: number): boolean {
    const oldest = this.#queue.values().next().value
    if (oldest === undefined) return false
    return oldest.dirtySince <= now - this.#options.delayMs || this.#journalBytes > this.#options.journalMax
  }

  markDirty(state: InboxState, group: number, now: number): void {
    if (state.dirtyGroup !== 0) return
    state.dirtyGroup = group
    state.dirtySince = now
    this.#queue.add(state)
  }

  /** The journal now holds this group, in a file at `place` or in the table. */
  journaled(group: number, parts: number, bytes: number, place: FilePlace | null): void {
    this.#journal.push({ group, parts, bytes, place })
    this.#journalBytes += bytes
    if (place !== null) this.#files?.hold(group, place)
  }

  /** So many changes are under way that will have to be brought to their places. */
  expect(changes: number): void {
    this.#changes += changes
  }

  /** A purged state needs nothing more. */
  forget(state: InboxState): void {
    this.#queue.delete(state)
    state.dirtyGroup = 0
  }

  clear(): void {
    this.#queue.clear()
    this.#journal = []
    this.#journalBytes = 0
    this.#files?.forget()
  }

  /** Writes the state's record with the group in any case: it is new, and must be found by its id from now on. */
  writeNow(state: InboxState, group: Group): void {
    if (this.#step(state, group, Infinity) < 0) throw new Error('a record without bound is always finished')
  }

  /**
   * Inside the transaction of `group`: does work for states whose time has come. `all`: for every state. With little room
   * only what needs none: states with messages to copy stay in the journal and in memory.
   */
  run(
    group: Group,
    now: number,
    { all, room }: { readonly all: boolean; readonly room: 'plenty' | 'short' | 'none' },
  ): void {
    if (room === 'none') return
    const short = room === 'short'
    let quota = all && !short ? Infinity : Math.max(this.#options.quota, this.#changes * 2)
    this.#changes = 0
    const due = this.#journalBytes > this.#options.journalMax || all || short ? Infinity : now - this.#options.delayMs
    for (const state of this.#queue) {
      if (state.dirtySince > due || quota <= 0) break
      // Its ids are on their way with a commit before this one.
      if (state.recentInCommit !== null) continue
      if (short && state.cursor < state.head) {
        quota -= this.#deleteHandled(state, quota)
        continue
      }
      const used = this.#step(state, group, quota)
      if (used < 0) break
      quota -= used
    }
    if (!short || this.#queue.size === 0) this.#cutJournal(group)
    else if (now - this.#cutAt >= CUT_INTERVAL) {
      this.#cutAt = now
      this.#cutAnywhere(group)
    }
  }

  /** Does up to `quota` writes for a state. The number of writes, or -1 when the state needs more of them. */
  #step(state: InboxState, group: Group, quota: number): number {
    let used = this.#deleteHandled(state, quota)
    used += this.#copyTail(state, group, quota - used)
    used += this.#writeDedup(state, group, quota - used)
    if (used >= quota) return -1
    void this.#tables.devices.put(deviceKey(state.device), encodeRecord(this.#out, state, group.number))
    state.recordGroup = group.number
    this.#queue.delete(state)
    // From here on a change makes the state dirty again; until the commit its messages stay readable in the tail.
    state.dirtyGroup = 0
    group.effects.push(() => this.#directory.release(state))
    return used + 1
  }

  #deleteHandled(state: InboxState, quota: number): number {
    const upTo = Math.min(state.cursor, state.materialized)
    let used = 0
    while (state.diskFloor < upTo && used < quota) {
      void this.#tables.messages.remove(messageKey(state.number, ++state.diskFloor))
      used++
    }
    return used
  }

  #copyTail(state: InboxState, group: Group, quota: number): number {
    let used = 0
    let seq = Math.max(state.tailBase - 1, state.cursor, state.copied)
    // What was handled in memory was never on disk: nothing to delete there.
    if (state.diskFloor === state.copied && seq > state.copied) state.diskFloor = seq
    while (seq < state.head && used < quota) {
      const entry = state.tailEntry(++seq)
      if (entry === undefined) continue
      // An exception's message is kept until the cursor has passed it: a look at its state may ask for its times.
      writeEntry(this.#out, entry)
      void this.#tables.messages.put(messageKey(state.number, seq), this.#out.copy())
      used++
    }
    if (seq > state.copied) {
      state.copied = seq
      group.effects.push(() => {
        if (!state.purged) state.tailOnDisk(seq)
      })
    }
    return used
  }

  #writeDedup(state: InboxState, group: Group, quota: number): number {
    const recent = state.recent
    if (recent === null || recent.size === 0) return 0
    const written = new Map<string, DedupEntry>()
    for (const [dedupId, entry] of recent) {
      if (written.size >= quota) break
      this.#dedup.write(state, entry)
      written.set(dedupId, entry)
    }
    if (written.size === recent.size) state.recent = null
    else for (const dedupId of written.keys()) recent.delete(dedupId)
    state.recentInCommit = written
    group.effects.push(() => {
      if (state.recentInCommit === written) state.recentInCommit = null
    })
    return written.size
  }

  /** Every change before the oldest changed state's first one is in a record. */
  #cutJournal(group: Group): void {
    const oldest = this.#queue.values().next().value
    const needed = oldest === undefined ? group.number : oldest.dirtyGroup
    let drop = 0
    for (const entry of this.#journal) {
      if (entry.group >= needed) break
      drop++
    }
    if (drop > 0) this.#remove(this.#journal.splice(0, drop), group)
  }

  /** Also groups behind the oldest changed state, when each of their changes is in a record: reads the journal, piece by piece. */
  #cutAnywhere(group: Group): void {
    const dropped: JournalGroup[] = []
    const contents = new Map<number, Buffer | null>()
    let left = CUT_GROUPS
    let to = 0
    this.#journal = this.#journal.filter((entry) => {
      if (entry.group >= group.number || entry.group <= this.#cutTo || left === 0) return true
      left--
      to = entry.group
      if (this.#isNeeded(entry, contents)) return true
      dropped.push(entry)
      return false
    })
    this.#cutTo = left === 0 ? to : 0
    this.#remove(dropped, group)
  }

  #isNeeded(entry: JournalGroup, contents: Map<number, Buffer | null>): boolean {
    for (const part of this.#partsOf(entry, contents)) {
      // Of a commit that is under way: not to be seen yet.
      if (part === undefined) return true
      for (const { device, number } of readChanges(part)) {
        const state = this.#directory.get(device)
        if (state !== null && state.number === number && state.recordGroup < entry.group) return true
      }
    }
    return false
  }

  #partsOf(
    { group, parts, bytes, place }: JournalGroup,
    contents: Map<number, Buffer | null>,
  ): ReadonlyArray<Buffer | undefined> {
    if (place !== null) {
      if (!contents.has(place.file)) contents.set(place.file, this.#contentOf(place.file))
      const content = contents.get(place.file) ?? null
      return content === null ? [undefined] : partsOf(content.subarray(place.offset, place.offset + bytes))
    }
    return Array.from({ length: parts }, (_, part) => {
      const value = this.#tables.journal.get(journalKey(group, part))
      return value === undefined ? undefined : Buffer.from(value)
    })
  }

  /** Null when it cannot be read now: what is in it counts as needed. */
  #contentOf(file: number): Buffer | null {
    try {
      return this.#files?.read(file) ?? null
    } catch {
      return null
    }
  }

  /** With `group`: a file may go when it is stored that nothing of it is needed. */
  #remove(entries: readonly JournalGroup[], group: Group): void {
    const places: FilePlace[] = []
    for (const { group: number, parts, bytes, place } of entries) {
      this.#journalBytes -= bytes
      if (place !== null) places.push(place)
      else for (let part = 0; part < parts; part++) void this.#tables.journal.remove(journalKey(number, part))
    }
    const files = this.#files
    if (places.length === 0 || files === null) return
    for (const place of places) files.unwant(place)
    group.effects.push(() => {
      for (const place of places) files.drop(place)
    })
  }
}
