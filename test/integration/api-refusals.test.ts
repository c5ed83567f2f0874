import { once } from 'node:events'
import { createServer, connect } from 'node:net'
import tap from 'tap'
import { createLocalBus } from '../../core/bus/local/local-bus.js'
import { StartupError } from '../../core/errors.js'
import { createLogger } from '../../core/log.js'
import type { Mailbox } from '../../core/ports/mailbox.js'
import { createKeyring } from '../../core/security/api-keys.js'
import { createPushApi } from '../../push-api/create-push-api.js'
import { at, isProblem, startApi } from '../support/push-api/server.js'

void tap.test('refusals: calls that do not exist', async (t) => {
  const api = await startApi(t)
  const calls = [
    ['GET', '/'],
    ['GET', '/v2/devices'],
    ['PUT', '/v1/devices/d'],
    ['PATCH', '/v1/messages'],
    ['GET', '/v1/messages'],
    ['GET', '/metrics'],
    ['GET', '/v1/devices/a/b/c'],
  ] as const
  for (const [method, path] of calls) {
    isProblem(t, await api.call(method, path), 404, 'not_found')
    isProblem(t, await api.call(method, path, { key: null }), 404, 'not_found')
  }
})

void tap.test('refusals: documented calls that are not built', async (t) => {
  const api = await startApi(t)
  const calls = [
    ['POST', '/v1/groups/g/messages'],
    ['POST', '/v1/groups/g/members'],
    ['PUT', '/v1/groups/g/members/d'],
    ['GET', '/v1/groups/g/members/d'],
    ['DELETE', '/v1/groups/g/members/d'],
    ['GET', '/v1/scheduled/s'],
    ['DELETE', '/v1/scheduled/s'],
    ['GET', '/v1/events'],
  ] as const
  for (const [method, path] of calls) {
    isProblem(t, await api.call(method, path, { key: await api.key('push') }), 400, 'not_supported')
    if (method === 'POST' || method === 'PUT') {
      isProblem(t, await api.call(method, path, { raw: 'x', type: 'text/plain' }), 400, 'not_supported')
    }
  }
})

/** What a raw exchange on the port answers, until the server ends it. */
async function exchange(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  socket.write(bytes)
  await once(socket, 'close')
  return text
}

void tap.test('refusals: bytes that are no HTTP request get a problem, and the server lives', async (t) => {
  const api = await startApi(t, { limits: { requestTimeoutMs: 400 } })
  const garbage = await exchange(api.port, 'garbage\r\n\r\n')
  t.match(garbage, /^HTTP\/1\.1 400 .*\r\ncontent-type: application\/problem\+json/)
  t.match(garbage, /"code":"bad_request"/)
  t.match(
    await exchange(api.port, Buffer.from([0x10, 0x0c, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 0])),
    /^HTTP\/1\.1 400 /,
  )
  const huge = `GET /v1/devices/${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`
  t.match(await exchange(api.port, huge), /^HTTP\/1\.1 431 /)
  t.equal((await api.call('GET', '/v1/devices')).status, 200)
})

void tap.test('refusals: a request that does not arrive in time is ended', async (t) => {
  const api = await startApi(t, { limits: { requestTimeoutMs: 300 } })
  const head = `POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${await api.key('push')}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`
  const text = await exchange(api.port, head)
  t.match(text, /^HTTP\/1\.1 408 /)
})

/** Holds back the appends of a mailbox until they are let go. */
class Gate {
  #waiting: Array<() => void> = []
  #open = false

  get count(): number {
    return this.#waiting.length
  }

  readonly wrap = (mailbox: Mailbox): Mailbox =>
    new Proxy(mailbox, {
      get: (target, name) => {
        if (name === 'append') {
          return async (items: Parameters<Mailbox['append']>[0]) => {
            if (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve))
            return target.append(items)
          }
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })

  letGo(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  open(): void {
    this.#open = true
    this.letGo()
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

void tap.test('overload: the queue is bounded by count; what was refused is not stored', async (t) => {
  const gate = new Gate()
  const api = await startApi(t, { limits: { queueMax: 10, queueMaxAgeMs: 60_000 }, wrap: gate.wrap })
  const push = (device: string, count: number) =>
    api.call('POST', '/v1/messages', {
      json: { messages: Array.from({ length: count }, () => ({ device, payload: 'x' })) },
    })
  const taken = push('taken', 9)
  await until(() => api.api.queue.count === 9)
  const refused = await push('refused', 2)
  isProblem(t, refused, 503, 'overloaded')
  t.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
  const last = push('last', 1)
  await until(() => api.api.queue.count === 10)
  isProblem(t, await api.call('POST', '/v1/devices/refused/messages', { json: { payload: 'x' } }), 503, 'overloaded')
  t.equal((await api.call('GET', '/v1/devices')).status, 200, 'reads go on')
  gate.open()
  t.equal((await taken).status, 200)
  t.equal((await last).status, 200)
  t.match(await api.mailbox.info('taken'), { head: 9 })
  t.equal(await api.mailbox.info('refused'), null)
  t.equal(api.api.queue.count, 0)
  t.equal(api.api.queue.bytes, 0)
  t.match((await push('refused', 2)).body, { results: [{ seq: 1 }, { seq: 2 }] })
})

void tap.test('overload: the queue is bounded by bytes; an empty one takes any request', async (t) => {
  const gate = new Gate()
  const api = await startApi(t, { limits: { queueMaxBytes: 10_000 }, wrap: gate.wrap })
  const push = (length: number) => api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x'.repeat(length) } })
  const first = push(20_000)
  await until(() => api.api.queue.count === 1)
  isProblem(t, await push(1), 503, 'overloaded')
  gate.open()
  t.equal((await first).status, 202)
  t.equal((await push(1)).status, 202)
})

void tap.test('overload: the queue is bounded by the age of the oldest request', async (t) => {
  const gate = new Gate()
  const api = await startApi(t, { limits: { queueMaxAgeMs: 150 }, wrap: gate.wrap })
  const push = () => api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  const first = push()
  await until(() => api.api.queue.age() > 150)
  isProblem(t, await push(), 503, 'overloaded', /too long/)
  gate.open()
  t.equal((await first).status, 202)
  t.equal(api.api.queue.age(), 0)
  t.equal((await push()).status, 202)
})

void tap.test('overload: a store that does not answer in time leaves the outcome unknown', async (t) => {
  const gate = new Gate()
  const api = await startApi(t, { limits: { appendTimeoutMs: 100 }, wrap: gate.wrap })
  const json = { payload: 'x', dedupId: 'k' }
  const unknown = await api.call('POST', '/v1/devices/d/messages', { json })
  isProblem(t, unknown, 503, 'outcome_unknown', /same dedupId/)
  t.match(unknown.headers.get('retry-after') ?? '', /^[1-9]/)
  t.equal(api.api.queue.count, 1, 'it is still held')
  gate.open()
  await until(() => api.api.queue.count === 0)
  t.match(await api.call('POST', '/v1/devices/d/messages', { json }), {
    status: 200,
    body: { seq: 1, duplicate: true },
  })
})

void tap.test('overload: bodies that are arriving are bounded too', async (t) => {
  const api = await startApi(t, { limits: { receivingMaxBytes: 256 * 1024 } })
  const json = { payload: 'x'.repeat(200 * 1024) }
  t.equal((await api.call('POST', '/v1/devices/d/messages', { json })).status, 202)
  const messages = Array.from({ length: 4 }, () => ({ device: 'd', ...json }))
  const refused = await api.call('POST', '/v1/messages', { json: { messages } })
  isProblem(t, refused, 503, 'overloaded')
  t.equal((await api.call('POST', '/v1/devices/d/messages', { json })).status, 202, 'the room is given back')
})

void tap.test('start: a port in use is told as such', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const running = await startApi(t)
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const api = createPushApi({
    host: '127.0.0.1',
    port,
    mailbox: running.mailbox,
    bus: createLocalBus(),
    credentials: running.credentials,
    uplink: running.uplink,
    webhooks: running.webhooks,
    keyring: createKeyring({ credentials: running.credentials }),
    tokens: null,
    log: createLogger({ level: 'silent' }),
  })
  const error = await api.start().then(
    () => null,
    (reason: unknown) => reason,
  )
  t.ok(error instanceof StartupError)
  t.match(error, { message: new RegExp(`--http-port ${port}: another process`), exitCode: 75 })
  await api.stop()
})

void tap.test('stop: answers what is under way, then serves nothing', async (t) => {
  const gate = new Gate()
  const api = await startApi(t, { wrap: gate.wrap })
  const push = api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  await until(() => gate.count === 1)
  const stopped = api.api.stop()
  gate.open()
  const answer = await push
  t.equal(answer.status, 202)
  t.equal(at(answer.body, 'seq'), 1)
  await stopped
  await t.rejects(fetch(`${api.url}/openapi.json`))
  await api.api.stop()
})
