// What can be seen of a node from outside: the road of a trace, lines of the log, and no secret in any of it.

import { randomBytes } from 'node:crypto'
import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { connect } from '../../sdk/node.js'
import { behindProxy } from '../support/mongodb/behind-proxy.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { startRedis, noRedis } from '../support/redis/server.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const OTHER_TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

interface Line extends Record<string, unknown> {
  readonly event?: string
}

const isLine = (value: unknown): value is Line => typeof value === 'object' && value !== null

/** The lines of the log so far, by event. */
function linesOf(server: TestServer, event: string): readonly Line[] {
  return server.child.stderr.split('\n').flatMap((text) => {
    if (!text.startsWith('{') || !text.endsWith('}')) return []
    const line: unknown = JSON.parse(text)
    return isLine(line) && line.event === event ? [line] : []
  })
}

async function post(server: TestServer, path: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${await server.apiKey()}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  await response.arrayBuffer()
  return response
}

void t.test('traces: the context of a push reaches the handler of the SDK', async (t) => {
  const server = await TestServer.start(t)
  const seen: Array<string | undefined> = []
  const client = connect({
    urls: server.mqttUrl,
    deviceId: 'phone-1',
    token: await server.token('phone-1'),
    storage: memoryStorage(),
    handler: ({ attributes }) => void seen.push(attributes.get('traceparent')),
  })
  t.teardown(() => client.close())
  const path = '/v1/devices/phone-1/messages'
  const header = { traceparent: TRACE }
  t.equal((await post(server, path, { payload: 'by header', dedupId: 'a' }, header)).status, 202)
  t.equal(
    (await post(server, path, { payload: 'by attribute', attributes: { traceparent: OTHER_TRACE } }, header)).status,
    202,
  )
  t.equal((await post(server, path, { payload: 'none' }, { traceparent: 'nonsense' })).status, 202)
  t.equal((await post(server, '/v1/messages', { messages: [{ device: 'phone-1', payload: 'x' }] }, header)).status, 200)
  const repeat = await post(server, path, { payload: 'by header', dedupId: 'a' }, { traceparent: OTHER_TRACE })
  t.equal(repeat.status, 200, 'a repeat in another span is the same message')
  await until('the messages', () => seen.length === 4)
  t.same(seen, [TRACE, OTHER_TRACE, undefined, TRACE])
})

void t.test('requests: each has an id, its own or a new one, in the answer', async (t) => {
  const server = await TestServer.start(t)
  const idOf = async (given?: string): Promise<string> => {
    const headers: Record<string, string> = given === undefined ? {} : { 'x-request-id': given }
    return (await fetch(`${server.url}/v1/devices`, { headers })).headers.get('x-request-id') ?? ''
  }
  t.equal(await idOf('order-17/a.b:c'), 'order-17/a.b:c')
  const [first, second] = [await idOf(), await idOf()]
  t.match(first, /^[A-Za-z0-9_-]+$/)
  t.not(first, second)
  t.not(await idOf('x'.repeat(129)), 'x'.repeat(129))
  t.not(await idOf('a "quoted" one'), 'a "quoted" one')
})

void t.test('log: a connection ends in one line, with its reason and counts', async (t) => {
  const server = await TestServer.start(t)
  const password = await server.token('phone-1')
  const options = { clientId: 'phone-1', username: 'phone-1', protocolVersion: 4, reconnectPeriod: 0 } as const
  const client = await connectAsync(server.mqttUrl, { ...options, password })
  t.teardown(() => client.end(true))
  let got = 0
  client.on('message', () => got++)
  await client.subscribeAsync('inbox/phone-1', { qos: 1 })
  for (let i = 0; i < 3; i++) await post(server, '/v1/devices/phone-1/messages', { payload: 'x' })
  await until('the messages', () => got === 3)
  await client.endAsync()
  await until('the line', () => linesOf(server, 'connection_ended').length === 1)
  t.match(linesOf(server, 'connection_ended')[0], {
    device: 'phone-1',
    reason: 'disconnect',
    seconds: Number,
    bytesIn: Number,
    sent: 3,
    pubacks: 3,
  })
  await t.rejects(connectAsync(server.mqttUrl, { ...options, password: 'wrong' }))
  await until('the other line', () => linesOf(server, 'connection_refused').length === 1)
  t.equal(linesOf(server, 'connection_ended').length, 1, 'one that was refused has a line of its own')
})

/** Every secret has this in it, whatever else it is. */
const MARK = 'MaRkEd-SeCrEt'

/** Uses what there is, rightly and wrongly; everything that was answered to somebody without rights. */
async function useEverything(server: TestServer): Promise<string> {
  const outputs: string[] = []
  const call = async (url: string, init: RequestInit = {}): Promise<void> => {
    const response = await fetch(url, init).catch(() => null)
    if (response !== null) outputs.push([...response.headers].flat().join('\n'), await response.text())
  }
  const key = await server.apiKey()
  const json = { 'content-type': 'application/json' }
  const messages = `${server.url}/v1/devices/phone-1/messages`
  const body = JSON.stringify({ payload: `${MARK} payload`, attributes: { note: `${MARK} attribute` } })
  await call(messages, { method: 'POST', headers: { ...json, authorization: `Bearer ${key}` }, body })
  await call(messages, {
    method: 'POST',
    headers: { ...json, authorization: `Bearer ${key}` },
    body: `{"payload":"${MARK}"`,
  })
  await call(messages, { method: 'POST', headers: { ...json, authorization: `Bearer ${MARK}-wrong-key` }, body })
  await call(`${messages}?${MARK}`, { method: 'POST', headers: { authorization: `Basic ${MARK}` }, body })
  await call(`${server.url}/v1/nothing`, { headers: { authorization: `Bearer ${key}` } })
  const options = { clientId: 'phone-1', username: 'phone-1', protocolVersion: 4, reconnectPeriod: 0 } as const
  for (const password of [`${MARK}-wrong-token`, await server.token('phone-2')]) {
    await connectAsync(server.mqttUrl, { ...options, password }).catch(() => undefined)
  }
  const client = await connectAsync(server.mqttUrl, { ...options, password: await server.token('phone-1') })
  let got = 0
  client.on('message', () => got++)
  await client.subscribeAsync('inbox/phone-1', { qos: 1 })
  await client.publishAsync('uplink/phone-1/state', `${MARK} uplink`, { qos: 1 })
  await until('the message', () => got === 1)
  // Denied: the connection is closed.
  const closed = new Promise((resolve) => client.once('close', () => resolve(null)))
  client.publish('inbox/phone-2', `${MARK} denied`, { qos: 1 }, () => undefined)
  await closed
  client.end(true)
  for (const path of ['/metrics', '/readyz', '/readyz?format=json', '/livez', '/startupz', `/${MARK}`]) {
    await call(`${server.adminUrl}${path}`)
  }
  // What was sent is not what was told: only our own words count.
  return outputs.join('\n')
}

const SECRETS = {
  POSTRIDER_API_KEY: `${MARK}-api-key-0123456789`,
  POSTRIDER_TOKEN_SECRET: `${MARK}-token-secret-0123456789-0123456789`,
}

function holdsNone(t: Test, what: string, text: string, tokens: readonly string[]): void {
  const at = text.indexOf(MARK)
  t.equal(at, -1, `${what}: ${text.slice(Math.max(0, at - 120), at + 60)}`)
  for (const token of tokens) t.notOk(text.includes(token.split('.')[2] ?? token), `${what}: the signature of a token`)
}

void t.test('secrets: none in any output, at the most talkative level', async (t) => {
  const server = await TestServer.start(t, { env: SECRETS, flags: ['--log-level', 'trace'] })
  const tokens = [await server.token('phone-1'), await server.token('phone-2')]
  const outputs = await useEverything(server)
  holdsNone(t, 'answers', outputs, tokens)
  await server.stop()
  t.ok(server.child.stderr.includes('connection_ended'))
  holdsNone(t, 'stdout', server.child.stdout, tokens)
  holdsNone(t, 'stderr', server.child.stderr, tokens)
})

void t.test(
  'secrets: the password of Redis is in no output, also while Redis is away',
  { skip: noRedis },
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    await redis.admin.config('SET', 'requirepass', `${MARK}-redis`)
    const store = `redis://:${encodeURIComponent(`${MARK}-redis`)}@127.0.0.1:${redis.port}`
    const server = await TestServer.start(t, {
      env: { ...SECRETS, POSTRIDER_STORE: store },
      flags: ['--log-level', 'trace', '--store', store],
    })
    const outputs = await useEverything(server)
    await redis.kill('SIGKILL')
    await until('not ready', async () => (await fetch(`${server.adminUrl}/readyz`)).status === 503)
    holdsNone(t, 'readiness', await (await fetch(`${server.adminUrl}/readyz`)).text(), [])
    holdsNone(t, 'answers', outputs, [])
    await server.stop()
    holdsNone(t, 'stderr', server.child.stderr, [])
  },
)

void t.test(
  'secrets: the password of MongoDB is in no output, also while MongoDB is away',
  { skip: noMongo },
  async (t) => {
    const mongo = await startMongo()
    const name = `postrider_test_${randomBytes(4).toString('hex')}`
    t.teardown(async () => {
      await mongo.admin.db(name).dropDatabase()
      await mongo.stop()
    })
    const { url: store, proxy, password } = await behindProxy(t, mongo.url(name))
    // One without users has no password to tell; the marked secrets are looked for all the same.
    const forms = password === null ? [] : [password, decodeURIComponent(password)]
    const server = await TestServer.start(t, {
      env: { ...SECRETS, POSTRIDER_STORE: store },
      flags: ['--log-level', 'trace', '--store', store],
    })
    const outputs = await useEverything(server)
    proxy.stop()
    await until('not ready', async () => (await fetch(`${server.adminUrl}/readyz`)).status === 503, 60_000)
    const texts = {
      readiness: await (await fetch(`${server.adminUrl}/readyz`)).text(),
      metrics: await (await fetch(`${server.adminUrl}/metrics`)).text(),
      answers: outputs,
    }
    await server.stop()
    const { stdout, stderr } = server.child
    t.ok(stderr.includes('a check of readiness failed'))
    for (const [what, text] of Object.entries({ ...texts, stdout, stderr })) {
      holdsNone(t, what, text, [])
      for (const form of forms) t.notOk(text.includes(form), `${what}: the password`)
    }
  },
)
