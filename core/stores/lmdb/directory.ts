// The device states in memory: those that are connected, changed since their record was written, or just looked at.

import type { InboxState } from './inbox-state.js'
import { decodeRecord } from './record-codec.js'
import { deviceKey, type Tables } from './tables.js'

export class Directory {
  readonly #tables: Tables
  readonly #resident = new Map<string, InboxState>()
  /** Loaded or become clean since the last sweep: perhaps of no use in memory. */
  readonly #loose = new Set<InboxState>()

  /** Purged, while their records are still on disk: how often. */
  readonly #hidden = new Map<string, number>()

  constructor(tables: Tables) {
    this.#tables = tables
  }

  get size(): number {
    return this.#resident.size
  }

  /** The device's state, read from disk when it is not in memory; null: no such device. */
  get(device: string): InboxState | null {
    const resident = this.#resident.get(device)
    if (resident !== undefined) return resident
    if (this.#hidden.has(device)) return null
    const record = this.#tables.devices.get(deviceKey(device))
    if (record === undefined) return null
    const state = decodeRecord(device, record)
    this.#resident.set(device, state)
    this.#loose.add(state)
    return state
  }

  resident(device: string): InboxState | undefined {
    return this.#resident.get(device)
  }

  add(state: InboxState): void {
    this.#resident.set(state.device, state)
  }

  remove(state: InboxState): void {
    if (this.#resident.get(state.device) === state) this.#resident.delete(state.device)
    this.#loose.delete(state)
  }

  /** The record on disk is not there any more, as far as anybody may see; until `unhide`. */
  hide(device: string): void {
    this.#hidden.set(device, (this.#hidden.get(device) ?? 0) + 1)
  }

  unhide(device: string): void {
    const times = this.#hidden.get(device) ?? 0
    if (times > 1) this.#hidden.set(device, times - 1)
    else this.#hidden.delete(device)
  }

  /** The state may have become idle. */
  release(state: InboxState): void {
    this.#loose.add(state)
  }

  /** Drops from memory what is not connected and not changed. */
  evict(committed: number): void {
    for (const state of this.#loose) {
      // The record of a commit under way is not on disk yet; that commit releases the state again.
      const stored = state.dirtyGroup === 0 && state.lastGroup <= committed && state.recordGroup <= committed
      if (state.claim === null && stored) {
        if (this.#resident.get(state.device) === state) this.#resident.delete(state.device)
      }
    }
    this.#loose.clear()
  }

  *claimed(): Generator<InboxState> {
    for (const state of this.#resident.values()) if (state.claim !== null) yield state
  }

  clear(): void {
    this.#resident.clear()
    this.#loose.clear()
    this.#hidden.clear()
  }

  /** Ids on disk after `after`, in order of bytes; new devices are there as soon as they are answered. */
  *ids(after: string | null): Generator<string> {
    const start = after === null ? undefined : Buffer.concat([deviceKey(after), Buffer.from([0])])
    for (const key of this.#tables.devices.getKeys(start === undefined ? {} : { start })) yield key.toString('utf8')
  }
}
