// Brings events from the documents of their devices to the log. Any process may do it, and several at once: the log is made of batches
// that follow each other by number, and of two that want to be the next one the database takes one (`_id`).
//
// A batch says which devices' events it holds, and up to which change. Whoever adds the next one has taken those out of the devices'
// documents before it looked into them; so an event is in one batch, whoever is cut wherever. There is no lease, and nothing hangs
// on a clock.

import { randomBytes } from 'node:crypto'
import type { AnyBulkWriteOperation } from 'mongodb'
import type { Logger } from '../../log.js'
import type { Collections, Named } from './collections.js'
import type { MongoConnection } from './connection.js'
import { decodeEvents, encodeEvents } from './event-document.js'
import { fieldsOf, listOf, numberOf, textOf } from './fields.js'
import { FORMAT } from './formats.js'
import { lastBatch } from './last-batch.js'
import { isDuplicateKey, messageOf } from './mongo-errors.js'
import { inOneAnswer } from './one-answer.js'
import type { NewEvent } from '../../model/event.js'

/** Events that come together go together: milliseconds between the first one and its batch. */
const GATHER_MS = 20
/** How often somebody looks for what processes that ended have left. */
const LOOK_MS = 1_000
const DEVICES_IN_BATCH = 200
const EVENTS_IN_BATCH = 2_000
/** How often others may be first before it is left to the next look. */
const TRIES = 50

/** Which events of a device a batch holds: those of its changes up to version `upTo`. */
interface Source {
  readonly device: string
  readonly life: string
  readonly upTo: number
}

interface Gathered {
  readonly sources: readonly Source[]
  readonly events: readonly NewEvent[]
}

export interface RelayContext {
  readonly connection: MongoConnection
  readonly log: Logger
  /** A batch was added by this process. */
  readonly onBatch: (end: number, count: number) => void
  /** For tests. */
  readonly fault?: (point: 'events in the log') => Promise<void>
}

export class EventRelay {
  readonly #context: RelayContext
  readonly #timer: NodeJS.Timeout
  #gathering: NodeJS.Timeout | null = null
  /** The round under way, and whether something came behind its beginning. */
  #round: Promise<void> | null = null
  /** The last batch whose events are out of the devices' documents, as far as this process knows. */
  #settled = 0
  #failing = false
  #closed = false

  constructor(context: RelayContext) {
    this.#context = context
    this.#timer = setInterval(() => this.#start(), LOOK_MS)
    this.#timer.unref()
  }

  /** Something was told. */
  wake(): void {
    if (this.#closed) return
    this.#gathering ??= setTimeout(() => {
      this.#gathering = null
      this.#start()
    }, GATHER_MS)
  }

  #start(): void {
    this.bring().then(
      () => {
        this.#failing = false
      },
      (error: unknown) => {
        if (this.#closed || this.#failing) return
        // Said once; they wait where they are, and each look tries again.
        this.#failing = true
        this.#context.log.warn({ reason: messageOf(error) }, 'event_relay_failed')
      },
    )
  }

  /** Resolves when everything that was told before the call is in the log. Rejects as the database does. */
  async bring(): Promise<void> {
    const { collections } = this.#context.connection
    // A round under way may have looked already.
    while (this.#round !== null) await this.#round.catch(() => undefined)
    if (this.#closed) return
    this.#round = this.#bring(collections).finally(() => {
      this.#round = null
    })
    await this.#round
  }

  async #bring(collections: Collections): Promise<void> {
    for (let tries = 0; tries < TRIES;) {
      const gathered = await this.#gather(collections)
      if (gathered === null) return
      if (!(await this.#add(collections, gathered))) tries++
    }
  }

  /** Null: nothing waits. */
  async #gather(collections: Collections): Promise<(Gathered & { readonly first: number }) | null> {
    const { devices } = collections
    const last = await lastBatch(collections, this.#settled, { e: 0 })
    const fields = last === null ? null : fieldsOf(last)
    if (fields !== null && numberOf(fields, '_id') !== this.#settled) {
      await this.#takeOut(sourcesOf(listOf(fields, 'src')))
      this.#settled = numberOf(fields, '_id')
    }
    const found = await devices
      .find({ evV: { $gt: 0 } }, { projection: { n: 1, ev: 1 }, ...inOneAnswer(DEVICES_IN_BATCH) })
      .limit(DEVICES_IN_BATCH)
      .toArray()
    const sources: Source[] = []
    const events: NewEvent[] = []
    for (const document of found) {
      const source = gatherDevice(document, events)
      if (source !== null) sources.push(source)
      if (events.length >= EVENTS_IN_BATCH) break
    }
    if (sources.length === 0) return null
    const first = fields === null ? 1 : numberOf(fields, '_id') + numberOf(fields, 'n')
    return { sources, events, first }
  }

  /** False: another process was first. */
  async #add({ eventLog }: Collections, { sources, events, first }: Gathered & { readonly first: number }) {
    let newest = 0
    for (const { at } of events) newest = Math.max(newest, at)
    const document = {
      _id: first,
      f: FORMAT,
      n: events.length,
      newest,
      tag: randomBytes(4).toString('hex'),
      e: encodeEvents(events),
      src: sources.map(({ device, life, upTo }) => [device, life, upTo]),
    }
    try {
      await eventLog.insertOne(document)
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
    this.#context.onBatch(first + events.length - 1, events.length)
    await this.#context.fault?.('events in the log')
    await this.#takeOut(sources)
    this.#settled = first
    return true
  }

  /** Takes what is in the log out of the devices' documents. Doing it again changes nothing. */
  async #takeOut(sources: readonly Source[]): Promise<void> {
    const { devices } = this.#context.connection.collections
    const sorted = sources.toSorted((a, b) => (a.device < b.device ? -1 : 1))
    const operations = sorted.flatMap(({ device, life, upTo }): ReadonlyArray<AnyBulkWriteOperation<Named>> => {
      const all: Readonly<Record<string, unknown>> = { $set: { ev: [] }, $unset: { evV: 1 } }
      const part: Readonly<Record<string, unknown>> = { $pull: { ev: { v: { $lte: upTo } } } }
      // All of it; or, where another change told something meanwhile, what was there before. In this order: a device for which the
      // first is wrong stays one.
      return [
        { updateOne: { filter: { _id: device, n: life, evV: { $lte: upTo } }, update: all } },
        { updateOne: { filter: { _id: device, n: life, evV: { $gt: upTo } }, update: part } },
      ]
    })
    if (operations.length > 0) await devices.bulkWrite(operations, { ordered: true })
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    if (this.#gathering !== null) clearTimeout(this.#gathering)
    await this.#round?.catch(() => undefined)
  }
}

/** Adds what waits in a device's document to `events`, in order; null: nothing does. */
function gatherDevice(document: unknown, events: NewEvent[]): Source | null {
  const fields = fieldsOf(document)
  let upTo = 0
  for (const entry of fields.has('ev') ? listOf(fields, 'ev') : []) {
    if (events.length >= EVENTS_IN_BATCH) break
    const change = fieldsOf(entry, 'ev')
    upTo = numberOf(change, 'v')
    events.push(...decodeEvents(textOf(change, 'e')))
  }
  return upTo === 0 ? null : { device: textOf(fields, '_id'), life: textOf(fields, 'n'), upTo }
}

function sourcesOf(list: readonly unknown[]): readonly Source[] {
  return list.map((source) => {
    const [device, life, upTo]: readonly unknown[] = Array.isArray(source) ? source : []
    if (typeof device !== 'string' || typeof life !== 'string' || typeof upTo !== 'number')
      throw new RangeError('a batch of events in MongoDB is damaged')
    return { device, life, upTo }
  })
}
