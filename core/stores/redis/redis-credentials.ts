// The Credentials port on Redis: one hash of API keys, one key for each revoked device.

import type { Clock } from '../../clock.js'
import { SCOPES, type ApiKeyRecord, type Credentials, type Scope } from '../../ports/credentials.js'
import { CallGate } from '../call-gate.js'
import { ask, changeKeys, type StoreContext, timeArgument } from './device-scripts.js'
import { FORMAT, readableFormat } from './formats.js'
import { API_KEYS_KEY, revocationKey } from './keys.js'
import { explainFailure } from './redis-errors.js'
import { listOf, numberOf, textOf } from './reply.js'

export class RedisCredentials implements Credentials {
  readonly #context: StoreContext
  readonly #clock: Clock
  readonly #gate = new CallGate()

  constructor(context: StoreContext, clock: Clock) {
    this.#context = context
    this.#clock = clock
  }

  addKey(key: ApiKeyRecord): Promise<void> {
    return this.#gate.run(async () => {
      if (numberOf(await this.#change('hsetnx', [API_KEYS_KEY, key.id, encodeKey(key)])) === 0) {
        throw new RangeError('the key id is taken')
      }
    })
  }

  getKey(id: string): Promise<ApiKeyRecord | null> {
    return this.#gate.run(async () => {
      const found = await ask(this.#context, 'hget', [API_KEYS_KEY, id])
      return found === null ? null : decodeKey(textOf(found))
    })
  }

  listKeys(): Promise<readonly ApiKeyRecord[]> {
    return this.#gate.run(async () => {
      const keys = listOf(await ask(this.#context, 'hvals', [API_KEYS_KEY])).map((value) => decodeKey(textOf(value)))
      return keys.toSorted((a, b) => a.createdAt - b.createdAt || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)))
    })
  }

  removeKey(id: string): Promise<boolean> {
    return this.#gate.run(async () => numberOf(await this.#change('hdel', [API_KEYS_KEY, id])) === 1)
  }

  revoke(device: string, at: number, keepUntil: number): Promise<void> {
    return this.#gate.run(async () => {
      await changeKeys(this.#context, 'revoke', [revocationKey(device)], [timeArgument(this.#context), at, keepUntil])
    })
  }

  revokedAt(device: string): Promise<number | null> {
    return this.#gate.run(async () => {
      const found = await ask(this.#context, 'get', [revocationKey(device)])
      if (found === null) return null
      const [, at = 0, keepUntil = 0] = textOf(found).split(' ').map(Number)
      return keepUntil < this.#clock.now() ? null : at
    })
  }

  close(): Promise<void> {
    return this.#gate.close()
  }

  async #change(name: string, args: readonly [string, ...string[]]): Promise<unknown> {
    try {
      return await this.#context.connections.command(name, args, true)
    } catch (error) {
      throw explainFailure(error)
    }
  }
}

function encodeKey({ id, name, scopes, hash, createdAt }: ApiKeyRecord): string {
  return JSON.stringify({ format: FORMAT, id, name, scopes, hash: Buffer.from(hash).toString('base64'), createdAt })
}

const isScope = (value: unknown): value is Scope => SCOPES.some((scope) => scope === value)

function decodeKey(text: string): ApiKeyRecord {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new RangeError('an API key in Redis is damaged')
  const fields = new Map<string, unknown>(Object.entries(value))
  readableFormat(fields.get('format'), 'an API key in Redis')
  const [id, name, hash] = ['id', 'name', 'hash'].map((field) => fields.get(field))
  const scopes = fields.get('scopes')
  const createdAt = fields.get('createdAt')
  if (typeof id !== 'string' || typeof name !== 'string' || typeof hash !== 'string') {
    throw new RangeError('an API key in Redis is damaged')
  }
  if (!Array.isArray(scopes) || !scopes.every(isScope) || typeof createdAt !== 'number') {
    throw new RangeError('an API key in Redis is damaged')
  }
  return { id, name, scopes, hash: Buffer.from(hash, 'base64'), createdAt }
}
