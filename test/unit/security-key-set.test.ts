import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { KEY_SET_MAX_BYTES, KEY_SET_MAX_KEYS, KeySetError, readKeySet } from '../../core/security/key-set.js'
import { issuerKey, jwksOf } from '../support/issuer.js'

const rsa = issuerKey('RS256', 'rsa-1')
const ec = issuerKey('ES256', 'ec-1')
const ed = issuerKey('EdDSA', 'ed-1')
const set = (...keys: readonly unknown[]): string => JSON.stringify({ keys })

void t.test('key set: each kind of key has one algorithm', async (t) => {
  const { keys, ignored } = await readKeySet(jwksOf(rsa, ec, ed))
  t.same(
    keys.map(({ kid, algorithm }) => [kid, algorithm]),
    [
      ['rsa-1', 'RS256'],
      ['ec-1', 'ES256'],
      ['ed-1', 'EdDSA'],
    ],
  )
  t.same(ignored, [])
})

void t.test('key set: members of others, and none of our optional ones, do no harm', async (t) => {
  const { alg: _alg, use: _use, kid: _kid, ...bare } = rsa.jwk
  const { keys } = await readKeySet(JSON.stringify({ keys: [{ ...bare, x5c: ['…'], 'x-more': {} }], more: 1 }))
  t.match(keys, [{ kid: null, algorithm: 'RS256' }])
})

void t.test('key set: a key that is not for us is left out, and why is said without the key', async (t) => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  const cases: ReadonlyArray<readonly [entry: unknown, reason: RegExp]> = [
    [{ kty: 'oct', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA', alg: 'HS256' }, /symmetric/],
    [rsa.privateKey.export({ format: 'jwk' }), /private/],
    [{ ...rsa.jwk, use: 'enc' }, /not for signatures/],
    [{ ...rsa.jwk, key_ops: ['encrypt'] }, /not for verifying/],
    [{ ...rsa.jwk, alg: 'PS256' }, /not RS256/],
    [{ ...rsa.jwk, alg: 'HS256' }, /not RS256/],
    [{ ...rsa.jwk, alg: 'none' }, /not RS256/],
    [{ ...ec.jwk, alg: 'RS256' }, /not ES256/],
    [{ ...rsa.jwk, kid: 7 }, /kid/],
    [{ ...rsa.jwk, kid: 'x'.repeat(257) }, /kid/],
    [{ ...rsa.jwk, n: undefined }, /cannot be read|bits/],
    [{ ...ec.jwk, x: 'AAAA' }, /cannot be read/],
    [{ ...ec.jwk, y: ec.jwk['x'] }, /cannot be read/],
    [{ ...rsa.jwk, n: { toString: 1 } }, /cannot be read|bits/],
    [small, /2048 to 8192 bits/],
    [p384, /neither/],
    [{ kty: '__proto__' }, /neither/],
    [null, /not an object/],
    ['key', /not an object/],
    [{ ...rsa.jwk }, /same kid/],
  ]
  for (const [entry, reason] of cases) {
    const { keys, ignored } = await readKeySet(set(rsa.jwk, entry))
    t.equal(keys.length, 1, String(reason))
    t.match(ignored, [reason])
    t.match(ignored[0], /^keys\[1\]: /)
    t.notMatch(ignored[0], 'c2VjcmV0')
  }
})

void t.test('key set: no set, no usable key, or too much of it is an error', async (t) => {
  const cases: ReadonlyArray<readonly [text: string, reason: RegExp]> = [
    ['', /not JSON/],
    ['{"keys":', /not JSON/],
    ['[]', /not a JWKS/],
    ['null', /not a JWKS/],
    ['{}', /not a JWKS/],
    ['{"keys":{}}', /not a JWKS/],
    ['{"keys":[]}', /no key/],
    [set({ kty: 'oct', k: 'AAAA' }), /no key .*symmetric/],
    [set(...Array.from({ length: KEY_SET_MAX_KEYS + 1 }, () => ({}))), /more than 100/],
    [' '.repeat(KEY_SET_MAX_BYTES + 1), /larger/],
    ['['.repeat(KEY_SET_MAX_BYTES), /not JSON/],
    [`{"keys":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, /no key/],
  ]
  for (const [text, reason] of cases) {
    await t.rejects(readKeySet(text), { name: KeySetError.name, message: reason }, String(reason))
  }
})
