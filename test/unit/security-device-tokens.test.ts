import { createHmac } from 'node:crypto'
import t from 'tap'
import type { Clock } from '../../core/clock.js'
import { createDeviceTokens, TOKEN_MAX_LENGTH } from '../../core/security/device-tokens.js'
import { ISSUED_AHEAD_LEEWAY_MS } from '../../core/security/token-claims.js'
import { parseTokenSecrets } from '../../core/security/token-secrets.js'
import { FakeClock } from '../support/fake-clock.js'

const NOW = 1_800_000_000_123
const SECRET = Buffer.from('a secret of thirty-two bytes or more')
const OTHER = Buffer.from('another secret of more than thirty-two bytes')

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A JWT made by hand: nothing of the library under test checks or completes it. */
function forge(header: object, claims: object, secret: Uint8Array = SECRET): string {
  const input = `${part(header)}.${part(claims)}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** An "unsecured JWT" (RFC 7519 section 6). */
const unsigned = (claims: object): string => `${part({ alg: 'none' })}.${part(claims)}.`

const HS256 = { alg: 'HS256', typ: 'JWT' }
const seconds = Math.floor(NOW / 1000)
const good = { sub: 'phone-1', iat: seconds, exp: seconds + 60 }

function tokens(secrets: readonly Uint8Array[] = [SECRET], maxTtlSeconds = 3600, clock: Clock = new FakeClock(NOW)) {
  return createDeviceTokens({ secrets, maxTtlSeconds, clock })
}

void t.test('device tokens: what was signed verifies, with its times in milliseconds', async (t) => {
  const { token, expiresAt } = await tokens().sign('phone-1', 60)
  t.equal(expiresAt, NOW + 60_000)
  t.same(await tokens().verify(token), {
    ok: true,
    device: 'phone-1',
    issuedAt: NOW,
    expiresAt: NOW + 60_000,
    acl: { publish: [], subscribe: [] },
  })
})

void t.test('device tokens: a token made by any other HS256 library verifies', async (t) => {
  t.same(await tokens().verify(forge(HS256, good)), {
    ok: true,
    device: 'phone-1',
    issuedAt: seconds * 1000,
    expiresAt: (seconds + 60) * 1000,
    acl: { publish: [], subscribe: [] },
  })
})

void t.test('device tokens: the longest allowed life verifies', async (t) => {
  const { token } = await tokens().sign('phone-1', 3600)
  t.match(await tokens().verify(token), { ok: true })
})

void t.test('device tokens: refusals name their reason', async (t) => {
  const without = (key: 'sub' | 'iat' | 'exp'): object =>
    Object.fromEntries(Object.entries(good).filter(([name]) => name !== key))
  const ahead = Math.ceil((NOW + ISSUED_AHEAD_LEEWAY_MS) / 1000) + 1
  const [head = '', , signature = ''] = forge(HS256, good).split('.')
  const foreignClaims = Buffer.from(JSON.stringify({ ...good, sub: 'phone-2' })).toString('base64url')
  const cases: ReadonlyArray<readonly [name: string, token: string, reason: string]> = [
    ['alg none', unsigned(good), 'wrong_algorithm'],
    ['alg none with a signature', forge({ alg: 'none' }, good), 'wrong_algorithm'],
    ['another HMAC', forge({ alg: 'HS512' }, good), 'wrong_algorithm'],
    ['a public key algorithm', forge({ alg: 'RS256' }, good), 'wrong_algorithm'],
    ['another secret', forge(HS256, good, OTHER), 'bad_signature'],
    ['claims exchanged under the signature', `${head}.${foreignClaims}.${signature}`, 'bad_signature'],
    ['signature cut off', `${forge(HS256, good).split('.').slice(0, 2).join('.')}.`, 'bad_signature'],
    ['expired', forge(HS256, { ...good, iat: seconds - 60, exp: seconds }), 'expired'],
    ['expired by a millisecond', forge(HS256, { ...good, exp: (NOW - 1) / 1000 }), 'expired'],
    ['issued in the future', forge(HS256, { ...good, iat: ahead, exp: ahead + 60 }), 'issued_in_future'],
    ['not before is in the future', forge(HS256, { ...good, nbf: seconds + 30 }), 'not_yet_valid'],
    ['no subject', forge(HS256, without('sub')), 'missing_claim'],
    ['no iat', forge(HS256, without('iat')), 'missing_claim'],
    ['no exp', forge(HS256, without('exp')), 'missing_claim'],
    ['iat is text', forge(HS256, { ...good, iat: String(seconds) }), 'missing_claim'],
    ['iat is null', forge(HS256, { ...good, iat: null }), 'missing_claim'],
    ['iat is beyond all time', forge(HS256, { ...good, iat: -1e300 }), 'missing_claim'],
    ['subject is a number', forge(HS256, { ...good, sub: 7 }), 'bad_subject'],
    ['subject is no device id', forge(HS256, { ...good, sub: 'a/b' }), 'bad_subject'],
    ['subject is empty', forge(HS256, { ...good, sub: '' }), 'bad_subject'],
    ['lives a second too long', forge(HS256, { ...good, exp: seconds + 3601 }), 'lives_too_long'],
    ['long ago to far ahead', forge(HS256, { ...good, iat: 0, exp: seconds + 10 }), 'lives_too_long'],
    ['acl is a list', forge(HS256, { ...good, acl: [] }), 'bad_acl'],
    ['acl has an unknown key', forge(HS256, { ...good, acl: { subscibe: ['a'] } }), 'bad_acl'],
    ['acl holds a malformed filter', forge(HS256, { ...good, acl: { publish: ['a#'] } }), 'bad_acl'],
    ['acl holds a number', forge(HS256, { ...good, acl: { publish: [1] } }), 'bad_acl'],
    ['too large', forge(HS256, { ...good, pad: 'x'.repeat(TOKEN_MAX_LENGTH) }), 'too_large'],
    ['no token', '', 'malformed'],
    ['not a token', 'hello', 'malformed'],
    ['three dots of nothing', '..', 'malformed'],
    ['claims that are no object', forge(HS256, []), 'malformed'],
    ['an unknown critical header', forge({ ...HS256, crit: ['x'], x: 1 }, good), 'malformed'],
  ]
  for (const [name, token, reason] of cases) {
    t.same(await tokens().verify(token), { ok: false, reason }, name)
  }
})

void t.test('device tokens: a clock of the issuer that is a little ahead is forgiven', async (t) => {
  const iat = (NOW + ISSUED_AHEAD_LEEWAY_MS) / 1000
  t.match(await tokens().verify(forge(HS256, { ...good, iat, exp: iat + 60 })), { ok: true })
})

void t.test('device tokens: a well-formed acl is no reason to refuse', async (t) => {
  for (const acl of [{}, { publish: [] }, { publish: ['a/+'], subscribe: ['b/#'] }]) {
    t.match(await tokens().verify(forge(HS256, { ...good, acl })), { ok: true, device: 'phone-1' })
  }
})

void t.test('device tokens: a token ends by the clock while others live on', async (t) => {
  const clock = new FakeClock(NOW)
  const subject = tokens([SECRET], 3600, clock)
  const { token } = await subject.sign('phone-1', 10)
  clock.advance(9_999)
  t.match(await subject.verify(token), { ok: true })
  clock.advance(1)
  t.same(await subject.verify(token), { ok: false, reason: 'expired' })
})

void t.test('device tokens: rotation, the first secret signs and all verify', async (t) => {
  const before = await tokens([OTHER]).sign('phone-1', 60)
  const rotated = tokens([SECRET, OTHER])
  t.match(await rotated.verify(before.token), { ok: true })
  const after = await rotated.sign('phone-1', 60)
  t.match(await tokens([SECRET]).verify(after.token), { ok: true })
  t.same(await tokens([OTHER]).verify(after.token), { ok: false, reason: 'bad_signature' })
})

void t.test('device tokens: what cannot be signed is refused', async (t) => {
  await t.rejects(tokens().sign('a b', 60), RangeError)
  await t.rejects(tokens().sign('phone-1', 3601), RangeError)
  await t.rejects(tokens().sign('phone-1', 0), RangeError)
  await t.rejects(tokens().sign('phone-1', Number.NaN), RangeError)
})

void t.test('device tokens: short secrets and none at all are refused', async (t) => {
  t.throws(() => tokens([]), RangeError)
  t.throws(() => tokens([SECRET, Buffer.alloc(31)]), RangeError)
  t.throws(() => parseTokenSecrets('too short', 'POSTRIDER_TOKEN_SECRET'), {
    message: /POSTRIDER_TOKEN_SECRET: secret 1 has 9 bytes/,
  })
  t.throws(() => parseTokenSecrets(`${SECRET.toString()},`, 'X'), { message: /secret 2 has 0 bytes/ })
})

void t.test('token secrets: the UTF-8 bytes of the trimmed text, split at commas', async (t) => {
  const umlauts = 'ü'.repeat(16)
  t.same(parseTokenSecrets(`  ${umlauts}\n`, 'X'), [Buffer.from(umlauts)], 'counts bytes, not characters')
  t.same(parseTokenSecrets(`${SECRET.toString()} , ${OTHER.toString()}\n`, 'X'), [SECRET, OTHER])
})
