// When a token runs out. The SDK reads the claims of a JWT without verifying them: only the server can, and this is about when
// to ask for the next one, no more.

/** What a token says of itself. Milliseconds UTC by the server's clock. */
export interface TokenLife {
  readonly issuedAt: number | null
  readonly expiresAt: number
}

/** Null: it is no JWT, or has no `exp`. Then the server says when it has expired. */
export function readTokenLife(token: string): TokenLife | null {
  const part = token.split('.')[1]
  if (part === undefined) return null
  try {
    const claims: unknown = JSON.parse(atob(part.replaceAll('-', '+').replaceAll('_', '/')))
    if (typeof claims !== 'object' || claims === null) return null
    const exp = 'exp' in claims ? claims.exp : null
    const iat = 'iat' in claims ? claims.iat : null
    if (typeof exp !== 'number' || !Number.isFinite(exp)) return null
    return { issuedAt: typeof iat === 'number' && Number.isFinite(iat) ? iat * 1000 : null, expiresAt: exp * 1000 }
  } catch {
    return null // not base64url, or not JSON: no JWT
  }
}

/** A token is renewed when a tenth of its life is left, but not earlier than this before its end. */
const EARLIEST_MS = 300_000
const SHARE = 0.1
/** Not sooner than this, whatever the token says: tokens that are given out nearly expired make no storm. */
const SOONEST_MS = 5_000

/**
 * Milliseconds from now until a new token should be asked for. `serverTime`: what the server's clock says now; the device's
 * own clock may be anything. Spread over half the margin, so that devices whose tokens were made together do not come together.
 */
export function renewalDelay(life: TokenLife, serverTime: number, random: () => number): number {
  const left = life.expiresAt - serverTime
  const whole = life.issuedAt === null ? left : life.expiresAt - life.issuedAt
  const margin = Math.min(EARLIEST_MS, Math.max(0, whole * SHARE))
  return Math.max(SOONEST_MS, left - margin * (0.5 + random() / 2))
}
