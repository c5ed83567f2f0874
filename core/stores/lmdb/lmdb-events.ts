// The EventLog port on the embedded store: a log like the uplink's, written by the changes that it tells of, with their groups.

import { StoreUnavailable } from '../../errors.js'
import type { NewEvent } from '../../model/event.js'
import type { EventLimits, EventLog, EventPage, EventQuery, EventUsage, LoggedEvent } from '../../ports/event-log.js'
import { ByteReader, ByteWriter } from './bytes.js'
import type { Engine } from './engine.js'
import {
  eventId,
  type EventPlace,
  EventRowWriter,
  parseEventId,
  readEventRow,
  readEventSummary,
} from './event-codec.js'
import type { Group } from './group-commit.js'
import { metaKey } from './tables.js'
import { nextStamp, type Stamp, stampKey } from './uplink-codec.js'

const META = metaKey('events')
const META_FORMAT = 1
/** Bytes after which a row is closed; where space is short, such rows need no run of free pages. */
const ROW_SIZE = 16 * 1024
const ROW_SIZE_SHORT = 1_500
/** What one step of forgetting takes at most. */
const TRIM_ROWS = 500

/** What is kept in `meta`, written with every event. */
interface LogState {
  /** The last key that was used. */
  readonly stamp: Stamp
  /** The number of the next event. */
  readonly next: number
}

/** What the group that fills will write. */
interface Filling {
  readonly group: Group
  readonly rows: EventRowWriter[]
  /** As it is behind the group's last event, whatever later groups do meanwhile. */
  state: LogState
}

export class LmdbEvents implements EventLog {
  readonly #engine: Engine
  readonly #limits: EventLimits
  #state: LogState
  /** The number of the oldest event that is kept. */
  #first: number
  #dropped = 0
  #filling: Filling | null = null
  #trimming = false
  #closed = false

  constructor(engine: Engine, limits: EventLimits) {
    this.#engine = engine
    this.#limits = limits
    this.#state = this.#load()
    this.#first = this.#oldest()
    engine.recordEventsWith((group, event) => this.#record(group, event))
    engine.onReset(() => this.#reset())
  }

  get usage(): EventUsage {
    return { count: this.#state.next - this.#first, dropped: this.#dropped }
  }

  async read({ after, limit }: EventQuery): Promise<EventPage | null> {
    this.#open()
    const place = after === null ? null : parseEventId(after)
    if (after !== null && place === null) return null
    try {
      return await Promise.resolve(this.#read(after, place, limit))
    } catch (error) {
      throw new StoreUnavailable('the store could not read', { cause: error })
    }
  }

  #read(after: string | null, place: EventPlace | null, limit: number): EventPage {
    const events: LoggedEvent[] = []
    const expired = this.#expired
    const known = place?.number ?? 0
    let last = known
    let first: number | null = null
    const start = place === null ? {} : { start: place.key }
    for (const { key, value } of this.#engine.tables.events.getRange(start)) {
      if (events.length >= limit) break
      const from = place !== null && place.key.equals(key) ? place.index + 1 : 0
      if (readEventSummary(value).newest <= expired) continue
      for (const { number, ...event } of readEventRow(Buffer.from(key), Buffer.from(value), from)) {
        if (event.at <= expired) continue
        if (events.length >= limit) break
        first ??= number
        last = number
        events.push(event)
      }
    }
    const stored = this.#lastStored()
    const end = stored?.number ?? 0
    const next = events.at(-1)?.id ?? (stored !== null && end > known ? stored.id : after)
    if (events.length === 0) last = Math.max(end, known)
    // From the beginning nothing is missed: what was before is none of this reader's.
    const missed = place === null ? 0 : Math.max(0, (first ?? end + 1) - known - 1)
    return { events, next, missed, behind: Math.max(0, end - last) }
  }

  async end(): Promise<string | null> {
    this.#open()
    return Promise.resolve(this.#lastStored()?.id ?? null)
  }

  /** By what is on disk: what is still on its way may not be passed. */
  #lastStored(): { readonly id: string; readonly number: number } | null {
    for (const { key, value } of this.#engine.tables.events.getRange({ reverse: true, limit: 1 })) {
      const { count, first } = readEventSummary(value)
      const number = first + count - 1
      return { id: eventId(Buffer.from(key), count - 1, number), number }
    }
    // All that was there is forgotten: the place is behind it.
    const { stamp, next } = this.#load()
    return next === 1 ? null : { id: eventId(stampKey(stamp), 0xffff, next - 1), number: next - 1 }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  /** Forgets rows that are too old, or too many, some with each commit until none is left. */
  trim(): void {
    const { groups, tables } = this.#engine
    if (this.#trimming || this.#closed || groups.resting) return
    const expired = this.#expired
    const keys: Buffer[] = []
    let count = 0
    let dropped = 0
    for (const { key, value } of tables.events.getRange({ limit: TRIM_ROWS })) {
      const row = readEventSummary(value)
      const old = row.newest <= expired
      // A row that is only partly too much stays.
      if (!old && this.usage.count - count - row.count < this.#limits.maxCount) break
      keys.push(Buffer.from(key))
      count += row.count
      if (!old) dropped += row.count
    }
    if (keys.length === 0) return
    const group = groups.enter()
    this.#trimming = true
    group.writes.push(() => {
      for (const key of keys) void tables.events.remove(key)
    })
    group.done.then(
      () => {
        this.#trimming = false
        this.#first += count
        this.#dropped += dropped
        if (keys.length === TRIM_ROWS) this.trim()
      },
      () => {
        this.#trimming = false // the next tick tries again
      },
    )
  }

  /** What was recorded at or before this time is not there any more. */
  get #expired(): number {
    return this.#engine.clock.now() - this.#limits.retentionSeconds * 1000
  }

  #record(group: Group, event: NewEvent): void {
    const filling = this.#fill(group)
    const { rows } = filling
    let { stamp, next } = this.#state
    let row = rows.at(-1)
    if (row === undefined || row.full) {
      stamp = nextStamp(stamp, this.#engine.clock.now())
      const size = this.#engine.groups.room === 'plenty' ? ROW_SIZE : ROW_SIZE_SHORT
      row = new EventRowWriter(stampKey(stamp), next, size)
      rows.push(row)
    }
    row.add(event)
    next++
    this.#state = filling.state = { stamp, next }
  }

  #fill(group: Group): Filling {
    if (this.#filling?.group === group) return this.#filling
    const filling: Filling = { group, rows: [], state: this.#state }
    this.#filling = filling
    group.writes.push(() => {
      for (const row of filling.rows) void this.#engine.tables.events.put(row.key, row.finish())
      this.#store(filling.state)
    })
    return filling
  }

  #load(): LogState {
    const value = this.#engine.tables.meta.get(META)
    if (value === undefined) return { stamp: { ms: 0, counter: 0 }, next: 1 }
    const input = new ByteReader(value)
    const format = input.u8()
    if (format !== META_FORMAT) throw new RangeError(`the state of the event log has the unknown format ${format}`)
    return { stamp: { ms: input.u48(), counter: input.u16() }, next: input.u48() }
  }

  /** Inside a transaction. */
  #store({ stamp, next }: LogState): void {
    const out = new ByteWriter(16)
    out.u8(META_FORMAT)
    out.u48(stamp.ms)
    out.u16(stamp.counter)
    out.u48(next)
    void this.#engine.tables.meta.put(META, out.end())
  }

  /** After a failed commit: what the disk says. Keys and numbers that it took along were never told, so they may be used. */
  #reset(): void {
    this.#filling = null
    this.#state = this.#load()
    this.#first = this.#oldest()
  }

  #oldest(): number {
    for (const { value } of this.#engine.tables.events.getRange({ limit: 1 })) return readEventSummary(value).first
    return this.#state.next
  }

  #open(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    if (this.#engine.groups.halted) throw new StoreUnavailable('the store has stopped after an internal error')
  }
}
