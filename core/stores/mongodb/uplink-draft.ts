import { UPLINK_DEDUP_MS } from '../../ports/uplink.js'
import { randomId } from '../../random-id.js'
import type { DedupEntry } from './device-state.js'
import { DEDUPS } from './spill.js'
import { entrySize, type UplinkEnd, type UplinkEntry } from './uplink-document.js'

/** The end of the log while a step changes it. */
export class UplinkDraft implements UplinkEnd {
  readonly before: UplinkEnd
  readonly version: number
  life: string
  generation: string
  head: number
  floor: number
  bytes: number
  frontAt: number
  tail: UplinkEntry[]
  dedups: DedupEntry[]
  spilledUntil: number
  added = 0
  newDedups = 0
  changed = false
  /** Documents that begin up to here are read by nobody behind this step. */
  gone = 0

  constructor(end: UplinkEnd) {
    this.before = end
    this.version = end.version
    this.life = end.life
    this.generation = end.generation
    this.head = end.head
    this.floor = end.floor
    this.bytes = end.bytes
    this.frontAt = end.frontAt
    this.tail = [...end.tail]
    this.dedups = [...end.dedups]
    this.spilledUntil = end.spilledUntil
  }

  get tailFrom(): number {
    return this.head - this.tail.length + 1
  }

  /** Ids are never used again, also when the store comes back with less than it had. */
  lifeIn(generation: string): string {
    if (this.generation !== generation) {
      this.generation = generation
      this.life = randomId()
      this.changed = true
    }
    return this.life
  }

  append(entry: UplinkEntry): number {
    this.tail.push(entry)
    this.added++
    this.head++
    this.bytes += entrySize(entry)
    if (this.frontAt === 0) this.frontAt = Math.max(1, entry.a)
    this.changed = true
    return this.head
  }

  addDedup(entry: DedupEntry): void {
    this.dedups.push(entry)
    this.newDedups++
    this.changed = true
  }

  /** Takes the stored dedup ids that leave with this step; those that still count. */
  takeOldDedups(now: number): readonly DedupEntry[] {
    if (!this.changed) return []
    const stored = this.dedups.length - this.newDedups
    const leave = stored > DEDUPS.most ? stored - DEDUPS.kept : 0
    const leaving = this.dedups.slice(0, leave).filter((entry) => now - entry.at < UPLINK_DEDUP_MS)
    this.dedups = this.dedups.slice(leave)
    for (const { at } of leaving) this.spilledUntil = Math.max(this.spilledUntil, at + UPLINK_DEDUP_MS)
    return leaving
  }

  /** Takes expired ones from the front. `entries`: those from the number `from` on. */
  trim(from: number, entries: readonly UplinkEntry[], expired: (entry: UplinkEntry) => boolean): void {
    const inTail = from >= this.tailFrom
    let count = 0
    for (const entry of entries) {
      if (!expired(entry)) break
      count++
      this.bytes -= entrySize(entry)
    }
    this.floor = from + count - 1
    const next = entries[count]
    this.frontAt = next === undefined ? 0 : Math.max(1, next.a)
    if (inTail) this.tail = this.tail.slice(count)
    else if (count === entries.length) this.gone = this.floor
    this.changed = true
  }

  /** There is nothing up to `number`: it is lost. */
  skip(number: number): void {
    this.floor = Math.min(number, this.tailFrom - 1)
    this.frontAt = 0
    this.changed = true
  }

  /** The first `count` of the tail are in a document of their own. */
  spill(count: number): void {
    if (count === 0) return
    this.tail = this.tail.slice(count)
    this.changed = true
  }
}
