// Every question that the driver asks while suites run is noted by its form, and at the end the server says how it would answer it with
// collections that are large: by an index, or by looking at everything.

import type { AnyBulkWriteOperation, Collection, Document, Filter, Sort } from 'mongodb'
import type { Test } from 'tap'
import { type Collections, collectionsOf, makeIndexes } from '../../../core/stores/mongodb/collections.js'
import type { Databases } from './factory.js'

interface Question {
  readonly collection: keyof Collections
  readonly filter: Filter<Document>
  readonly sort: Sort | null
  readonly limit: number
}

/** What may look at everything: collections that are small whatever happens, and what is asked once, at a start. */
const WHOLE: ReadonlyMap<string, string> = new Map([
  ['apiKeys {}', 'all API keys are asked for'],
  ['webhooks {webhook: {$gt}}', 'all webhooks are asked for'],
  ['retained {}', 'at the start'],
  ['wills {}', 'at the start'],
  ['sessions {}', 'at the start'],
])
const DOCUMENTS = 3_000
const PAD = 'x'.repeat(300)

type Name = keyof Collections
type Call = (...args: readonly unknown[]) => unknown

export class Plans {
  readonly #asked = new Map<string, Question>()

  /** Notes what is asked of these collections from now on. */
  watch(collections: Collections): void {
    for (const name of namesOf(collections)) {
      const collection: object = collections[name]
      for (const method of [
        'findOne',
        'updateOne',
        'deleteOne',
        'deleteMany',
        'replaceOne',
        'findOneAndUpdate',
        'findOneAndDelete',
      ]) {
        around(collection, method, (call, args) => {
          this.#note(name, args[0], null, 0)
          return call(...args)
        })
      }
      around(collection, 'bulkWrite', (call, args) => {
        const operations: ReadonlyArray<AnyBulkWriteOperation> = Array.isArray(args[0]) ? args[0] : []
        for (const operation of operations)
          for (const part of Object.values(operation)) if ('filter' in part) this.#note(name, part.filter, null, 0)
        return call(...args)
      })
      around(collection, 'find', (call, args) => this.#watchCursor(name, args[0], call(...args)))
    }
  }

  #watchCursor(name: Name, filter: unknown, cursor: unknown): unknown {
    if (typeof cursor !== 'object' || cursor === null) return cursor
    const seen: { sort: Sort | null; limit: number } = { sort: null, limit: 0 }
    around(cursor, 'sort', (call, args) => {
      seen.sort = toSort(args[0])
      return call(...args)
    })
    around(cursor, 'limit', (call, args) => {
      seen.limit = Number(args[0])
      return call(...args)
    })
    for (const end of ['toArray', 'next'])
      around(cursor, end, (call, args) => {
        this.#note(name, filter, seen.sort, seen.limit)
        return call(...args)
      })
    const iterate: unknown = Reflect.get(cursor, Symbol.asyncIterator)
    if (typeof iterate === 'function')
      Reflect.set(cursor, Symbol.asyncIterator, () => {
        this.#note(name, filter, seen.sort, seen.limit)
        return Reflect.apply(iterate, cursor, [])
      })
    return cursor
  }

  #note(collection: Name, filter: unknown, sort: Sort | null, limit: number): void {
    const question = { collection, filter: toFilter(filter), sort, limit }
    const form = formOf(question)
    if (!this.#asked.has(form)) this.#asked.set(form, question)
  }

  /** Asserts that each form of a question uses an index. */
  async check(t: Test, databases: Databases): Promise<void> {
    const name = databases.take()
    const collections = collectionsOf(databases.server.admin.db(name))
    await makeIndexes(collections)
    const asked = [...this.#asked].toSorted(([a], [b]) => (a < b ? -1 : 1))
    for (const each of new Set(asked.map(([, { collection }]) => collection))) await fill(collections, each)
    for (const [form, { collection, filter, sort, limit }] of asked) {
      const all: Collection = databases.server.admin.db(name).collection(collections[collection].collectionName)
      const cursor = all.find(filter, sort === null ? { limit } : { limit, sort })
      const stages = stagesOf(await cursor.explain())
      const why = WHOLE.get(form)
      if (why !== undefined) t.pass(`${form}: ${why}`)
      else t.ok(stages.length > 0 && !stages.includes('COLLSCAN'), `${form}: ${stages.join(', ')}`)
    }
    await databases.giveBack(name)
  }
}

const namesOf = (collections: Collections): readonly Name[] =>
  Object.keys(collections).filter((name): name is Name => name in collections)

/** Puts itself before a method of one object. */
function around(target: object, method: string, instead: (call: Call, args: readonly unknown[]) => unknown): void {
  const own: unknown = Reflect.get(target, method)
  if (typeof own !== 'function') return
  const call: Call = (...args) => Reflect.apply(own, target, args)
  Reflect.set(target, method, (...args: readonly unknown[]) => instead(call, args))
}

const toFilter = (value: unknown): Filter<Document> =>
  typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}

function toSort(value: unknown): Sort {
  const pairs = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return Object.fromEntries(pairs.map(([field, order]) => [field, order === -1 ? -1 : 1]))
}

/** The same for questions that differ in values only. */
function formOf({ collection, filter, sort, limit }: Question): string {
  const order = sort === null ? '' : ` by ${JSON.stringify(sort)}`
  return `${collection} ${wordsOf(filter)}${order}${limit === 0 ? '' : ', limited'}`
}

function wordsOf(filter: object): string {
  const words = Object.entries(filter).map(([field, value]: readonly [string, unknown]) => {
    const plain = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
    return plain ? `${field}: {${Object.keys(value).join(', ')}}` : field
  })
  return `{${words.join(', ')}}`
}

/** So many documents that looking at all of them is never the cheapest. */
async function fill(collections: Collections, name: Name): Promise<void> {
  const some = Array.from({ length: DOCUMENTS }, (_, i) => i + 1)
  if (name === 'dedup')
    await collections.dedup.insertMany(some.map((n) => ({ _id: Buffer.from(`hash ${n}`.padEnd(27)), pad: PAD })))
  else if (name === 'uplinkLog' || name === 'eventLog' || name === 'sessionJournal')
    await collections[name].insertMany(some.map((n) => ({ _id: n, pad: PAD })))
  else if (name === 'sessionQueue')
    await collections.sessionQueue.insertMany(
      some.map((n) => ({ _id: `q${n}`, client: `c${n % 100}`, life: 1, number: n, pad: PAD })),
    )
  else if (name === 'devices')
    await collections.devices.insertMany(
      some.map((n) => ({
        _id: `d${n}`,
        n: 'life',
        v: 1,
        r: { node: n % 3 === 0 ? null : `node-${n % 50}` },
        ...(n % 100 === 0 ? { evV: 1, ev: [] } : {}),
        ...(n % 10 === 0 ? { due: n } : {}),
        pad: PAD,
      })),
    )
  else await collections[name].insertMany(some.map((n) => ({ _id: `other-${n}`, pad: PAD })))
}

/** The stages of a plan, wherever they stand in it. */
function stagesOf(plan: unknown): string[] {
  if (Array.isArray(plan)) return plan.flatMap(stagesOf)
  if (typeof plan !== 'object' || plan === null) return []
  return Object.entries(plan).flatMap(([name, value]: readonly [string, unknown]) =>
    name === 'stage' && typeof value === 'string' ? [value] : stagesOf(value),
  )
}
