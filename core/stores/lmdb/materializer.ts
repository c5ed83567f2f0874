// Brings changed states to their places on disk, some with every group commit: messages that are still pending, deletions of
// handled ones, dedup ids, and in the end the record, which says that all changes up to its group are in it. A message that was
// handled before its turn came is never written again. The journal is cut behind the oldest changed state.

import type { DedupIndex } from './dedup-index.js'
import type { Directory } from './directory.js'
import type { Group } from './group-commit.js'
import { ByteWriter } from './bytes.js'
import type { DedupEntry, InboxState } from './inbox-state.js'
import { readChanges } from './journal-codec.js'
import { writeEntry } from './message-codec.js'
import { encodeRecord } from './record-codec.js'
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

/** The whole journal is searched for what is not needed this often at most. Milliseconds. */
const CUT_INTERVAL = 1_000

interface JournalGroup {
  readonly group: number
  readonly parts: number
  readonly bytes: number
}

export class Materializer {
  readonly #tables: Tables
  readonly #directory: Directory
  readonly #dedup: DedupIndex
  readonly #options: MaterializerOptions
  readonly #out = new ByteWriter(1024)
  /** Changed states by their first change; the front is the oldest. */
  readonly #queue = new Set<InboxState>()
  #journal: JournalGroup[] = []
  #journalBytes = 0
  #cutAt = -Infinity

  constructor(tables: Tables, directory: Directory, dedup: DedupIndex, options: MaterializerOptions) {
    this.#tables = tables
    this.#directory = directory
    this.#dedup = dedup
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
    return oldest !== undefined && oldest.dirtySince <= now - this.#options.delayMs
  }

  markDirty(state: InboxState, group: number, now: number): void {
    if (state.dirtyGroup !== 0) return
    state.dirtyGroup = group
    state.dirtySince = now
    this.#queue.add(state)
  }

  /** The journal now holds this group. */
  journaled(group: number, parts: number, bytes: number): void {
    this.#journal.push({ group, parts, bytes })
    this.#journalBytes += bytes
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
    let quota = all && !short ? Infinity : Math.max(this.#options.quota, group.journal.changes * 2)
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
    if (!short) this.#cutJournal(group.number)
    else if (now - this.#cutAt >= CUT_INTERVAL) {
      this.#cutAt = now
      this.#cutAnywhere(group.number)
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
  #cutJournal(group: number): void {
    const oldest = this.#queue.values().next().value
    const needed = oldest === undefined ? group : oldest.dirtyGroup
    let drop = 0
    for (const entry of this.#journal) {
      if (entry.group >= needed) break
      this.#remove(entry)
      drop++
    }
    if (drop > 0) this.#journal.splice(0, drop)
  }

  /** Also groups behind the oldest changed state, when each of their changes is in a record: reads the whole journal. */
  #cutAnywhere(group: number): void {
    this.#journal = this.#journal.filter((entry) => {
      if (entry.group >= group || this.#isNeeded(entry)) return true
      this.#remove(entry)
      return false
    })
  }

  #isNeeded(entry: JournalGroup): boolean {
    for (let part = 0; part < entry.parts; part++) {
      const value = this.#tables.journal.get(journalKey(entry.group, part))
      // Of a commit that is under way: not to be seen yet.
      if (value === undefined) return true
      for (const { device, number } of readChanges(Buffer.from(value))) {
        const state = this.#directory.get(device)
        if (state !== null && state.number === number && state.recordGroup < entry.group) return true
      }
    }
    return false
  }

  #remove(entry: JournalGroup): void {
    for (let part = 0; part < entry.parts; part++) void this.#tables.journal.remove(journalKey(entry.group, part))
    this.#journalBytes -= entry.bytes
  }
}
