import type { Clock } from '../../core/clock.js'
import { StoreUnavailable } from '../../core/errors.js'
import type { ApiKeyRecord, Credentials } from '../../core/ports/credentials.js'

/** What outlives a close. */
export interface ReferenceCredentialsState {
  readonly keys: Map<string, ApiKeyRecord>
  readonly revocations: Map<string, { readonly at: number; readonly keepUntil: number }>
}

/** Credentials in memory, the contract and nothing more. */
export function createReferenceCredentials(
  { keys, revocations }: ReferenceCredentialsState,
  clock: Clock,
): Credentials {
  let closed = false
  const check = (): void => {
    if (closed) throw new StoreUnavailable('the store is closed')
  }
  const byTime = (a: ApiKeyRecord, b: ApiKeyRecord): number =>
    a.createdAt - b.createdAt || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id))

  return {
    async addKey(key) {
      check()
      if (keys.has(key.id)) throw new RangeError('the key id is taken')
      keys.set(key.id, { ...key, scopes: [...key.scopes], hash: Buffer.from(key.hash) })
    },
    async getKey(id) {
      check()
      return keys.get(id) ?? null
    },
    async listKeys() {
      check()
      return [...keys.values()].toSorted(byTime)
    },
    async removeKey(id) {
      check()
      return keys.delete(id)
    },
    async revoke(device, at, keepUntil) {
      check()
      const before = revocations.get(device)
      revocations.set(device, {
        at: Math.max(at, before?.at ?? at),
        keepUntil: Math.max(keepUntil, before?.keepUntil ?? keepUntil),
      })
    },
    async revokedAt(device) {
      check()
      const found = revocations.get(device)
      return found === undefined || found.keepUntil < clock.now() ? null : found.at
    },
    async close() {
      closed = true
    },
  }
}
