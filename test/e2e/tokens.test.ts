// Tokens and keys over the life of a server: signed by others, changed while devices are connected, ended.

import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { claimsOf, hmacToken, issue, issuerKey, jwksOf, startJwksServer } from '../support/issuer.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

/** The CONNACK code that a token gets; -1: none. */
async function knock(server: TestServer, device: string, token: string): Promise<number> {
  const client = await RawClient.to(server.ports.mqtt)
  try {
    client.send(connectPacket(device, token))
    const answer = await client.next('connack')
    return answer.cmd === 'connack' ? (answer.returnCode ?? -1) : -1
  } catch {
    return -1
  } finally {
    await client.end()
  }
}

async function metric(server: TestServer, name: string): Promise<number> {
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text()
  const line = text.split('\n').find((candidate) => candidate.startsWith(`postrider_${name} `))
  return Number(line?.slice(line.lastIndexOf(' ') + 1) ?? Number.NaN)
}

/** As documented: a new file takes the place of the old one. */
async function replaceSecret(server: TestServer, file: string, text: string): Promise<void> {
  const path = join(server.folder, file)
  await writeFile(`${path}.next`, `${text}\n`, { mode: 0o600 })
  await rename(`${path}.next`, path)
}

const secretOf = async (server: TestServer): Promise<string> =>
  (await readFile(join(server.folder, 'token-secret'), 'utf8')).trim()

const signed = (secret: string, device: string): string =>
  hmacToken({ alg: 'HS256' }, claimsOf(device), Buffer.from(secret))

let devices = 0
/** For another device each time: how often one may connect is limited. */
function signedFor(secret: string): readonly [device: string, token: string] {
  const device = `d${devices++}`
  return [device, signed(secret, device)]
}

async function connected(t: Test, server: TestServer, device: string, token: string): Promise<RawClient> {
  const client = await RawClient.as(server.ports.mqtt, device, token)
  t.teardown(() => client.end())
  return client
}

// Each has a server of its own, and waits more than it works.
t.jobs = 2

void t.test('tokens: those of an issuer connect, through new keys, its outage and a restart meanwhile', async (t) => {
  const [rsa, ec, ed] = [issuerKey('RS256', 'rsa'), issuerKey('ES256', 'ec'), issuerKey('EdDSA', 'ed')]
  const next = issuerKey('ES256', 'next')
  const jwks = await startJwksServer(t, jwksOf(rsa, ec, ed))
  const server = await TestServer.start(t, { flags: ['--token-jwks', jwks.url, '--token-audience', 'postrider'] })
  const token = (key: typeof rsa, device = 'd'): string => issue(key, { ...claimsOf(device), aud: 'postrider' })
  const started = performance.now()

  for (const key of [rsa, ec, ed]) t.equal(await knock(server, 'd', token(key)), 0, key.algorithm)
  t.equal(await knock(server, 'd', await server.token('d')), 0, 'and our own')
  t.equal(await knock(server, 'd', issue(ec, claimsOf('d'))), 4, 'not for us')
  t.equal(await knock(server, 'e', token(ec)), 5, 'for another device')
  t.equal(await knock(server, 'd', token(next)), 4, 'a key that is not known')
  t.equal(await metric(server, 'jwks_keys'), 3)

  jwks.serve(jwksOf(ec, next))
  await until('the new key to be known', async () => (await knock(server, 'd', token(next))) === 0)
  t.ok(performance.now() - started < 20_000)
  t.equal(await knock(server, 'd', token(rsa)), 4, 'a key that was taken away')
  t.ok(jwks.requests <= 4, `${jwks.requests} requests`)

  jwks.serve((response) => response.destroy())
  t.equal(await knock(server, 'd', token(next)), 0, 'the issuer is away')
  t.equal((await server.stop()).code, 0)
  await server.restart()
  t.equal(await knock(server, 'd', token(next)), 0, 'and was at the start too')
  t.equal(await metric(server, 'jwks_reads_total{result="failed"}'), 1)
  t.ok((await metric(server, 'jwks_age_seconds')) > 0)
  t.match(server.child.stderr, /keys for device tokens of the last run are used/)
})

void t.test('tokens: while nothing is known of the keys devices are told to come again', async (t) => {
  const key = issuerKey('ES256', 'k')
  const jwks = await startJwksServer(t, 'not yet')
  const server = await TestServer.start(t, { flags: ['--token-jwks', jwks.url] })
  t.equal(await knock(server, 'd', issue(key, claimsOf('d'))), 3)
  t.equal(await knock(server, 'd', await server.token('d')), 0, 'our own need no key of others')
  jwks.serve(jwksOf(key))
  await until('the key to be known', async () => (await knock(server, 'd', issue(key, claimsOf('d')))) === 0)
  t.equal(await metric(server, 'mqtt_connects_total{result="bad_token"}'), 0)
})

void t.test(
  'tokens: the secret changes while devices are connected, each step is in force without a restart',
  async (t) => {
    const server = await TestServer.start(t)
    const old = await secretOf(server)
    const fresh = 'the new secret which has more than thirty-two bytes'
    const stays = await connected(t, server, 'stays', signed(old, 'stays'))
    t.equal(await knock(server, 'd', signed(fresh, 'd')), 4)

    await replaceSecret(server, 'token-secret', `${fresh},${old}`)
    await until('the new secret to verify', async () => (await knock(server, ...signedFor(fresh))) === 0)
    t.equal(await knock(server, 'd', signed(old, 'd')), 0, 'the old one too')
    const minted = await server.rest('POST', '/v1/devices/d/token', {})
    await replaceSecret(server, 'token-secret', fresh)
    await until('the old secret not to verify', async () => (await knock(server, ...signedFor(old))) === 4)
    t.match(minted.body, { token: String })
    t.equal(await knock(server, 'd', String(Object(minted.body).token)), 0, 'the new one signed since it came')

    await replaceSecret(server, 'token-secret', 'too short')
    await until('the mistake to be logged', () => server.child.stderr.includes('cannot be used as it is now'))
    t.equal(await knock(server, 'd', signed(fresh, 'd')), 0, 'a mistake changes nothing')
    t.notOk(stays.closed)
    t.equal(await metric(server, 'secret_reloads_total{result="changed"}'), 2)
    t.equal(await metric(server, 'secret_reloads_total{result="failed"}'), 1)
    for (const secret of [old, fresh, 'too short']) t.notOk(server.child.stderr.includes(secret), 'and is not logged')
  },
)

void t.test(
  'tokens: deleting a device ends its connection at once, and no token of before connects again',
  async (t) => {
    const server = await TestServer.start(t)
    const device = await connected(t, server, 'd', await server.token('d'))
    const other = await connected(t, server, 'e', await server.token('e'))
    const before = await server.token('d')
    const elapsed = stopwatch(t)
    t.equal((await server.rest('DELETE', '/v1/devices/d')).status, 204)
    await device.untilClosed(30_000)
    t.ok(elapsed() < 2_000)
    t.equal(await knock(server, 'd', before), 4)
    t.notOk(other.closed)
    await server.stop()
    await server.restart()
    t.equal(await knock(server, 'd', before), 4, 'also after a restart')
    const minted = await server.rest('POST', '/v1/devices/d/token', {})
    t.equal(await knock(server, 'd', String(Object(minted.body).token)), 0)
  },
)

void t.test('tokens: a connection ends with its token', async (t) => {
  const server = await TestServer.start(t)
  const began = performance.now()
  const elapsed = stopwatch(t)
  const short = await connected(t, server, 'd', await server.token('d', 2))
  const long = await connected(t, server, 'e', await server.token('e', 60))
  await short.untilClosed(30_000)
  const after = performance.now() - began
  t.ok(after > 1_500 && elapsed() < 4_500, `${Math.round(after)} ms`)
  t.notOk(long.closed)
  t.equal(await metric(server, 'mqtt_closes_total{reason="token_expired"}'), 1)
  t.equal(await metric(server, 'connections'), 1)
})

/** Sends requests one after the other until it is stopped; what they were answered with. */
function keepAsking(server: TestServer, key: () => string): { stop(): Promise<ReadonlyMap<number, number>> } {
  const statuses = new Map<number, number>()
  const stopping = new AbortController()
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const { status, body } = await fetch(`${server.url}/v1/devices?limit=1`, {
        headers: { authorization: `Bearer ${key()}` },
      })
      await body?.cancel()
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const loops = Promise.all([loop(), loop(), loop()])
  return {
    async stop() {
      stopping.abort()
      await loops
      return statuses
    },
  }
}

void t.test('API keys: one takes the place of another, and no request is answered 401 meanwhile', async (t) => {
  const server = await TestServer.start(t)
  const make = async (name: string): Promise<{ id: string; key: string }> =>
    Object((await server.rest('POST', '/v1/keys', { name, scopes: ['read'] })).body)
  let current = await make('first')
  const asking = keepAsking(server, () => current.key)
  for (let round = 0; round < 5; round++) {
    const old = current
    current = await make(`round ${round}`)
    // Requests with the old key that are under way: everybody uses the new one before the old one goes.
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal((await server.rest('DELETE', `/v1/keys/${old.id}`)).status, 204)
    const refused = await fetch(`${server.url}/v1/devices`, { headers: { authorization: `Bearer ${old.key}` } })
    t.equal(refused.status, 401, 'the old one is refused at once')
    await refused.body?.cancel()
  }
  const statuses = await asking.stop()
  t.same([...statuses.keys()], [200])
  t.ok((statuses.get(200) ?? 0) > 20)
})

void t.test('API keys: the operator’s changes by its file, and no request is answered 401 meanwhile', async (t) => {
  const server = await TestServer.start(t)
  const old = await server.apiKey()
  const fresh = `prk_0123456789abcdef_${'n'.repeat(43)}`
  const ask = async (key: string): Promise<number> => {
    const { status, body } = await fetch(`${server.url}/v1/keys`, { headers: { authorization: `Bearer ${key}` } })
    await body?.cancel()
    return status
  }
  let key = old
  const asking = keepAsking(server, () => key)
  t.equal(await ask(fresh), 401)
  await replaceSecret(server, 'api-key', `${fresh},${old}`)
  await until('the new key to work', async () => (await ask(fresh)) === 200)
  t.equal(await ask(old), 200)
  key = fresh
  await replaceSecret(server, 'api-key', fresh)
  await until('the old key to be refused', async () => (await ask(old)) === 401)
  t.same([...(await asking.stop()).keys()], [200])
  t.notOk(server.child.stderr.includes(fresh))
})

void t.test('API keys: the environment may hold two, and commands use the first', async (t) => {
  const keys = ['first-key-of-the-operator', 'second-key-of-the-operator']
  const server = await TestServer.start(t, { env: { POSTRIDER_API_KEY: keys.join(', ') } })
  for (const [key, status] of [...keys.map((each) => [each, 200] as const), [keys.join(', '), 401] as const]) {
    const answer = await fetch(`${server.url}/v1/keys`, { headers: { authorization: `Bearer ${key}` } })
    t.equal(answer.status, status, key)
    await answer.body?.cancel()
  }
})
