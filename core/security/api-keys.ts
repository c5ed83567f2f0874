import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { systemClock, type Clock } from '../clock.js'
import { StartupError } from '../errors.js'
import type { ApiKeyRecord, Credentials, Scope } from '../ports/credentials.js'

/**
 * `prk_<id>_<secret>`: the id is 64 random bits in hex (public, names the key, no character that a shell or a URL minds),
 * the secret 256 random bits in base64url. Only the secret's SHA-256 is stored: it has too many bits to be guessed, so a
 * slow hash would add nothing.
 */
const PATTERN = /^prk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/

/** How long a revoked key may still be taken by a node that did not hear of it. */
export const KEY_CACHE_MS = 1_000
const KEY_CACHE_MAX = 10_000

/** The id under which the operator's key (environment or data folder) is known in logs. */
export const OPERATOR_KEY_ID = 'operator'

const sha256 = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest()

/**
 * The operator's keys as people write them: split at commas, each part trimmed. Put the new one in front, move every client to
 * it, take the old one away. Throws a StartupError that names `source` (never a key) when a part is empty.
 */
export function parseOperatorKeys(text: string, source: string): readonly string[] {
  const keys = text.split(',').map((part) => part.trim())
  const empty = keys.indexOf('')
  if (empty >= 0) throw new StartupError(`${source}: API key ${empty + 1} is empty`)
  return keys
}

/** The text of a new random key, and its parts. */
export function generateApiKey(): { readonly key: string; readonly id: string; readonly secret: string } {
  const id = randomBytes(8).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  return { key: `prk_${id}_${secret}`, id, secret }
}

/** A new key: `key` is shown this once, `record` is what is stored. */
export function createApiKey(
  name: string,
  scopes: readonly Scope[],
  clock: Clock,
): { readonly key: string; readonly record: ApiKeyRecord } {
  const { key, id, secret } = generateApiKey()
  return { key, record: { id, name, scopes, hash: sha256(secret), createdAt: clock.now() } }
}

export interface Identity {
  readonly id: string
  readonly scopes: readonly Scope[]
}

export interface Keyring {
  /** Who holds `key`; null when nobody does. Rejects with `StoreUnavailable` when the store cannot tell. */
  authenticate(key: string): Promise<Identity | null>
  /** Call after a key was removed on this node: it is refused at once instead of within a second. */
  forget(id: string): void
  /** From now on these are the operator's keys. */
  useOperatorKeys(keys: readonly string[]): void
}

/**
 * Knows API keys. Every comparison is of SHA-256 digests in constant time. A record is remembered for at most a second;
 * that a key does not exist is never remembered, so a new key works at once.
 */
export function createKeyring(options: {
  readonly credentials: Pick<Credentials, 'getKey'>
  /** The operator's keys, each with all scopes: two while one takes the other's place. */
  readonly operatorKeys?: readonly string[]
  readonly clock?: Clock
}): Keyring {
  const { credentials, clock = systemClock } = options
  let operators = (options.operatorKeys ?? []).map(sha256)
  const cache = new Map<string, { readonly record: ApiKeyRecord; readonly until: number }>()

  async function lookUp(id: string): Promise<ApiKeyRecord | null> {
    // The time before the read: a record is never older than the cache says.
    const now = clock.monotonic()
    const cached = cache.get(id)
    if (cached !== undefined && now < cached.until) return cached.record
    cache.delete(id)
    const record = await credentials.getKey(id)
    if (record !== null) {
      if (cache.size >= KEY_CACHE_MAX) cache.clear()
      cache.set(id, { record, until: now + KEY_CACHE_MS })
    }
    return record
  }

  /** Compares with all of them, also after one that is equal. */
  function isOperator(key: string): boolean {
    const digest = sha256(key)
    let equal = false
    for (const operator of operators) equal = timingSafeEqual(digest, operator) || equal
    return equal
  }

  return {
    async authenticate(key) {
      if (isOperator(key)) return { id: OPERATOR_KEY_ID, scopes: ['admin'] }
      const [, id, secret] = PATTERN.exec(key) ?? []
      if (id === undefined || secret === undefined) return null
      const record = await lookUp(id)
      if (record === null || !timingSafeEqual(sha256(secret), record.hash)) return null
      return { id: record.id, scopes: record.scopes }
    },
    forget(id) {
      cache.delete(id)
    },
    useOperatorKeys(keys) {
      operators = keys.map(sha256)
    },
  }
}
