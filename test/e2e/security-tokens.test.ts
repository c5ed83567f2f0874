// Attacks with what a device proves who it is by. Each is refused, and its token is in no log.

import t from 'tap'
import { ACL_FILTERS_MAX } from '../../protocol/acl.js'
import { AttackedServer } from '../support/attacked-server.js'
import { claimsOf, hmacToken, issue, issuerKey, jwksOf, signWith, startJwksServer } from '../support/issuer.js'
import { until } from '../support/road/wait.js'

const now = (): number => Math.floor(Date.now() / 1000)

void t.test('security: a token of another device opens no other door than its own', async (t) => {
  const attacked = await AttackedServer.start(t)
  const token = attacked.token('attacker')
  t.equal((await attacked.knock('victim', token)).code, 5)
  t.equal((await attacked.knock('victim', token, { username: 'attacker' })).code, 5)
  t.equal((await attacked.knock('attacker', token, { username: 'victim' })).code, 5)
  for (const sub of [
    'Victim',
    'victim ',
    ' victim',
    'victim\0',
    'victim/',
    'ＶＩＣＴＩＭ',
    ['victim'],
    { victim: 1 },
  ]) {
    const { code } = await attacked.knock('victim', attacked.token('x', { sub }))
    t.ok(code === 4 || code === 5, `sub ${JSON.stringify(sub)}: ${code}`)
  }
  await attacked.victimReceives('tokens of others')
  await attacked.judge()
})

void t.test('security: alg none, in any spelling, with or without a signature', async (t) => {
  const attacked = await AttackedServer.start(t)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, undefined, ['none'], 'HS256none']) {
    const bare = attacked.secret(`${part({ alg, typ: 'JWT' })}.${part(claimsOf('victim'))}.`)
    t.equal((await attacked.knock('victim', bare)).code, 4, JSON.stringify(alg))
    t.equal((await attacked.knock('victim', attacked.forge({ alg }, claimsOf('victim')))).code, 4, 'and signed')
  }
  const [head, body] = attacked.token('victim').split('.')
  for (const text of [`${head}.${body}`, `${head}.${body}.`, `${head}..`, '..', '.', '']) {
    t.equal((await attacked.knock('victim', text)).code, 4, text.slice(0, 20))
  }
  await attacked.victimReceives('unsigned tokens')
  await attacked.judge()
})

void t.test('security: HS256 signed with a public key that everybody knows', async (t) => {
  const keys = [issuerKey('RS256', 'rsa'), issuerKey('ES256', 'ec'), issuerKey('EdDSA', 'ed')]
  const jwks = await startJwksServer(t, jwksOf(...keys))
  const attacked = await AttackedServer.start(t, ['--token-jwks', jwks.url])
  for (const { algorithm, kid, publicKey, jwk } of keys) {
    const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const guesses = [
      pem,
      pem.trim(),
      publicKey.export({ format: 'der', type: 'spki' }),
      JSON.stringify(jwk),
      jwksOf(...keys),
    ]
    for (const secret of guesses) {
      for (const header of [{ alg: 'HS256', kid }, { alg: 'HS256' }, { alg: algorithm, kid }]) {
        const token = attacked.forge(header, claimsOf('victim'), secret)
        t.equal((await attacked.knock('victim', token)).code, 4, `${algorithm} as ${header.alg}`)
      }
    }
  }
  const stranger = { ...issuerKey('ES256', 'ec') }
  const tricks: ReadonlyArray<readonly [name: string, token: string]> = [
    ['a stranger’s key with a known name', issue(stranger, claimsOf('victim'))],
    ['a key that the token brings along', signWith(stranger, { alg: 'ES256', jwk: stranger.jwk }, claimsOf('victim'))],
    [
      'a set that the token names',
      signWith(stranger, { alg: 'ES256', kid: 'x', jku: `${jwks.url}?mine` }, claimsOf('victim')),
    ],
    ['a name that is a path', signWith(stranger, { alg: 'ES256', kid: '../../../../dev/null' }, claimsOf('victim'))],
    ['an empty secret by a path', hmacToken({ alg: 'HS256', kid: '/dev/null' }, claimsOf('victim'), Buffer.alloc(32))],
  ]
  for (const [name, token] of tricks) t.equal((await attacked.knock('victim', attacked.secret(token))).code, 4, name)
  t.equal(jwks.requests, 1, 'what a token names is not fetched')
  await attacked.victimReceives('tokens signed with what is public')
  await attacked.judge()
})

void t.test('security: tokens that are expired, of the future, or made to live for ever', async (t) => {
  const attacked = await AttackedServer.start(t)
  const cases: ReadonlyArray<readonly [name: string, claims: object]> = [
    ['expired', { iat: now() - 600, exp: now() - 1 }],
    ['expired at this moment', { iat: now() - 600, exp: now() }],
    ['of the future', { iat: now() + 60, exp: now() + 120 }],
    ['of the future, already over', { iat: now() + 60, exp: now() + 30 }],
    ['not valid yet', { nbf: now() + 60 }],
    ['without an end', { exp: undefined }],
    ['without a beginning', { iat: undefined }],
    ['an end that is a text', { exp: `${now() + 600}` }],
    ['an end that is no number', { exp: null }],
    ['a life of eleven years', { exp: now() + 11 * 365 * 86_400 }],
    ['a life of the longest and one second', { iat: now() - 1, exp: now() + 30 * 86_400 }],
    ['a beginning long ago', { iat: 0 }],
    ['a beginning before time', { iat: -1e11 }],
    ['an end after time', { exp: 1e300 }],
  ]
  for (const [name, claims] of cases) {
    t.equal((await attacked.knock('victim', attacked.token('victim', claims))).code, 4, name)
  }
  for (const exp of ['1e999', '-1e999', '99999999999999999999', '1e-400', '[[[[9]]]]', 'NaN', '0x7fffffff']) {
    const claims = `{"sub":"victim","iat":${now()},"exp":${exp}}`
    t.equal((await attacked.knock('victim', attacked.forge({ alg: 'HS256' }, claims))).code, 4, exp)
  }
  const twice = `{"sub":"attacker","iat":${now()},"exp":${now() + 60},"sub":"attacker"}`
  t.equal(
    (await attacked.knock('victim', attacked.forge({ alg: 'HS256' }, twice))).code,
    5,
    'a claim that is there twice',
  )
  await attacked.victimReceives('tokens out of time')
  await attacked.judge()
})

void t.test('security: an oversized or malformed acl, or one that grants what cannot be granted', async (t) => {
  const attacked = await AttackedServer.start(t)
  const nested: unknown = Array.from({ length: 1_000 }).reduce<unknown>((inner) => [inner], 'a')
  const cases: ReadonlyArray<readonly [name: string, acl: unknown]> = [
    ['too many filters', { subscribe: Array.from({ length: ACL_FILTERS_MAX + 1 }, () => 'a') }],
    ['a filter that is too long', { subscribe: ['x'.repeat(600)] }],
    ['a thousand levels', { subscribe: ['a/'.repeat(1_000)] }],
    ['a megabyte', { subscribe: Array.from({ length: 2_000 }, () => 'x'.repeat(500)) }],
    ['deep nesting', { subscribe: [nested] }],
    ['the inbox of another', { subscribe: ['inbox/victim'] }],
    ['every inbox', { subscribe: ['inbox/#'] }],
    ['every stream', { subscribe: ['stream/+'] }],
    ['the uplink of another', { publish: ['uplink/victim/#'] }],
    ['the system’s topics', { subscribe: ['$SYS/#'] }],
    ['a shared subscription', { subscribe: ['$share/g/inbox/victim'] }],
    ['a filter that is none', { subscribe: ['a/#/b'] }],
    ['a list that is none', { subscribe: { 0: 'a', length: 1 } }],
    ['another kind of grant', { subscribe: ['a'], admin: true }],
    ['everything', true],
    ['a prototype', JSON.parse('{"__proto__": {"subscribe": ["inbox/victim"]}}')],
  ]
  for (const [name, acl] of cases) {
    const { client, code } = await attacked.knock('attacker', attacked.token('attacker', { acl }))
    // A password that is larger than a CONNECT may be ends the connection without an answer.
    t.ok(code === 4 || (code === -1 && name === 'a megabyte'), `${name}: ${code}`)
    await until('it to be closed', () => client.closed)
  }
  await attacked.victimReceives('acls')
  await attacked.judge()
})

void t.test('security: a token that was replayed after its device was deleted', async (t) => {
  const attacked = await AttackedServer.start(t)
  const stolen = attacked.token('lost-phone')
  const inUse = await attacked.knock('lost-phone', stolen)
  t.equal(inUse.code, 0)
  t.equal((await attacked.http('/v1/devices/lost-phone', { method: 'DELETE' })).status, 204)
  await until('its connection to end', () => inUse.client.closed, 2_000)
  for (let i = 0; i < 3; i++) t.equal((await attacked.knock('lost-phone', stolen)).code, 4)
  const dated = attacked.token('lost-phone', { iat: now() - 3_600, exp: now() + 3_600 })
  t.equal((await attacked.knock('lost-phone', dated)).code, 4, 'one that nobody has seen before')
  const before = attacked.token('never-seen')
  t.equal((await attacked.http('/v1/devices/never-seen', { method: 'DELETE' })).status, 204)
  t.equal((await attacked.knock('never-seen', before)).code, 4, 'of a device that had never come')
  await attacked.victimReceives('a replay')
  await attacked.judge()
})

void t.test('security: guessing tokens costs the guesser his connection each time, and others nothing', async (t) => {
  const attacked = await AttackedServer.start(t)
  const codes = new Set<number>()
  for (let round = 0; round < 20; round++) {
    const knocks = Array.from({ length: 10 }, (_, i) =>
      attacked.knock('victim', attacked.forge({ alg: 'HS256' }, claimsOf('victim'), `guess ${round} ${i}`)),
    )
    for (const { code } of await Promise.all(knocks)) codes.add(code)
  }
  t.same([...codes], [4])
  await attacked.victimReceives('guesses')
  await attacked.judge()
})
