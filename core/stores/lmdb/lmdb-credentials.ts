// The Credentials port on the embedded store: a few small records, written with the group commits of the mailbox.

import { StoreUnavailable } from '../../errors.js'
import { type ApiKeyRecord, type Credentials, type Scope, SCOPES } from '../../ports/credentials.js'
import { ByteReader, ByteWriter } from './bytes.js'
import type { Engine } from './engine.js'
import { deviceKey } from './tables.js'

const FORMAT = 1

export class LmdbCredentials implements Credentials {
  readonly #engine: Engine
  /** Keys of groups that are not stored yet: two calls at once must not both take an id. */
  readonly #adding = new Set<string>()
  readonly #revoking = new Map<string, { readonly at: number; readonly keepUntil: number }>()
  #closed = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  async addKey(key: ApiKeyRecord): Promise<void> {
    this.#open()
    const id = deviceKey(key.id)
    if (this.#adding.has(key.id) || this.#engine.tables.keys.get(id) !== undefined) {
      throw new RangeError(`the API key id ${key.id} is taken`)
    }
    this.#adding.add(key.id)
    try {
      await this.#write(() => void this.#engine.tables.keys.put(id, encodeKey(key)))
    } finally {
      this.#adding.delete(key.id)
    }
  }

  async getKey(id: string): Promise<ApiKeyRecord | null> {
    this.#open()
    const value = id === '' ? undefined : this.#engine.tables.keys.get(deviceKey(id))
    return Promise.resolve(value === undefined ? null : decodeKey(id, value))
  }

  async listKeys(): Promise<readonly ApiKeyRecord[]> {
    this.#open()
    const keys: ApiKeyRecord[] = []
    for (const { key, value } of this.#engine.tables.keys.getRange({})) {
      keys.push(decodeKey(key.toString('utf8'), Buffer.from(value)))
    }
    keys.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
    return Promise.resolve(keys)
  }

  async removeKey(id: string): Promise<boolean> {
    if ((await this.getKey(id)) === null) return false
    await this.#write(() => void this.#engine.tables.keys.remove(deviceKey(id)))
    return true
  }

  async revoke(device: string, at: number, keepUntil: number): Promise<void> {
    this.#open()
    const stored = this.#revoking.get(device) ?? this.#revocation(device)
    const next = { at: Math.max(at, stored?.at ?? 0), keepUntil: Math.max(keepUntil, stored?.keepUntil ?? 0) }
    this.#revoking.set(device, next)
    try {
      await this.#write(() => {
        const out = new ByteWriter(16)
        out.u8(FORMAT)
        out.u48(next.at)
        out.u48(next.keepUntil)
        void this.#engine.tables.revocations.put(deviceKey(device), out.take())
      })
    } finally {
      if (this.#revoking.get(device) === next) this.#revoking.delete(device)
    }
  }

  async revokedAt(device: string): Promise<number | null> {
    this.#open()
    const stored = this.#revocation(device)
    return Promise.resolve(stored === null || stored.keepUntil < this.#engine.clock.now() ? null : stored.at)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  #revocation(device: string): { readonly at: number; readonly keepUntil: number } | null {
    const value = this.#engine.tables.revocations.get(deviceKey(device))
    if (value === undefined) return null
    const input = new ByteReader(value)
    checkFormat(input)
    return { at: input.u48(), keepUntil: input.u48() }
  }

  async #write(write: () => void): Promise<void> {
    const group = this.#engine.groups.enter()
    group.writes.push(write)
    await group.done
  }

  #open(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }
}

function encodeKey(key: ApiKeyRecord): Buffer {
  const out = new ByteWriter(128)
  out.u8(FORMAT)
  out.u48(key.createdAt)
  out.u8(key.scopes.length)
  for (const scope of key.scopes) out.text(scope)
  out.text(key.name)
  out.bytes(key.hash)
  return out.take()
}

function decodeKey(id: string, value: Buffer): ApiKeyRecord {
  const input = new ByteReader(value)
  checkFormat(input)
  const createdAt = input.u48()
  const scopes: Scope[] = []
  for (let n = input.u8(); n > 0; n--) {
    const text = input.text()
    const scope = SCOPES.find((known) => known === text)
    if (scope !== undefined) scopes.push(scope)
  }
  return { id, createdAt, scopes, name: input.text(), hash: input.rest() }
}

function checkFormat(input: ByteReader): void {
  const format = input.u8()
  if (format !== FORMAT) throw new RangeError(`a credential record has the unknown format ${format}`)
}
