// What a token must say once its signature is good. Pure.

import type { JWTPayload } from 'jose'
import { readAcl, type Acl } from '../../protocol/acl.js'
import { isDeviceId } from '../../protocol/device-id.js'

/** Why a token was refused; for logs and counters, never for the device. */
export type TokenRefusal =
  | 'too_large'
  | 'malformed'
  | 'wrong_algorithm'
  /** Signed by a key that the JWKS does not have, or without saying by which of several. */
  | 'unknown_key'
  | 'bad_signature'
  | 'missing_claim'
  | 'bad_subject'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_future'
  | 'lives_too_long'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'bad_acl'
  /** There is no key set to look into: nothing is known of the token. */
  | 'keys_unavailable'

export type TokenVerdict =
  | {
      readonly ok: true
      readonly device: string
      /** The earliest time at which it may have been made by this node's clock, milliseconds UTC; revocations look at it. */
      readonly issuedAt: number
      /** Milliseconds UTC. */
      readonly expiresAt: number
      /** What it grants; empty lists when it says nothing. */
      readonly acl: Acl
    }
  | { readonly ok: false; readonly reason: TokenRefusal }

/** How far `iat` may be ahead of this node: clocks of issuers that are kept by NTP. `exp` has no leeway. */
export const ISSUED_AHEAD_LEEWAY_MS = 5_000

export interface ClaimRules {
  readonly maxTtlMs: number
  /** What `iss` must be; null: it is not looked at. */
  readonly issuer: string | null
  /** What `aud` must be or hold; null: it is not looked at. */
  readonly audience: string | null
  /**
   * The token was made by somebody else's clock, which may be ahead: made before a revocation, it may bear a time after it.
   * So it counts as made as much earlier as that clock may be ahead.
   */
  readonly foreignClock: boolean
}

export const REFUSED = (reason: TokenRefusal): TokenVerdict => ({ ok: false, reason })

/** Seconds as JWT writes them (RFC 7519 NumericDate, fractions allowed) to integer milliseconds; null: not such a number. */
function milliseconds(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && Math.abs(value) < 1e12 ? Math.round(value * 1000) : null
}

export function judgeClaims(claims: JWTPayload, now: number, rules: ClaimRules): TokenVerdict {
  const { sub, iss, aud } = claims
  const issuedAt = milliseconds(claims.iat)
  const expiresAt = milliseconds(claims.exp)
  if (sub === undefined || issuedAt === null || expiresAt === null) return REFUSED('missing_claim')
  if (typeof sub !== 'string' || !isDeviceId(sub)) return REFUSED('bad_subject')
  if (expiresAt <= now) return REFUSED('expired')
  if (issuedAt > now + ISSUED_AHEAD_LEEWAY_MS) return REFUSED('issued_in_future')
  if (expiresAt - issuedAt > rules.maxTtlMs) return REFUSED('lives_too_long')
  if (rules.issuer !== null && iss !== rules.issuer) return REFUSED('wrong_issuer')
  if (rules.audience !== null && !(Array.isArray(aud) ? aud : [aud]).includes(rules.audience)) {
    return REFUSED('wrong_audience')
  }
  const read = readAcl(claims['acl'])
  if (!read.ok) return REFUSED('bad_acl')
  const madeAt = rules.foreignClock ? issuedAt - ISSUED_AHEAD_LEEWAY_MS : issuedAt
  return { ok: true, device: sub, issuedAt: madeAt, expiresAt, acl: read.acl }
}
