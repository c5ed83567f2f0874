// Dedup ids of the embedded store. New ones are in memory with their device until its record is written; then in one of two
// databases that take turns by window. An entry is used while it is younger than the window, and is on disk for two at most.
//
//   value: u8 format, 16 bytes body hash, u48 seq, u48 at, u48 expiresAt (0: none), text epoch

import type { Database } from 'lmdb'
import { ByteReader, ByteWriter } from './bytes.js'
import type { DedupEntry, InboxState } from './inbox-state.js'
import { dedupKey } from './tables.js'

const FORMAT = 1

export interface DedupWindow {
  readonly window: number
  readonly clearFrom: number
}

/** Where a store begins that has no windows yet, or had windows of another length: nothing young is thrown away. */
export function firstWindow(now: number, windowMs: number): DedupWindow {
  const window = Math.floor(now / windowMs)
  return { window, clearFrom: window + 2 }
}

export class DedupIndex {
  readonly #tables: readonly [Database<Buffer, Buffer>, Database<Buffer, Buffer>]
  readonly #windowMs: number
  readonly #out = new ByteWriter(128)
  /** The window that is written to; never goes back when a clock does. */
  #window: number
  /** Tables are emptied from this window on: before, they may hold ids of windows of another length. */
  #clearFrom: number

  constructor(
    tables: readonly [Database<Buffer, Buffer>, Database<Buffer, Buffer>],
    windowMs: number,
    at: DedupWindow,
  ) {
    this.#tables = tables
    this.#windowMs = windowMs
    this.#window = at.window
    this.#clearFrom = at.clearFrom
  }

  get at(): DedupWindow {
    return { window: this.#window, clearFrom: this.#clearFrom }
  }

  /** After a failed commit: what the disk says. */
  reset(at: DedupWindow): void {
    this.#window = at.window
    this.#clearFrom = at.clearFrom
  }

  /** The first answer for `dedupId`, if it is younger than the window at `now`. `idHash`: `dedupIdHash` of it. */
  find(state: InboxState, dedupId: string, idHash: Buffer, now: number): DedupEntry | null {
    const entry = state.recent?.get(dedupId) ?? state.recentInCommit?.get(dedupId) ?? this.#onDisk(state, idHash, now)
    return entry === null || now - entry.at >= this.#windowMs ? null : entry
  }

  #onDisk(state: InboxState, idHash: Buffer, now: number): DedupEntry | null {
    if (now - state.dedupAt >= this.#windowMs) return null
    const key = dedupKey(state.number, idHash)
    const newer = this.#read(this.#window, key, idHash)
    // While the tables hold windows of another length, the younger entry may be in either. And a table that is being emptied
    // shows what it held two windows ago until that commit has ended: what is too old in it hides nothing.
    if (newer !== null && this.#window >= this.#clearFrom && now - newer.at < this.#windowMs) return newer
    const older = this.#read(this.#window - 1, key, idHash)
    return newer === null || (older !== null && older.at > newer.at) ? older : newer
  }

  #read(window: number, key: Buffer, idHash: Buffer): DedupEntry | null {
    const value = this.#tables[window & 1 ? 1 : 0].get(key)
    if (value === undefined) return null
    const input = new ByteReader(value)
    const format = input.u8()
    if (format !== FORMAT) throw new RangeError(`a dedup entry has the unknown format ${format}`)
    const bodyHash = input.bytes(16)
    const seq = input.u48()
    const at = input.u48()
    const expires = input.u48()
    return { seq, at, expiresAt: expires === 0 ? null : expires, idHash, bodyHash, epoch: input.text() }
  }

  /** Inside a transaction: writes an id of `state`. */
  write(state: InboxState, entry: DedupEntry): void {
    const out = this.#out
    out.u8(FORMAT)
    out.bytes(entry.bodyHash)
    out.u48(entry.seq)
    out.u48(entry.at)
    out.u48(entry.expiresAt ?? 0)
    out.text(entry.epoch)
    if (entry.at > state.dedupAt) state.dedupAt = entry.at
    void this.#tables[this.#window & 1 ? 1 : 0].put(dedupKey(state.number, entry.idHash), out.copy())
  }

  /** Inside a transaction: begins the window of `now`, and forgets what two windows ago was written. True when it did. */
  rotate(now: number): boolean {
    const window = Math.floor(now / this.#windowMs)
    if (window <= this.#window) return false
    // The table of the new window holds ids of window - 2 or earlier; after a long stop the other one is as old.
    if (window >= this.#clearFrom) {
      void this.#tables[window & 1 ? 1 : 0].clearAsync()
      if (window > this.#window + 1) void this.#tables[window & 1 ? 0 : 1].clearAsync()
    }
    this.#window = window
    return true
  }

  /** Inside a transaction: forgets up to `most` ids of a purged device; how many there were. */
  forget(start: Buffer, end: Buffer, most: number): number {
    let count = 0
    for (const table of this.#tables) {
      for (const key of table.getKeys({ start, end, limit: most - count })) {
        void table.remove(Buffer.from(key))
        count++
      }
    }
    return count
  }
}
