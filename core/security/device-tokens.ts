import { errors, jwtVerify, SignJWT, type CryptoKey, type JWTPayload } from 'jose'
import { readAcl, type Acl } from '../../protocol/acl.js'
import { isDeviceId } from '../../protocol/device-id.js'
import type { Clock } from '../clock.js'
import { SECRET_MIN_BYTES } from './token-secrets.js'

/** Why a token was refused; for logs and counters, never for the device. */
export type TokenRefusal =
  | 'too_large'
  | 'malformed'
  | 'wrong_algorithm'
  | 'bad_signature'
  | 'missing_claim'
  | 'bad_subject'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_future'
  | 'lives_too_long'
  | 'bad_acl'

export type TokenVerdict =
  | {
      readonly ok: true
      readonly device: string
      /** Milliseconds UTC. */
      readonly issuedAt: number
      readonly expiresAt: number
      /** What it grants; empty lists when it says nothing. */
      readonly acl: Acl
    }
  | { readonly ok: false; readonly reason: TokenRefusal }

export interface DeviceTokens {
  /** Longest life of a token, seconds. */
  readonly maxTtlSeconds: number
  /** RangeError: `device` is no device id, or `ttlSeconds` is not in 1..maxTtlSeconds. `expiresAt`: milliseconds UTC. */
  sign(device: string, ttlSeconds: number): Promise<{ readonly token: string; readonly expiresAt: number }>
  /** Never rejects for what a device sends. Revocations are not its business. */
  verify(token: string): Promise<TokenVerdict>
}

/** Room for an `acl` of more than a hundred usual filters; everything longer is refused before it is decoded. */
export const TOKEN_MAX_LENGTH = 16_384

/** How far `iat` may be ahead of this node: clocks of issuers that are kept by NTP. `exp` has no leeway. */
export const ISSUED_AHEAD_LEEWAY_MS = 5_000

const ALGORITHM = 'HS256'
const REFUSED = (reason: TokenRefusal): TokenVerdict => ({ ok: false, reason })

/** Seconds as JWT writes them (RFC 7519 NumericDate, fractions allowed) to integer milliseconds; null: not such a number. */
function milliseconds(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && Math.abs(value) < 1e12 ? Math.round(value * 1000) : null
}

/** The rules on the claims of a token whose signature is good. Pure. */
function judgeClaims(claims: JWTPayload, now: number, maxTtlMs: number): TokenVerdict {
  const { sub } = claims
  const issuedAt = milliseconds(claims.iat)
  const expiresAt = milliseconds(claims.exp)
  if (sub === undefined || issuedAt === null || expiresAt === null) return REFUSED('missing_claim')
  if (typeof sub !== 'string' || !isDeviceId(sub)) return REFUSED('bad_subject')
  if (expiresAt <= now) return REFUSED('expired')
  if (issuedAt > now + ISSUED_AHEAD_LEEWAY_MS) return REFUSED('issued_in_future')
  if (expiresAt - issuedAt > maxTtlMs) return REFUSED('lives_too_long')
  const read = readAcl(claims['acl'])
  return read.ok ? { ok: true, device: sub, issuedAt, expiresAt, acl: read.acl } : REFUSED('bad_acl')
}

/** Null: the signature does not match this key, another one may. */
function refusalOf(error: unknown): TokenRefusal | null {
  if (error instanceof errors.JWSSignatureVerificationFailed) return null
  if (error instanceof errors.JOSEAlgNotAllowed) return 'wrong_algorithm'
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) return error.claim === 'nbf' ? 'not_yet_valid' : 'missing_claim'
  if (error instanceof errors.JOSEError) return 'malformed'
  throw error
}

/**
 * Device tokens: JWTs signed with HS256 and nothing else. `sub` is the device id; `iat` and `exp` are required and at most
 * `maxTtlSeconds` apart. `secrets[0]` signs, all verify. Times are signed with milliseconds, so that a token minted right
 * after a revocation is not taken for one from before it.
 *
 * RangeError: no secret, or one under 32 bytes (jose itself would accept it).
 */
export function createDeviceTokens(options: {
  readonly secrets: readonly Uint8Array[]
  readonly maxTtlSeconds: number
  readonly clock: Clock
}): DeviceTokens {
  const { secrets, maxTtlSeconds, clock } = options
  if (secrets.length === 0) throw new RangeError('a token secret is needed')
  if (secrets.some((secret) => secret.byteLength < SECRET_MIN_BYTES)) {
    throw new RangeError(`a token secret needs ${SECRET_MIN_BYTES} bytes or more`)
  }
  // Imported once: with raw bytes jose imports the key again for every token.
  let imported: Promise<readonly CryptoKey[]> | null = null
  const keys = (): Promise<readonly CryptoKey[]> =>
    (imported ??= Promise.all(
      secrets.map((secret) =>
        crypto.subtle.importKey('raw', Uint8Array.from(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
          'sign',
          'verify',
        ]),
      ),
    ))

  async function sign(device: string, ttlSeconds: number): Promise<{ token: string; expiresAt: number }> {
    if (!isDeviceId(device)) throw new RangeError('not a device id')
    if (!(ttlSeconds >= 1 && ttlSeconds <= maxTtlSeconds)) {
      throw new RangeError(`a token's ttl is 1 to ${maxTtlSeconds} seconds`)
    }
    const [key] = await keys()
    if (key === undefined) throw new RangeError('a token secret is needed')
    const now = clock.now()
    const expiresAt = now + Math.round(ttlSeconds * 1000)
    const token = await new SignJWT({ sub: device, iat: now / 1000, exp: expiresAt / 1000 })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
      .sign(key)
    return { token, expiresAt }
  }

  async function verify(token: string): Promise<TokenVerdict> {
    if (token.length > TOKEN_MAX_LENGTH) return REFUSED('too_large')
    const now = clock.now()
    for (const key of await keys()) {
      try {
        const { payload } = await jwtVerify(token, key, { algorithms: [ALGORITHM], currentDate: new Date(now) })
        return judgeClaims(payload, now, maxTtlSeconds * 1000)
      } catch (error) {
        const reason = refusalOf(error)
        if (reason !== null) return REFUSED(reason)
      }
    }
    return REFUSED('bad_signature')
  }

  return { maxTtlSeconds, sign, verify }
}
