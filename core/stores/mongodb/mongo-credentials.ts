// The Credentials port on MongoDB: a document for each API key and each revoked device.

import { SCOPES, type ApiKeyRecord, type Credentials, type Scope } from '../../ports/credentials.js'
import { CallGate } from '../call-gate.js'
import type { MongoConnection } from './connection.js'
import { GRACE_MS } from './device-document.js'
import { bytesOf, fieldsOf, listOf, numberOf, textOf } from './fields.js'
import { FORMAT, readableFormat } from './formats.js'
import { explainFailure, explainUnanswered, isDuplicateKey } from './mongo-errors.js'

export class MongoCredentials implements Credentials {
  readonly #connection: MongoConnection
  readonly #gate = new CallGate()

  constructor(connection: MongoConnection) {
    this.#connection = connection
  }

  addKey({ id, name, scopes, hash, createdAt }: ApiKeyRecord): Promise<void> {
    return this.#gate.run(async () => {
      const document = { _id: id, f: FORMAT, name, scopes: [...scopes], hash: Buffer.from(hash), createdAt }
      try {
        await this.#connection.collections.apiKeys.insertOne(document)
      } catch (error) {
        if (isDuplicateKey(error)) throw new RangeError('the key id is taken')
        throw explainFailure(error)
      }
    })
  }

  getKey(id: string): Promise<ApiKeyRecord | null> {
    return this.#ask(async ({ apiKeys }) => {
      const found = await apiKeys.findOne({ _id: id })
      return found === null ? null : readKey(found)
    })
  }

  listKeys(): Promise<readonly ApiKeyRecord[]> {
    return this.#ask(async ({ apiKeys }) => {
      const keys = (await apiKeys.find({}).toArray()).map(readKey)
      return keys.toSorted((a, b) => a.createdAt - b.createdAt || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)))
    })
  }

  removeKey(id: string): Promise<boolean> {
    return this.#do(async ({ apiKeys }) => (await apiKeys.deleteOne({ _id: id })).deletedCount === 1)
  }

  revoke(device: string, at: number, keepUntil: number): Promise<void> {
    return this.#do(async ({ revocations }) => {
      const until = new Date(keepUntil + GRACE_MS)
      const raise = () => revocations.updateOne({ _id: device }, { $max: { at, keepUntil, until } })
      if ((await raise()).matchedCount === 1) return
      try {
        await revocations.insertOne({ _id: device, f: FORMAT, at, keepUntil, until })
      } catch (error) {
        if (!isDuplicateKey(error)) throw error
        await raise()
      }
    })
  }

  revokedAt(device: string): Promise<number | null> {
    return this.#ask(async ({ revocations }) => {
      const found = await revocations.findOne({ _id: device })
      if (found === null) return null
      const fields = fieldsOf(found)
      return numberOf(fields, 'keepUntil') < this.#connection.now() ? null : numberOf(fields, 'at')
    })
  }

  close(): Promise<void> {
    return this.#gate.close()
  }

  #ask<T>(question: (collections: MongoConnection['collections']) => Promise<T>): Promise<T> {
    return this.#gate.run(async () => {
      try {
        return await question(this.#connection.collections)
      } catch (error) {
        throw error instanceof RangeError ? error : explainUnanswered(error)
      }
    })
  }

  #do<T>(change: (collections: MongoConnection['collections']) => Promise<T>): Promise<T> {
    return this.#gate.run(async () => {
      try {
        return await change(this.#connection.collections)
      } catch (error) {
        throw explainFailure(error)
      }
    })
  }
}

const isScope = (value: unknown): value is Scope => SCOPES.some((scope) => scope === value)

function readKey(document: unknown): ApiKeyRecord {
  const fields = fieldsOf(document)
  readableFormat(numberOf(fields, 'f'), 'an API key in MongoDB')
  const scopes = listOf(fields, 'scopes')
  if (!scopes.every(isScope)) throw new RangeError('an API key in MongoDB is damaged')
  return {
    id: textOf(fields, '_id'),
    name: textOf(fields, 'name'),
    scopes,
    hash: bytesOf(fields, 'hash'),
    createdAt: numberOf(fields, 'createdAt'),
  }
}
