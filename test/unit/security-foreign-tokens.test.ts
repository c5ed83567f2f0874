import { createSecretKey } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createDeviceTokens, TokenCounters, type DeviceTokens } from '../../core/security/device-tokens.js'
import { createKeySetCache, KeySetCounters } from '../../core/security/key-set-cache.js'
import { ISSUED_AHEAD_LEEWAY_MS } from '../../core/security/token-claims.js'
import { FakeClock } from '../support/fake-clock.js'
import { claimsOf, hmacToken, issue, issuerKey, jwksOf, signWith, type IssuerKey } from '../support/issuer.js'

const NOW = 1_800_000_000_000
const SECRET = Buffer.from('a secret of thirty-two bytes or more')
const rsa = issuerKey('RS256', 'rsa-1')
const ec = issuerKey('ES256', 'ec-1')
const ed = issuerKey('EdDSA', 'ed-1')
const claims = claimsOf('phone-1', 600, NOW)

interface Rig {
  readonly tokens: DeviceTokens
  readonly counters: TokenCounters
}

/** Tokens over a key set in memory. */
async function rig(
  t: Test,
  keys: readonly IssuerKey[] = [rsa, ec, ed],
  more: { readonly issuer?: string; readonly audience?: string } = {},
): Promise<Rig> {
  const clock = new FakeClock(NOW)
  const keySet = createKeySetCache({
    source: { name: 'a set', kind: 'url', read: async () => jwksOf(...keys) },
    clock,
    log: pino({ level: 'silent' }),
    counters: new KeySetCounters(),
  })
  await keySet.start()
  t.teardown(() => keySet.stop())
  const counters = new TokenCounters()
  return {
    tokens: createDeviceTokens({ secrets: [SECRET], maxTtlSeconds: 3600, clock, keySet, counters, ...more }),
    counters,
  }
}

void t.test('foreign tokens: RS256, ES256 and EdDSA verify, beside our own HS256', async (t) => {
  const { tokens } = await rig(t)
  for (const key of [rsa, ec, ed]) {
    t.match(await tokens.verify(issue(key, { ...claims, acl: { publish: ['a/#'] } })), {
      ok: true,
      device: 'phone-1',
      expiresAt: NOW + 600_000,
      acl: { publish: ['a/#'], subscribe: [] },
    })
  }
  t.match(await tokens.verify((await tokens.sign('phone-1', 60)).token), { ok: true })
})

void t.test('foreign tokens: without a key set there is only HS256', async (t) => {
  const tokens = createDeviceTokens({ secrets: [SECRET], maxTtlSeconds: 3600, clock: new FakeClock(NOW) })
  for (const key of [rsa, ec, ed]) {
    t.match(await tokens.verify(issue(key, claims)), { ok: false, reason: 'wrong_algorithm' })
  }
})

void t.test('foreign tokens: one key in the set needs no name, of several one must be named', async (t) => {
  const nameless = issuerKey('ES256', null)
  const { tokens } = await rig(t, [nameless, rsa])
  t.match(await tokens.verify(issue(nameless, claims)), { ok: true })
  t.match(await tokens.verify(signWith(nameless, { alg: 'ES256', kid: 'x' }, claims)), { reason: 'unknown_key' })
  const two = await rig(t, [ec, issuerKey('ES256', 'ec-2')])
  t.match(await two.tokens.verify(signWith(ec, { alg: 'ES256' }, claims)), { reason: 'unknown_key' })
  t.match(await two.tokens.verify(issue(ec, claims)), { ok: true })
})

void t.test('foreign tokens: a public key is never taken for a secret', async (t) => {
  const { tokens } = await rig(t)
  for (const key of [rsa, ec, ed]) {
    const { publicKey, jwk } = key
    const guesses: ReadonlyArray<readonly [name: string, secret: Uint8Array]> = [
      ['PEM', Buffer.from(publicKey.export({ format: 'pem', type: 'spki' }))],
      [
        'PEM without its last newline',
        Buffer.from(publicKey.export({ format: 'pem', type: 'spki' }).toString().trim()),
      ],
      ['DER', publicKey.export({ format: 'der', type: 'spki' })],
      ['JWK', Buffer.from(JSON.stringify(jwk))],
      ['JWKS', Buffer.from(jwksOf(rsa, ec, ed))],
      ['n or x, as text', Buffer.from(String(jwk['n'] ?? jwk['x']))],
      ['n or x, as bytes', Buffer.from(String(jwk['n'] ?? jwk['x']), 'base64url')],
      ['the kid', Buffer.from(String(jwk['kid']))],
    ]
    for (const [name, secret] of guesses) {
      for (const header of [{ alg: 'HS256', kid: key.kid }, { alg: 'HS256' }]) {
        const verdict = await tokens.verify(hmacToken(header, claims, secret))
        t.match(verdict, { ok: false, reason: 'bad_signature' }, `${key.algorithm}, ${name}`)
      }
    }
  }
})

void t.test('foreign tokens: a key with another algorithm, another key with that name, another name', async (t) => {
  const { tokens, counters } = await rig(t)
  const stranger = { ...issuerKey('ES256', 'ec-1') }
  const [head = '', body = '', signature = ''] = issue(ec, claims).split('.')
  const other = Buffer.from(JSON.stringify({ ...claims, sub: 'phone-2' })).toString('base64url')
  const symmetric = createSecretKey(SECRET).export({ format: 'jwk' })
  const cases: ReadonlyArray<readonly [name: string, token: string, reason: string]> = [
    ['alg none', `${Buffer.from('{"alg":"none","kid":"ec-1"}').toString('base64url')}.${body}.`, 'wrong_algorithm'],
    ['alg none that kept a signature', signWith(ec, { alg: 'none', kid: 'ec-1' }, claims), 'wrong_algorithm'],
    ['alg in other letters', signWith(ec, { alg: 'es256', kid: 'ec-1' }, claims), 'wrong_algorithm'],
    ['PS256 with an RSA key', signWith(rsa, { alg: 'PS256', kid: 'rsa-1' }, claims), 'wrong_algorithm'],
    ['RS512 with an RSA key', signWith(rsa, { alg: 'RS512', kid: 'rsa-1' }, claims), 'wrong_algorithm'],
    ['RS256 with the name of an EC key', signWith(rsa, { alg: 'RS256', kid: 'ec-1' }, claims), 'unknown_key'],
    ['ES256 with the name of an RSA key', signWith(ec, { alg: 'ES256', kid: 'rsa-1' }, claims), 'unknown_key'],
    ['EdDSA signed with the EC key', signWith(ec, { alg: 'EdDSA', kid: 'ed-1' }, claims), 'bad_signature'],
    ['a stranger’s key with a known name', issue(stranger, claims), 'bad_signature'],
    ['an unknown name', signWith(ec, { alg: 'ES256', kid: 'nobody' }, claims), 'unknown_key'],
    ['a name that is a path', signWith(ec, { alg: 'ES256', kid: '../../token-secret' }, claims), 'unknown_key'],
    ['a name that is an object’s', signWith(ec, { alg: 'ES256', kid: '__proto__' }, claims), 'unknown_key'],
    ['a name that is no text', signWith(ec, { alg: 'ES256', kid: ['ec-1'] }, claims), 'malformed'],
    ['a name that is too long', signWith(ec, { alg: 'ES256', kid: 'x'.repeat(257) }, claims), 'malformed'],
    ['a key that it brings along', signWith(stranger, { alg: 'ES256', jwk: stranger.jwk }, claims), 'bad_signature'],
    [
      'a secret that it brings along',
      hmacToken({ alg: 'HS256', jwk: symmetric }, claims, Buffer.alloc(32)),
      'bad_signature',
    ],
    [
      'a set that it names',
      signWith(stranger, { alg: 'ES256', kid: 'x', jku: 'http://127.0.0.1/' }, claims),
      'unknown_key',
    ],
    ['other claims', `${head}.${other}.${signature}`, 'bad_signature'],
    ['no signature', `${head}.${body}.`, 'bad_signature'],
    ['half a signature', `${head}.${body}.${signature.slice(0, 40)}`, 'bad_signature'],
    ['an all-zero ES256 signature', `${head}.${body}.${'A'.repeat(86)}`, 'bad_signature'],
    [
      'critical headers that are not known',
      signWith(ec, { alg: 'ES256', kid: 'ec-1', crit: ['x'], x: 1 }, claims),
      'malformed',
    ],
    [
      'an unencoded payload',
      signWith(ec, { alg: 'ES256', kid: 'ec-1', b64: false, crit: ['b64'] }, claims),
      'malformed',
    ],
    ['expired', issue(ec, { ...claims, exp: NOW / 1000 }), 'expired'],
    ['of the future', issue(ec, { ...claims, iat: (NOW + ISSUED_AHEAD_LEEWAY_MS) / 1000 + 1 }), 'issued_in_future'],
    ['with too long a life', issue(ec, { ...claims, exp: NOW / 1000 + 3601 }), 'lives_too_long'],
  ]
  let refused = 0
  for (const [name, token, reason] of cases) {
    t.match(await tokens.verify(token), { ok: false, reason }, name)
    refused++
  }
  t.equal(
    Object.values(counters.refused).reduce((a, b) => a + b),
    refused,
    'each is counted by its reason',
  )
})

void t.test('foreign tokens: issuer and audience, where they are asked for', async (t) => {
  const { tokens } = await rig(t, [ec], { issuer: 'https://id.example', audience: 'postrider' })
  const good = { ...claims, iss: 'https://id.example', aud: 'postrider' }
  t.match(await tokens.verify(issue(ec, good)), { ok: true })
  t.match(await tokens.verify(issue(ec, { ...good, aud: ['shop', 'postrider'] })), { ok: true })
  for (const aud of [undefined, 'shop', ['shop'], [], null, 7, { postrider: 1 }, 'Postrider']) {
    t.match(await tokens.verify(issue(ec, { ...good, aud })), { reason: 'wrong_audience' }, JSON.stringify(aud))
  }
  for (const iss of [undefined, 'https://id.example/', ['https://id.example'], null]) {
    t.match(await tokens.verify(issue(ec, { ...good, iss })), { reason: 'wrong_issuer' }, JSON.stringify(iss))
  }
  t.match(await tokens.verify((await tokens.sign('phone-1', 60)).token), { ok: true }, 'our own have neither')
})

void t.test(
  'foreign tokens: one made before a revocation by a clock that is ahead counts as made before it',
  async (t) => {
    const { tokens } = await rig(t)
    const verdict = await tokens.verify(issue(ec, { ...claims, iat: (NOW + ISSUED_AHEAD_LEEWAY_MS) / 1000 }))
    t.match(verdict, { ok: true, issuedAt: NOW })
  },
)

void t.test('foreign tokens: without any keys nothing is said of a token', async (t) => {
  const keySet = { find: async () => 'unavailable' as const }
  const tokens = createDeviceTokens({ secrets: [SECRET], maxTtlSeconds: 3600, clock: new FakeClock(NOW), keySet })
  t.match(await tokens.verify(issue(ec, claims)), { ok: false, reason: 'keys_unavailable' })
  t.match(await tokens.verify((await tokens.sign('phone-1', 60)).token), { ok: true }, 'our own need none')
})
