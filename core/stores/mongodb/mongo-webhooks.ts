// The WebhookStore port on MongoDB: one document a webhook, with its progress and its lease. As a device, it is read, the change is
// decided here, and written by one update that counts only if nobody changed the document meanwhile.

import { StoreUnavailable } from '../../errors.js'
import { decodeWebhook, encodeWebhook } from '../../model/webhook-record.js'
import { randomId } from '../../random-id.js'
import type { Lease, ParkedEvent, ProgressChange, Webhook, WebhookStore } from '../../ports/webhook-store.js'
import { CallGate } from '../call-gate.js'
import type { MongoConnection } from './connection.js'
import { type Fields, fieldsOf, listOf, numberOf, textOf } from './fields.js'
import { FORMAT, readableFormat } from './formats.js'
import { explainFailure, isDuplicateKey } from './mongo-errors.js'

/** Where the next token of a lease stands; no id of a webhook. */
const TOKENS_ID = ' tokens'
const TRIES = 100

/** All that is parked of a webhook stands in its document, which has at most 16 MiB: characters of up to three bytes. */
export const MONGO_PARKED_MAX_BYTES = 4 * 1024 * 1024

type Pair = readonly [key: string, value: string]
interface Kept {
  readonly life: string
  readonly version: number
  readonly webhook: string
  readonly cursors: readonly Pair[]
  readonly parked: readonly Pair[]
  readonly token: number
  readonly node: string
  readonly until: number
}
type Change = Partial<Pick<Kept, 'webhook' | 'cursors' | 'parked' | 'token' | 'node' | 'until'>>

export class MongoWebhooks implements WebhookStore {
  readonly #connection: MongoConnection
  readonly #gate = new CallGate()

  constructor(connection: MongoConnection) {
    this.#connection = connection
  }

  put(webhook: Webhook, was: Webhook | null, cursors: ReadonlyMap<string, string>): Promise<boolean> {
    const text = encodeWebhook(webhook)
    return this.#call(async () => {
      if (was === null) return this.#insert(webhook.id, text, cursors)
      return this.#change(webhook.id, false, (kept) => {
        if (kept.webhook !== encodeWebhook(was)) return { result: false, change: null }
        // Where reading began stays.
        return { result: true, change: { webhook: text, cursors: merged([...cursors], kept.cursors) } }
      })
    })
  }

  async #insert(id: string, webhook: string, cursors: ReadonlyMap<string, string>): Promise<boolean> {
    const document = { f: FORMAT, life: randomId(), v: 1, webhook, token: 0, node: '', until: 0 }
    try {
      await this.#webhooks.insertOne({ _id: id, ...document, cursors: [...cursors], parked: [] })
      return true
    } catch (error) {
      if (isDuplicateKey(error)) return false
      throw error
    }
  }

  get(id: string): Promise<Webhook | null> {
    return this.#call(async () => {
      const kept = await this.#read(id, false)
      return kept === null ? null : decodeWebhook(kept.webhook)
    })
  }

  list(): Promise<readonly Webhook[]> {
    return this.#call(async () => {
      const found = await this.#webhooks.find({ webhook: { $gt: '' } }, { projection: { parked: 0 } }).toArray()
      const order = (a: Webhook, b: Webhook): number => (a.id < b.id ? -1 : 1)
      return found.map((each) => decodeWebhook(readKept(each).webhook)).toSorted(order)
    })
  }

  remove(id: string): Promise<boolean> {
    return this.#call(async () => (await this.#webhooks.deleteOne({ _id: id })).deletedCount === 1)
  }

  acquire(id: string, node: string, ttlMs: number): Promise<Lease | null> {
    return this.#call(async () => {
      const known = await this.#read(id, false)
      if (known === null) return null
      // Behind the look: greater than every token that this life of the webhook has seen by then.
      let token = await this.#nextToken()
      for (let tries = 0; tries < TRIES; tries++) {
        const kept = await this.#read(id, true)
        if (kept === null) return null
        if (kept.life !== known.life || kept.token >= token) token = await this.#nextToken()
        const now = this.#connection.now()
        if (kept.until > now && kept.node !== node) return null
        if (!(await this.#write(id, kept, { token, node, until: now + ttlMs }))) continue
        const parked = kept.parked.map(([key, value]): ParkedEvent => ({ key, value }))
        parked.sort((a, b) => (a.key < b.key ? -1 : 1))
        return { token, progress: { cursors: new Map(kept.cursors), parked } }
      }
      throw new StoreUnavailable('the webhook changes faster than it can be taken')
    })
  }

  commit(id: string, token: number, { cursors, park, unpark }: ProgressChange, ttlMs: number): Promise<boolean> {
    return this.#call(() =>
      this.#change(id, park.length + unpark.length > 0, (kept) => {
        const now = this.#connection.now()
        if (kept.token !== token || kept.until <= now) return { result: false, change: null }
        const parked = merged(
          kept.parked,
          park.map(({ key, value }): Pair => [key, value]),
        ).filter(([key]) => !unpark.includes(key))
        return {
          result: true,
          change: {
            until: now + ttlMs,
            ...(cursors.size === 0 ? {} : { cursors: merged(kept.cursors, [...cursors]) }),
            ...(park.length + unpark.length === 0 ? {} : { parked }),
          },
        }
      }),
    )
  }

  release(id: string, token: number): Promise<void> {
    return this.#call(async () => {
      await this.#change(id, false, (kept) => ({
        result: kept.token === token,
        change: kept.token === token ? { until: 0, node: '' } : null,
      }))
    })
  }

  close(): Promise<void> {
    return this.#gate.close()
  }

  get #webhooks() {
    return this.#connection.collections.webhooks
  }

  async #read(id: string, whole: boolean): Promise<Kept | null> {
    if (id === TOKENS_ID) return null
    const found = await this.#webhooks.findOne({ _id: id }, whole ? {} : { projection: { parked: 0 } })
    return found === null ? null : readKept(found)
  }

  /** Reads, decides, writes what was decided; again when somebody else wrote meanwhile. False: there is no such webhook. */
  async #change(
    id: string,
    whole: boolean,
    decide: (kept: Kept) => { readonly result: boolean; readonly change: Change | null },
  ): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const kept = await this.#read(id, whole)
      if (kept === null) return false
      const { result, change } = decide(kept)
      if (change === null || (await this.#write(id, kept, change))) return result
    }
    throw new StoreUnavailable('the webhook changes faster than it can be written')
  }

  async #write(id: string, { life, version }: Kept, change: Change): Promise<boolean> {
    const update = { $set: { ...change, v: version + 1 } }
    return (await this.#webhooks.updateOne({ _id: id, life, v: version }, update)).matchedCount === 1
  }

  async #nextToken(): Promise<number> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.#webhooks.findOneAndUpdate(
        { _id: TOKENS_ID },
        { $inc: { token: 1 } },
        { returnDocument: 'after' },
      )
      if (found !== null) return numberOf(fieldsOf(found), 'token')
      await this.#webhooks.insertOne({ _id: TOKENS_ID, token: 0 }).catch((error: unknown) => {
        if (!isDuplicateKey(error)) throw error
      })
    }
    throw new StoreUnavailable('there is no token for a lease')
  }

  #call<T>(call: () => Promise<T>): Promise<T> {
    return this.#gate.run(async () => {
      try {
        return await call()
      } catch (error) {
        throw error instanceof RangeError ? error : explainFailure(error)
      }
    })
  }
}

/** What is in both is as in `later`. */
const merged = (first: readonly Pair[], later: readonly Pair[]): readonly Pair[] => [...new Map([...first, ...later])]

function readKept(document: unknown): Kept {
  const fields = fieldsOf(document)
  readableFormat(numberOf(fields, 'f'), 'a webhook in MongoDB')
  return {
    life: textOf(fields, 'life'),
    version: numberOf(fields, 'v'),
    webhook: textOf(fields, 'webhook'),
    cursors: pairsOf(fields, 'cursors'),
    parked: fields.has('parked') ? pairsOf(fields, 'parked') : [],
    token: numberOf(fields, 'token'),
    node: textOf(fields, 'node'),
    until: numberOf(fields, 'until'),
  }
}

function pairsOf(fields: Fields, name: string): readonly Pair[] {
  return listOf(fields, name).map((pair): Pair => {
    const [key, value]: readonly unknown[] = Array.isArray(pair) ? pair : []
    if (typeof key !== 'string' || typeof value !== 'string') throw new RangeError('a webhook in MongoDB is damaged')
    return [key, value]
  })
}
