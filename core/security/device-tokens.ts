import { decodeProtectedHeader, errors, jwtVerify, SignJWT, type CryptoKey } from 'jose'
import { readAcl, type Acl } from '../../protocol/acl.js'
import { isDeviceId } from '../../protocol/device-id.js'
import type { Clock } from '../clock.js'
import type { KeySetCache } from './key-set-cache.js'
import { KID_MAX_LENGTH, PUBLIC_ALGORITHMS, type PublicAlgorithm } from './key-set.js'
import { judgeClaims, REFUSED, type TokenRefusal, type TokenVerdict } from './token-claims.js'
import { SECRET_MIN_BYTES } from './token-secrets.js'

export interface SignedToken {
  readonly token: string
  /** Milliseconds UTC. */
  readonly expiresAt: number
}

export interface DeviceTokens {
  /** Longest life of a token, seconds. */
  readonly maxTtlSeconds: number
  /**
   * Signs with the first secret. RangeError: `device` is no device id, `ttlSeconds` is not in 1..maxTtlSeconds, `acl` cannot
   * be granted, or the token would be longer than is taken.
   */
  sign(device: string, ttlSeconds: number, acl?: Partial<Acl>): Promise<SignedToken>
  /** Never rejects for what a device sends. Revocations are not its business. */
  verify(token: string): Promise<TokenVerdict>
  /** From now on these sign and verify. RangeError as when they are made; then nothing changes. */
  useSecrets(secrets: readonly Uint8Array[]): void
}

export class TokenCounters {
  readonly refused: Record<TokenRefusal, number> = {
    too_large: 0,
    malformed: 0,
    wrong_algorithm: 0,
    unknown_key: 0,
    bad_signature: 0,
    missing_claim: 0,
    bad_subject: 0,
    expired: 0,
    not_yet_valid: 0,
    issued_in_future: 0,
    lives_too_long: 0,
    wrong_issuer: 0,
    wrong_audience: 0,
    bad_acl: 0,
    keys_unavailable: 0,
  }
}

/** Room for an `acl` of more than a hundred usual filters; everything longer is refused before it is decoded. */
export const TOKEN_MAX_LENGTH = 16_384

const ALGORITHM = 'HS256'

/** Null: the signature does not match this key, another one may. */
function refusalOf(error: unknown): TokenRefusal | null {
  if (error instanceof errors.JWSSignatureVerificationFailed) return null
  if (error instanceof errors.JOSEAlgNotAllowed) return 'wrong_algorithm'
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) return error.claim === 'nbf' ? 'not_yet_valid' : 'missing_claim'
  if (error instanceof errors.JOSEError) return 'malformed'
  throw error
}

/** What a token says about its signature, before anything of it can be trusted; null: it is no token. */
function readHeader(token: string): { readonly alg: unknown; readonly kid: string | null } | null {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    if (kid !== undefined && (typeof kid !== 'string' || kid.length > KID_MAX_LENGTH)) return null
    return { alg, kid: kid ?? null }
  } catch {
    return null
  }
}

const isPublicAlgorithm = (alg: unknown): alg is PublicAlgorithm => PUBLIC_ALGORITHMS.some((known) => known === alg)

/** RangeError: no secret, or one under 32 bytes (jose itself would accept it). */
function checkSecrets(secrets: readonly Uint8Array[]): void {
  if (secrets.length === 0) throw new RangeError('a token secret is needed')
  if (secrets.some((secret) => secret.byteLength < SECRET_MIN_BYTES)) {
    throw new RangeError(`a token secret needs ${SECRET_MIN_BYTES} bytes or more`)
  }
}

/** Once for each secret: with raw bytes jose imports the key again for every token. */
function importSecrets(secrets: readonly Uint8Array[]): Promise<readonly CryptoKey[]> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  return Promise.all(
    secrets.map((secret) =>
      crypto.subtle.importKey('raw', Uint8Array.from(secret), algorithm, false, ['sign', 'verify']),
    ),
  )
}

export interface DeviceTokensOptions {
  /** The first signs, all verify. */
  readonly secrets: readonly Uint8Array[]
  readonly maxTtlSeconds: number
  readonly clock: Clock
  /** Keys of others, who sign tokens too. */
  readonly keySet?: Pick<KeySetCache, 'find'>
  /** What `iss` and `aud` of the others' tokens must be; null: not looked at. */
  readonly issuer?: string | null
  readonly audience?: string | null
  readonly counters?: TokenCounters
}

/**
 * Device tokens: JWTs signed with HS256 and one of our secrets, or with RS256, ES256 or EdDSA and a key of the key set. The
 * algorithm decides where the key is looked for, and a key has one algorithm: a public key is never taken for a secret.
 *
 * `sub` is the device id; `iat` and `exp` are required and at most `maxTtlSeconds` apart. Times are signed with milliseconds,
 * so that a token minted right after a revocation is not taken for one from before it.
 *
 * RangeError: no secret, or one under 32 bytes.
 */
export function createDeviceTokens(options: DeviceTokensOptions): DeviceTokens {
  const { maxTtlSeconds, clock, keySet, issuer = null, audience = null, counters = new TokenCounters() } = options
  const own = { maxTtlMs: maxTtlSeconds * 1000, issuer: null, audience: null, foreignClock: false }
  const foreign = { ...own, issuer, audience, foreignClock: true }
  checkSecrets(options.secrets)
  let { secrets } = options
  let imported: Promise<readonly CryptoKey[]> | null = null
  const ownKeys = (): Promise<readonly CryptoKey[]> => (imported ??= importSecrets(secrets))

  async function sign(device: string, ttlSeconds: number, acl?: Partial<Acl>): Promise<SignedToken> {
    if (!isDeviceId(device)) throw new RangeError('not a device id')
    if (!(ttlSeconds >= 1 && ttlSeconds <= maxTtlSeconds)) {
      throw new RangeError(`a token's ttl is 1 to ${maxTtlSeconds} seconds`)
    }
    const read = readAcl(acl)
    if (!read.ok) throw new RangeError(`acl.${read.path}: ${read.problem}`)
    const [key] = await ownKeys()
    if (key === undefined) throw new RangeError('a token secret is needed')
    const now = clock.now()
    const expiresAt = now + Math.round(ttlSeconds * 1000)
    const grants = acl === undefined ? {} : { acl }
    const token = await new SignJWT({ sub: device, iat: now / 1000, exp: expiresAt / 1000, ...grants })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .sign(key)
    if (token.length > TOKEN_MAX_LENGTH) {
      throw new RangeError(`acl: the token would have ${token.length} characters, ${TOKEN_MAX_LENGTH} are taken`)
    }
    return { token, expiresAt }
  }

  /** The keys that may have signed it, or why there is none. */
  async function keysFor(alg: unknown, kid: string | null): Promise<readonly CryptoKey[] | TokenRefusal> {
    if (alg === ALGORITHM) return ownKeys()
    if (keySet === undefined || !isPublicAlgorithm(alg)) return 'wrong_algorithm'
    const found = await keySet.find(alg, kid)
    if (found === 'unavailable') return 'keys_unavailable'
    return found === null ? 'unknown_key' : [found]
  }

  async function judge(token: string): Promise<TokenVerdict> {
    if (token.length > TOKEN_MAX_LENGTH) return REFUSED('too_large')
    const header = readHeader(token)
    if (header === null) return REFUSED('malformed')
    const { alg, kid } = header
    const keys = await keysFor(alg, kid)
    if (typeof keys === 'string') return REFUSED(keys)
    // The time after a key was waited for.
    const now = clock.now()
    for (const key of keys) {
      try {
        const { payload } = await jwtVerify(token, key, { algorithms: [String(alg)], currentDate: new Date(now) })
        return judgeClaims(payload, now, alg === ALGORITHM ? own : foreign)
      } catch (error) {
        const reason = refusalOf(error)
        if (reason !== null) return REFUSED(reason)
      }
    }
    return REFUSED('bad_signature')
  }

  return {
    maxTtlSeconds,
    sign,
    async verify(token) {
      const verdict = await judge(token)
      if (!verdict.ok) counters.refused[verdict.reason]++
      return verdict
    },
    useSecrets(next) {
      checkSecrets(next)
      secrets = next
      imported = null
    },
  }
}
