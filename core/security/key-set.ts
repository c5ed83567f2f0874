// Reading a JWKS (RFC 7517): which keys of it may verify tokens, and with which algorithm each.
//
// The algorithm follows from the kind of key and nothing else. A symmetric key in a JWKS is no secret, and is never used; so
// no token can choose to be verified by a key with an algorithm that is not the key's.

import { importJWK, type CryptoKey, type JWK } from 'jose'

export const PUBLIC_ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const
export type PublicAlgorithm = (typeof PUBLIC_ALGORITHMS)[number]

export interface PublicKey {
  /** The key's name in the set; null: it has none. */
  readonly kid: string | null
  readonly algorithm: PublicAlgorithm
  readonly key: CryptoKey
}

export interface KeySet {
  readonly keys: readonly PublicKey[]
  /** Why others in the set are not used, such as `keys[2]: a symmetric key`. Never holds key material. */
  readonly ignored: readonly string[]
}

/** The text is no key set, or has no key that can be used. */
export class KeySetError extends Error {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'KeySetError'
  }
}

/** Characters of a JWKS; a hundred RSA keys with their certificates are far less. */
export const KEY_SET_MAX_BYTES = 256 * 1024
export const KEY_SET_MAX_KEYS = 100
/** Characters of a `kid`, in a set and in a token. */
export const KID_MAX_LENGTH = 256

const RSA_MIN_BITS = 2_048
/** Verifying with larger ones takes long enough to be an attack. */
const RSA_MAX_BITS = 8_192

type Entry = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Rejects with KeySetError. */
export async function readKeySet(text: string): Promise<KeySet> {
  const entries = entriesOf(text)
  const keys: PublicKey[] = []
  const ignored: string[] = []
  for (const [index, entry] of entries.entries()) {
    const read = await readKey(entry)
    if (typeof read === 'string') ignored.push(`keys[${index}]: ${read}`)
    else if (keys.some(({ kid, algorithm }) => kid === read.kid && kid !== null && algorithm === read.algorithm)) {
      ignored.push(`keys[${index}]: another key has the same kid`)
    } else keys.push(read)
  }
  if (keys.length === 0)
    throw new KeySetError(`no key that can be used${ignored[0] === undefined ? '' : ` (${ignored[0]})`}`)
  return { keys, ignored }
}

function entriesOf(text: string): readonly unknown[] {
  if (text.length > KEY_SET_MAX_BYTES) throw new KeySetError(`larger than ${KEY_SET_MAX_BYTES} bytes`)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // Without the cause: its message quotes the text.
    throw new KeySetError('not JSON')
  }
  const keys = isObject(parsed) ? parsed['keys'] : undefined
  if (!Array.isArray(keys)) throw new KeySetError('not a JWKS: an object with an array "keys" is expected')
  if (keys.length > KEY_SET_MAX_KEYS) throw new KeySetError(`more than ${KEY_SET_MAX_KEYS} keys`)
  return keys
}

/** The key, or why it is not used. */
async function readKey(entry: unknown): Promise<PublicKey | string> {
  if (!isObject(entry)) return 'not an object'
  const { kid, use, key_ops: operations } = entry
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > KID_MAX_LENGTH))
    return 'a kid that is no short text'
  if (use !== undefined && use !== 'sig') return 'not for signatures'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'not for verifying'
  }
  const material = materialOf(entry)
  if (typeof material === 'string') return material
  const { algorithm, jwk } = material
  if (entry['alg'] !== undefined && entry['alg'] !== algorithm) return `an alg that is not ${algorithm}`
  try {
    const key = await importJWK(jwk, algorithm)
    if (key instanceof Uint8Array) return 'a symmetric key'
    if (algorithm === 'RS256' && !hasAllowedSize(key))
      return `an RSA key that has not ${RSA_MIN_BITS} to ${RSA_MAX_BITS} bits`
    return { kid: kid ?? null, algorithm, key }
  } catch {
    return 'a key that cannot be read'
  }
}

function hasAllowedSize({ algorithm }: CryptoKey): boolean {
  const bits: unknown = 'modulusLength' in algorithm ? algorithm.modulusLength : undefined
  return typeof bits === 'number' && bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS
}

/** The members that make the public key, and the algorithm that its kind has. */
function materialOf(entry: Entry): { readonly algorithm: PublicAlgorithm; readonly jwk: JWK } | string {
  const { kty, crv } = entry
  if (kty === 'oct') return 'a symmetric key'
  if ('d' in entry) return 'a private key, which has no place in a JWKS'
  const member = (name: string): string => {
    const value = entry[name]
    return typeof value === 'string' ? value : ''
  }
  if (kty === 'RSA') return { algorithm: 'RS256', jwk: { kty, n: member('n'), e: member('e') } }
  if (kty === 'EC' && crv === 'P-256') return { algorithm: 'ES256', jwk: { kty, crv, x: member('x'), y: member('y') } }
  if (kty === 'OKP' && crv === 'Ed25519') return { algorithm: 'EdDSA', jwk: { kty, crv, x: member('x') } }
  return 'neither RSA, P-256 nor Ed25519'
}
