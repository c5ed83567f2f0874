// The SessionStore port on MongoDB. A write is one document of a journal, so that it is stored as a whole or not at all without a
// transaction; it is brought into the other collections behind that, and before anything is read (session-tables.ts).

import { StoreUnavailable } from '../../errors.js'
import type { OrdinaryMessage } from '../../model/ordinary-message.js'
import { ordinarySize } from '../../model/ordinary-message.js'
import type { QueuedMessage, SessionChange, SessionStore, StoredSession } from '../../ports/session-store.js'
import type { Named, Numbered } from './collections.js'
import type { MongoConnection } from './connection.js'
import { fieldsOf, listOf, numberOf } from './fields.js'
import { FORMAT } from './formats.js'
import { explainFailure, explainUnanswered } from './mongo-errors.js'
import { changeWeight, readChange, readOrdinary, readQueued, readSession, storedSession } from './session-changes.js'
import { applyEntries, type JournalEntry } from './session-tables.js'

/** Writes share a document of the journal up to about here. */
const STEP_CHANGES = 2_000
const STEP_BYTES = 1024 * 1024
/** A document holds no more than this; a write that is larger takes several, which count together. */
const DOCUMENT_BYTES = 12 * 1024 * 1024
const PAGE = 100
const APPLY_AT_ONCE = 16
const META = 'session_journal'

interface Waiting {
  readonly changes: readonly SessionChange[]
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

export class MongoSessions implements SessionStore {
  readonly #connection: MongoConnection
  #waiting: Waiting[] = []
  #running: Promise<void> | null = null
  /** Stored in the journal, not yet applied, in order. */
  #unapplied: JournalEntry[] = []
  #applying: Promise<void> | null = null
  /** The last number of the journal; null: unknown, to be read. */
  #last: number | null = null
  #closed = false

  constructor(connection: MongoConnection) {
    this.#connection = connection
  }

  write(changes: readonly SessionChange[]): Promise<void> {
    this.#check()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const step = this.#takeStep()
      try {
        await this.#store(step.flatMap((write) => write.changes))
        for (const { resolve } of step) resolve()
        this.#applying ??= this.#apply()
      } catch (error) {
        // The writer reads everything again; what it decided on top of this is void.
        const all = [...step, ...this.#waiting]
        this.#waiting = []
        this.#last = null
        for (const { reject } of all) reject(explainFailure(error))
      }
    }
    // In the same turn as the last look at what waits: what comes later starts anew.
    this.#running = null
  }

  #takeStep(): readonly Waiting[] {
    let count = 0
    let changes = 0
    let bytes = 0
    for (const write of this.#waiting) {
      changes += write.changes.length
      for (const change of write.changes) bytes += changeWeight(change)
      if (count > 0 && (changes > STEP_CHANGES || bytes > STEP_BYTES)) break
      count++
    }
    const step = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    return step
  }

  async #store(changes: readonly SessionChange[]): Promise<void> {
    if (changes.length === 0) return
    if (this.#last === null) await this.#recover()
    const { sessionJournal } = this.#connection.collections
    const parts = partsOf(changes)
    let number = this.#last ?? 0
    const entries: JournalEntry[] = []
    for (const [i, part] of parts.entries()) {
      number++
      const document: Numbered = { _id: number, f: FORMAT, changes: [...part], more: i < parts.length - 1 }
      await sessionJournal.insertOne(document)
      entries.push({ number, changes: part })
    }
    this.#last = number
    this.#unapplied.push(...entries)
  }

  /** What is in the journal is applied when this resolves, and its last number known. */
  async #recover(): Promise<void> {
    const { sessionJournal, meta } = this.#connection.collections
    this.#unapplied = []
    const kept = await meta.findOne({ _id: META })
    const applied = kept === null ? 0 : numberOf(fieldsOf(kept), 'applied')
    const found = await sessionJournal
      .find({ _id: { $gt: applied } })
      .sort({ _id: 1 })
      .toArray()
    let whole: JournalEntry[] = []
    let part: JournalEntry[] = []
    for (const document of found) {
      const fields = fieldsOf(document)
      part.push({ number: numberOf(fields, '_id'), changes: listOf(fields, 'changes').map(readChange) })
      if (fields.get('more') === true) continue
      whole = [...whole, ...part]
      part = []
    }
    const last = whole.at(-1)?.number ?? applied
    // A write whose last document is not there was never answered: it did not happen.
    if (part.length > 0) await sessionJournal.deleteMany({ _id: { $gt: last } })
    this.#unapplied = whole
    await this.#applyAll()
    this.#last = last
  }

  async #apply(): Promise<void> {
    try {
      await this.#applyAll()
    } catch {
      // The journal has it: the next read, or the next start, applies it again.
      this.#last = null
    } finally {
      this.#applying = null
    }
  }

  async #applyAll(): Promise<void> {
    const { collections } = this.#connection
    while (this.#unapplied.length > 0) {
      const entries = this.#unapplied.slice(0, APPLY_AT_ONCE)
      const last = entries.at(-1)?.number ?? 0
      await applyEntries(collections, entries)
      const noted = await collections.meta.updateOne({ _id: META }, { $set: { applied: last } })
      if (noted.matchedCount === 0) await collections.meta.insertOne({ _id: META, applied: last })
      this.#unapplied = this.#unapplied.slice(entries.length)
      await collections.sessionJournal.deleteMany({ _id: { $lte: last } })
    }
  }

  /** Every write whose promise has resolved is in the collections when this resolves. */
  async #upToDate(): Promise<void> {
    this.#check()
    try {
      await this.#running
      await this.#applying
      if (this.#last === null) await this.#recover()
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  async *sessions(): AsyncGenerator<StoredSession> {
    for await (const document of this.#all('sessions')) yield storedSession(readSession(document))
  }

  async *retained(): AsyncGenerator<OrdinaryMessage> {
    for await (const document of this.#all('retained')) yield readOrdinary(document)
  }

  async *wills(): AsyncGenerator<{ readonly client: string; readonly message: OrdinaryMessage }> {
    for await (const document of this.#all('wills')) yield { client: document._id, message: readOrdinary(document) }
  }

  async *#all(name: 'sessions' | 'retained' | 'wills') {
    await this.#upToDate()
    try {
      const collection = this.#connection.collections[name]
      for (let after: string | null = null; ;) {
        const query = collection.find(after === null ? {} : { _id: { $gt: after } })
        const found: Named[] = await query.sort({ _id: 1 }).limit(PAGE).toArray()
        yield* found
        after = found.at(-1)?._id ?? null
        if (found.length < PAGE) return
      }
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  async queue(client: string, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]> {
    await this.#upToDate()
    const { sessions, sessionQueue } = this.#connection.collections
    try {
      const session = await sessions.findOne({ _id: client }, { projection: { life: 1 } })
      if (session === null) return []
      const life = numberOf(fieldsOf(session), 'life')
      const messages: QueuedMessage[] = []
      let bytes = 0
      for (let from = after; ;) {
        const want = Math.min(PAGE, limit - messages.length)
        const query = sessionQueue.find({ client, life, number: { $gt: from } })
        const found = await query.sort({ number: 1 }).limit(want).toArray()
        for (const document of found) {
          const message = readQueued(document)
          messages.push(message)
          from = message.number
          bytes += ordinarySize(message)
          if (bytes >= maxBytes) return messages
        }
        if (found.length < want || messages.length >= limit) return messages
      }
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
    await this.#applying
  }

  #check(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }
}

function partsOf(changes: readonly SessionChange[]): ReadonlyArray<readonly SessionChange[]> {
  const parts: SessionChange[][] = [[]]
  let bytes = 0
  for (const change of changes) {
    const weight = changeWeight(change)
    if (bytes > 0 && bytes + weight > DOCUMENT_BYTES) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(change)
    bytes += weight
  }
  return parts
}
