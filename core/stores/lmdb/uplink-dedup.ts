// Dedup ids of uplinks: in memory until their group is stored, then in one of two databases that take turns by day. An entry
// is used for a day, and is on disk for two at most. Its size does not depend on the id.
//
//   value: u8 format, 16 bytes body hash, u48 at, text uplink id

import { hash } from 'node:crypto'
import { type NewUplink, UPLINK_DEDUP_MS } from '../../ports/uplink.js'
import { ByteReader, ByteWriter } from './bytes.js'
import type { Group } from './group-commit.js'
import type { Tables } from './tables.js'

const FORMAT = 1
const HASH_SIZE = 16
const SEPARATOR = String.fromCharCode(0)

export interface UplinkDedupEntry {
  readonly id: string
  readonly at: number
  readonly bodyHash: Buffer
  /** The group that stores it; 0: it is on disk. */
  readonly group: number
}

export class UplinkDedup {
  readonly #tables: Tables['uplinkDedup']
  readonly #out = new ByteWriter(64)
  /** Of groups that are not stored yet, by the hash of device and id. */
  readonly #pending = new Map<string, UplinkDedupEntry>()
  /** The day that is written to; never goes back when a clock does. */
  #day: number

  constructor(tables: Tables['uplinkDedup'], day: number) {
    this.#tables = tables
    this.#day = day
  }

  get day(): number {
    return this.#day
  }

  /** After a failed commit: what the disk says. */
  reset(day: number): void {
    this.#pending.clear()
    this.#day = day
  }

  /** The first uplink of the key within a day, stored or about to be. */
  find(key: Buffer, now: number): UplinkDedupEntry | null {
    const young = (entry: UplinkDedupEntry | null | undefined): UplinkDedupEntry | null =>
      entry !== null && entry !== undefined && now - entry.at < UPLINK_DEDUP_MS ? entry : null
    // The table of today may show what it held two days ago, until the commit that empties it has ended: that hides nothing.
    return (
      young(this.#pending.get(key.toString('latin1'))) ??
      young(this.#read(this.#day, key)) ??
      young(this.#read(this.#day - 1, key))
    )
  }

  #read(day: number, key: Buffer): UplinkDedupEntry | null {
    const value = this.#tables[day & 1 ? 1 : 0].get(key)
    if (value === undefined) return null
    const input = new ByteReader(value)
    const format = input.u8()
    if (format !== FORMAT) throw new RangeError(`a dedup entry of an uplink has the unknown format ${format}`)
    const bodyHash = input.bytes(HASH_SIZE)
    const at = input.u48()
    return { id: input.text(), at, bodyHash, group: 0 }
  }

  /** Remembered from now on, and written with `group`. */
  add(key: Buffer, entry: UplinkDedupEntry, group: Group): void {
    const name = key.toString('latin1')
    this.#pending.set(name, entry)
    group.writes.push(() => this.#write(key, entry))
    group.effects.push(() => {
      if (this.#pending.get(name) === entry) this.#pending.delete(name)
    })
  }

  #write(key: Buffer, entry: UplinkDedupEntry): void {
    const out = this.#out
    out.u8(FORMAT)
    out.bytes(entry.bodyHash)
    out.u48(entry.at)
    out.text(entry.id)
    void this.#tables[this.#day & 1 ? 1 : 0].put(key, out.copy())
  }

  /** Inside a transaction: begins the day of `now`, and forgets the entries of the day before yesterday. */
  rotate(now: number): void {
    const day = Math.floor(now / UPLINK_DEDUP_MS)
    if (day <= this.#day) return
    void this.#tables[day & 1 ? 1 : 0].clearAsync()
    if (day > this.#day + 1) void this.#tables[day & 1 ? 0 : 1].clearAsync()
    this.#day = day
  }
}

export function uplinkDedupKey(device: string, dedupId: string): Buffer {
  return hash('sha256', `${device}${SEPARATOR}${dedupId}`, 'buffer').subarray(0, HASH_SIZE)
}

/** What makes two uplinks with one id the same. */
export function uplinkBodyHash({ channel, contentType, payload, will }: NewUplink): Buffer {
  const head = Buffer.from([channel, contentType ?? '', String(contentType === null), String(will), ''].join(SEPARATOR))
  return hash('sha256', Buffer.concat([head, payload]), 'buffer').subarray(0, HASH_SIZE)
}
