// Dedup ids that have left the devices' documents.

import type { Collection } from 'mongodb'
import type { Keyed } from './collections.js'
import { dedupDocument, dedupKey, readDedupDocument } from './dedup-document.js'
import type { DedupEntry } from './device-state.js'
import { DUPLICATE_KEY, writeErrorsOf } from './mongo-errors.js'
import { inOneAnswer } from './one-answer.js'

export interface Asked {
  readonly life: string
  readonly idHash: Buffer
}

export interface Leaving {
  readonly life: string
  readonly entry: DedupEntry
  readonly until: number
}

export class DedupDocuments {
  readonly #collection: Collection<Keyed>

  constructor(collection: Collection<Keyed>) {
    this.#collection = collection
  }

  /** What is known of them, by life and by the hash as hex. */
  async find(asked: readonly Asked[]): Promise<ReadonlyMap<string, ReadonlyMap<string, DedupEntry>>> {
    const result = new Map<string, Map<string, DedupEntry>>()
    if (asked.length === 0) return result
    const keys = asked.map(({ life, idHash }) => dedupKey(life, idHash))
    const byKey = new Map(asked.map((each, i) => [keys[i]?.toString('hex') ?? '', each]))
    const found = await this.#collection.find({ _id: { $in: keys } }, inOneAnswer(keys.length)).toArray()
    for (const document of found) {
      const each = byKey.get(Buffer.from(document._id).toString('hex'))
      if (each === undefined) continue
      const entries = result.get(each.life) ?? new Map<string, DedupEntry>()
      entries.set(each.idHash.toString('hex'), readDedupDocument(document, each.idHash))
      result.set(each.life, entries)
    }
    return result
  }

  /** All of them are stored when it resolves. One that is there already stays, unless it is of an earlier use of the id. */
  async store(leaving: readonly Leaving[]): Promise<void> {
    const documents = leaving.map(({ life, entry, until }) => dedupDocument(life, entry, until))
    try {
      await this.#collection.insertMany(documents, { ordered: false })
    } catch (error) {
      const errors = writeErrorsOf(error)
      if (errors === null || errors.some(({ code }) => code !== DUPLICATE_KEY)) throw error
      for (const { index } of errors) {
        const document = documents[index]
        if (document === undefined) continue
        const { _id, ...fields } = document
        await this.#collection.updateOne({ _id, a: { $lt: fields.a } }, { $set: fields })
      }
    }
  }
}
