// The Uplink port on the embedded store: a log that grows at one end of one tree, written with the group commits of the
// mailbox. Unlike a device's inbox it needs no journal: it lies where it stays from the beginning.

import { StoreUnavailable } from '../../errors.js'
import {
  type NewUplink,
  type StoredUplink,
  type Uplink,
  type UplinkLimits,
  type UplinkPage,
  type UplinkQuery,
  type UplinkResult,
  type UplinkUsage,
  uplinkSize,
  UPLINK_DEDUP_MS,
} from '../../ports/uplink.js'
import { ByteReader, ByteWriter } from './bytes.js'
import type { Engine } from './engine.js'
import type { Group } from './group-commit.js'
import { metaKey } from './tables.js'
import {
  nextStamp,
  parseUplinkId,
  readRow,
  readSummary,
  ROW_SIZE,
  ROW_SIZE_SHORT,
  RowWriter,
  type Stamp,
  stampKey,
  uplinkId,
} from './uplink-codec.js'
import { UplinkDedup, uplinkBodyHash, uplinkDedupKey } from './uplink-dedup.js'

const META = metaKey('uplink')
const META_FORMAT = 1
/** What one step of forgetting takes at most: a few milliseconds. */
const EXPIRE_ROWS = 500
const EXPIRE_BYTES = 4 << 20
/** A row holds nothing that came later than so long after its key, as long as nobody sets the clock. Milliseconds. */
const ROW_SPAN_MS = 10_000

/** What is kept in `meta`, written with every change of the log. */
interface LogState {
  /** The last key that was used. */
  readonly stamp: Stamp
  readonly count: number
  readonly bytes: number
  readonly dedupDay: number
}

/** What the group that fills will write. */
interface Filling {
  readonly group: Group
  readonly rows: RowWriter[]
}

export class LmdbUplink implements Uplink {
  readonly #engine: Engine
  readonly #limits: UplinkLimits
  readonly #dedup: UplinkDedup
  #stamp: Stamp
  #count: number
  #bytes: number
  #filling: Filling | null = null
  #expiring = false
  #closed = false

  constructor(engine: Engine, limits: UplinkLimits) {
    this.#engine = engine
    this.#limits = limits
    const { stamp, count, bytes, dedupDay } = this.#load()
    this.#stamp = stamp
    this.#count = count
    this.#bytes = bytes
    this.#dedup = new UplinkDedup(engine.tables.uplinkDedup, dedupDay)
    engine.onReset(() => this.#reset())
  }

  get usage(): UplinkUsage {
    return { count: this.#count, bytes: this.#bytes }
  }

  async append(items: readonly NewUplink[]): Promise<readonly UplinkResult[]> {
    this.#open()
    let bytes = 0
    for (const item of items) bytes += uplinkSize(item)
    this.#engine.makeSureOfRoom(bytes)
    const now = this.#engine.clock.now()
    const refused = new Set<string>()
    let group = 0
    const results = items.map((item): UplinkResult => {
      if (refused.has(item.device)) return { ok: false, code: 'full' }
      const key = item.dedupId === null ? null : uplinkDedupKey(item.device, item.dedupId)
      const bodyHash = key === null ? null : uplinkBodyHash(item)
      const first = key === null ? null : this.#dedup.find(key, now)
      if (first !== null) {
        if (bodyHash?.equals(first.bodyHash) !== true) return { ok: false, code: 'dedup_conflict' }
        group = Math.max(group, first.group)
        return { ok: true, id: first.id, at: first.at, duplicate: true }
      }
      const weight = uplinkSize(item)
      if (this.#bytes + weight > this.#limits.maxBytes) {
        refused.add(item.device)
        return { ok: false, code: 'full' }
      }
      const filling = this.#fill()
      group = filling.group.number
      const id = this.#row(filling, now).add(item, now, weight)
      this.#count++
      this.#bytes += weight
      if (key !== null && bodyHash !== null) this.#dedup.add(key, { id, at: now, bodyHash, group }, filling.group)
      return { ok: true, id, at: now, duplicate: false }
    })
    await this.#engine.groups.stored(group)
    return results
  }

  async read(query: UplinkQuery): Promise<UplinkPage | null> {
    this.#open()
    const after = query.after === null ? null : parseUplinkId(query.after)
    if (query.after !== null && after === null) return null
    try {
      return await Promise.resolve(this.#read(query, after))
    } catch (error) {
      throw new StoreUnavailable('the store could not read', { cause: error })
    }
  }

  #read({ limit, maxBytes }: UplinkQuery, after: { readonly key: Buffer; readonly index: number } | null): UplinkPage {
    const uplinks: StoredUplink[] = []
    const expired = this.#expired
    let bytes = 0
    for (const { key, value } of this.#engine.tables.uplink.getRange({ start: this.#startOf(after, expired) })) {
      const from = after !== null && after.key.equals(key) ? after.index + 1 : 0
      // The range's buffers may be used again: payloads become views of a copy.
      for (const uplink of readRow(Buffer.from(key), Buffer.from(value), from)) {
        if (uplink.at <= expired) continue
        bytes += uplinkSize(uplink)
        if (uplinks.length >= limit || (bytes > maxBytes && uplinks.length > 0)) return { uplinks, more: true }
        uplinks.push(uplink)
      }
    }
    return { uplinks, more: false }
  }

  /** After a long rest there may be much that has expired and is not forgotten yet: it is passed over. */
  #startOf(after: { readonly key: Buffer } | null, expired: number): Buffer {
    const first = stampKey({ ms: Math.max(0, expired - ROW_SPAN_MS), counter: 0 })
    return after === null || Buffer.compare(first, after.key) > 0 ? first : after.key
  }

  /** By what is on disk: a row is written whole. */
  async end(): Promise<string | null> {
    this.#open()
    for (const { key, value } of this.#engine.tables.uplink.getRange({ reverse: true, limit: 1 })) {
      return Promise.resolve(uplinkId(Buffer.from(key), readSummary(value).count - 1))
    }
    return null
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  /** Forgets rows that have expired as a whole, some with each commit until none is left. */
  expire(): void {
    const { groups, tables } = this.#engine
    if (this.#expiring || this.#closed || groups.resting) return
    const expired = this.#expired
    const keys: Buffer[] = []
    let count = 0
    let weight = 0
    let read = 0
    let more = true
    for (const { key, value } of tables.uplink.getRange({ limit: EXPIRE_ROWS })) {
      const row = readSummary(value)
      more = row.newest <= expired
      if (!more || read > EXPIRE_BYTES) break
      keys.push(Buffer.from(key))
      count += row.count
      weight += row.weight
      read += value.length
    }
    if (keys.length === 0) return
    const group = groups.enter()
    this.#expiring = true
    group.writes.push(() => {
      for (const key of keys) void tables.uplink.remove(key)
      this.#count -= count
      this.#bytes -= weight
      this.#store()
    })
    group.done.then(
      () => {
        this.#expiring = false
        if (more) this.expire()
      },
      () => {
        this.#expiring = false // the next tick tries again
      },
    )
  }

  /** What was stored at or before this time is not there any more. */
  get #expired(): number {
    return this.#engine.clock.now() - this.#limits.retentionSeconds * 1000
  }

  #fill(): Filling {
    const group = this.#engine.groups.enter(true)
    if (this.#filling?.group === group) return this.#filling
    const filling: Filling = { group, rows: [] }
    this.#filling = filling
    group.writes.push(() => {
      for (const row of filling.rows) void this.#engine.tables.uplink.put(row.key, row.finish())
      this.#dedup.rotate(this.#engine.clock.now())
      this.#store()
    })
    return filling
  }

  /** The row that the next uplink goes to. */
  #row({ rows }: Filling, now: number): RowWriter {
    const last = rows.at(-1)
    if (last !== undefined && !last.full) return last
    this.#stamp = nextStamp(this.#stamp, now)
    const row = new RowWriter(stampKey(this.#stamp), this.#engine.groups.room === 'plenty' ? ROW_SIZE : ROW_SIZE_SHORT)
    rows.push(row)
    return row
  }

  #load(): LogState {
    const value = this.#engine.tables.meta.get(META)
    if (value === undefined) {
      const dedupDay = Math.floor(this.#engine.clock.now() / UPLINK_DEDUP_MS)
      return { stamp: { ms: 0, counter: 0 }, count: 0, bytes: 0, dedupDay }
    }
    const input = new ByteReader(value)
    const format = input.u8()
    if (format !== META_FORMAT) throw new RangeError(`the state of the uplink log has the unknown format ${format}`)
    const stamp = { ms: input.u48(), counter: input.u16() }
    return { stamp, count: input.u48(), bytes: input.u48(), dedupDay: input.u48() }
  }

  /** Inside a transaction. */
  #store(): void {
    const out = new ByteWriter(32)
    out.u8(META_FORMAT)
    out.u48(this.#stamp.ms)
    out.u16(this.#stamp.counter)
    out.u48(this.#count)
    out.u48(this.#bytes)
    out.u48(this.#dedup.day)
    void this.#engine.tables.meta.put(META, out.end())
  }

  /** After a failed commit: what the disk says. Keys that it took along were never told, so they may be used. */
  #reset(): void {
    const { stamp, count, bytes, dedupDay } = this.#load()
    this.#filling = null
    this.#stamp = stamp
    this.#count = count
    this.#bytes = bytes
    this.#dedup.reset(dedupDay)
  }

  #open(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    if (this.#engine.groups.halted) throw new StoreUnavailable('the store has stopped after an internal error')
  }
}
