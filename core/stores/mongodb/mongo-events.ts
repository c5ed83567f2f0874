// The EventLog port on MongoDB: batches of events, each a document that never changes, named by the number of its first event. How
// they come there: event-relay.ts. The last batch stays, however old, so that no number is given twice.

import { StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { EventLimits, EventLog, EventPage, EventQuery, EventUsage, LoggedEvent } from '../../ports/event-log.js'
import { CallGate } from '../call-gate.js'
import type { MongoConnection } from './connection.js'
import { decodeEvents, eventId, numberOfEventId } from './event-document.js'
import { EventRelay, type RelayContext } from './event-relay.js'
import { fieldsOf, numberOf, textOf } from './fields.js'
import { readableFormat } from './formats.js'
import { lastBatch } from './last-batch.js'
import { explainUnanswered, messageOf } from './mongo-errors.js'

const TRIM_INTERVAL_MS = 500
/** Batches that are asked for at a time. */
const BATCHES = 50
/** By the index on any server. */
const ANY = { _id: { $gte: 0 } }

interface Batch {
  readonly first: number
  readonly count: number
  readonly tag: string
  readonly newest: number
  /** Null: it was not asked for. */
  readonly text: string | null
}

export class MongoEvents implements EventLog {
  readonly relay: EventRelay
  readonly #connection: MongoConnection
  readonly #limits: EventLimits
  readonly #log: Logger
  readonly #gate = new CallGate()
  readonly #timer: NodeJS.Timeout
  #trimming = false
  #count = 0
  #dropped = 0
  /** Events up to here are too old. */
  #oldUpTo = 0
  /** The last batch, as of the last look. */
  #lastKnown = 0

  constructor(limits: EventLimits, context: Omit<RelayContext, 'onBatch'>) {
    this.#connection = context.connection
    this.#limits = limits
    this.#log = context.log
    this.relay = new EventRelay({ ...context, onBatch: (end, count) => this.#added(end, count) })
    this.#timer = setInterval(() => this.#trim(), TRIM_INTERVAL_MS)
    this.#timer.unref()
  }

  /** As of the last look of this process, which is at most about half a second ago; `dropped`: by this process. */
  get usage(): EventUsage {
    return { count: this.#count, dropped: this.#dropped }
  }

  #added(end: number, count: number): void {
    const floor = this.#floor(end)
    this.#dropped += Math.max(0, floor - Math.max(this.#floor(end - count), this.#oldUpTo))
    this.#count = end - Math.max(floor, this.#oldUpTo)
  }

  read({ after, limit }: EventQuery): Promise<EventPage | null> {
    return this.#ask(async () => {
      const place = after === null ? 0 : numberOfEventId(after)
      if (place === null) return null
      const last = await this.#last()
      if (last === null) return { events: [], next: after, missed: 0, behind: 0 }
      const end = last.first + last.count - 1
      const events = await this.#page(Math.max(place, this.#floor(end)), limit)
      const first = events[0]
      const upTo = events.at(-1)
      const known = Math.min(place, end)
      return {
        events: events.map(({ event }) => event),
        next: upTo === undefined ? (place >= end ? after : eventId(end, last.tag)) : upTo.event.id,
        // From the beginning nothing is missed: what was before is none of this reader's.
        missed: after === null ? 0 : (first === undefined ? end + 1 : first.number) - known - 1,
        behind: upTo === undefined ? 0 : end - upTo.number,
      }
    })
  }

  /** Events behind number `after` that are not too old. */
  async #page(after: number, limit: number) {
    const { eventLog } = this.#connection.collections
    const oldest = this.#oldest
    const events: Array<{ readonly number: number; readonly event: LoggedEvent }> = []
    const [at] = await eventLog
      .find({ _id: { $lte: after + 1 } })
      .sort({ _id: -1 })
      .limit(1)
      .toArray()
    let from = at?._id ?? 0
    for (;;) {
      const found = await eventLog
        .find({ _id: { $gte: from } })
        .sort({ _id: 1 })
        .limit(BATCHES)
        .toArray()
      for (const batch of found.map(readBatch)) {
        if (batch.newest < oldest) continue
        for (const [i, event] of decodeEvents(batch.text ?? '[]').entries()) {
          const number = batch.first + i
          if (number <= after || event.at < oldest) continue
          events.push({ number, event: { id: eventId(number, batch.tag), ...event } })
          if (events.length === limit) return events
        }
      }
      const last = found.at(-1)
      if (last === undefined || found.length < BATCHES) return events
      from = last._id + 1
    }
  }

  end(): Promise<string | null> {
    return this.#ask(async () => {
      const last = await this.#last()
      return last === null ? null : eventId(last.first + last.count - 1, last.tag)
    })
  }

  /** Events of before that time are never read. */
  get #oldest(): number {
    return this.#connection.now() - this.#limits.retentionSeconds * 1000 + 1
  }

  #floor(end: number): number {
    return Math.max(0, end - this.#limits.maxCount)
  }

  async #last(): Promise<Batch | null> {
    const last = await lastBatch(this.#connection.collections, this.#lastKnown, { e: 0, src: 0 })
    if (last === null) return null
    const batch = readBatch(last)
    this.#lastKnown = batch.first
    return batch
  }

  #trim(): void {
    if (this.#trimming) return
    this.#trimming = true
    this.#ask(() => this.#trimOnce())
      .catch((error: unknown) => {
        if (!(error instanceof StoreUnavailable)) this.#log.warn({ reason: messageOf(error) }, 'events_trim_failed')
      })
      .finally(() => {
        this.#trimming = false
      })
  }

  /** Removes batches of which nothing counts any more, and counts what is kept. */
  async #trimOnce(): Promise<void> {
    const { eventLog } = this.#connection.collections
    const last = await this.#last()
    if (last === null) return
    const end = last.first + last.count - 1
    const floor = this.#floor(end)
    const oldest = this.#oldest
    for (;;) {
      const found = (await eventLog.find(ANY).sort({ _id: 1 }).limit(BATCHES).toArray()).map(readBatch)
      const kept = found.find((each) => each.first + each.count - 1 > floor && each.newest >= oldest)
      const front = kept?.first ?? last.first
      if (found.some(({ first }) => first < front))
        await eventLog.deleteMany({ _id: { $lt: Math.min(front, last.first) } })
      if (kept === undefined && found.length === BATCHES) continue
      if (kept === undefined) this.#oldUpTo = end
      else {
        const events = decodeEvents(kept.text ?? '[]')
        const young = events.findIndex(({ at }) => at >= oldest)
        this.#oldUpTo = kept.first - 1 + Math.max(0, young)
      }
      this.#count = end - Math.max(floor, this.#oldUpTo)
      return
    }
  }

  #ask<T>(question: () => Promise<T>): Promise<T> {
    return this.#gate.run(async () => {
      try {
        return await question()
      } catch (error) {
        throw error instanceof RangeError ? error : explainUnanswered(error)
      }
    })
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([this.relay.close(), this.#gate.close()])
  }
}

function readBatch(document: unknown): Batch {
  const fields = fieldsOf(document)
  readableFormat(numberOf(fields, 'f'), 'a batch of events in MongoDB')
  return {
    first: numberOf(fields, '_id'),
    count: numberOf(fields, 'n'),
    tag: textOf(fields, 'tag'),
    newest: numberOf(fields, 'newest'),
    text: fields.has('e') ? textOf(fields, 'e') : null,
  }
}
