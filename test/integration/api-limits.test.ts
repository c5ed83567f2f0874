// The limits of the REST listener, over real sockets: refused in the protocol's own way, and counted.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import tap from 'tap'
import { ADMIN_KEY, isProblem, startApi } from '../support/push-api/server.js'
import { stopwatch } from '../support/stopwatch.js'

interface RawHttp {
  readonly socket: Socket
  text(): string
  closed(): boolean
}

async function open(port: number): Promise<RawHttp> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  let closed = false
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  socket.on('close', () => (closed = true))
  await once(socket, 'connect')
  return { socket, text: () => text, closed: () => closed }
}

async function until(what: string, condition: () => boolean, ms = 5_000): Promise<void> {
  const end = performance.now() + ms
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const request = (method: string, path: string, headers = ''): string =>
  `${method} ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_KEY}\r\n${headers}\r\n`

void tap.test('api limits: who waits makes room, first those without a key', async (t) => {
  const api = await startApi(t, { limits: { connectionsMax: 4 } })
  const known = await open(api.port)
  known.socket.write(request('GET', '/v1/devices'))
  await until('its answer', () => known.text().includes('200 OK'))
  const anybody = await open(api.port)
  anybody.socket.write('GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n')
  await until('its answer', () => anybody.text().includes('200 OK'))
  const half = await open(api.port)
  half.socket.write('GET /v1/devices HTTP/1.1\r\nhost:')
  const silent = await open(api.port)
  await until('all four', () => api.api.connections.open === 4)

  for (const [n, oldest] of [anybody, half, silent].entries()) {
    const next = await open(api.port)
    await until(`room for ${n}`, () => oldest.closed())
    next.socket.write(request('GET', '/v1/devices'))
    await until('an answer', () => next.text().includes('200 OK'))
  }
  t.equal(known.closed(), false)
  t.equal(api.counters.connectionsEnded.evicted, 3)
  const last = await open(api.port)
  await until('the known one that has waited longest', () => known.closed())
  last.socket.destroy()
})

void tap.test('api limits: who is being answered is never put out', async (t) => {
  let letGo = (): void => {}
  let asked = 0
  const gate = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const api = await startApi(t, {
    limits: { connectionsMax: 2 },
    wrap: (mailbox) =>
      new Proxy(mailbox, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target)
          if (typeof value !== 'function') return value
          const bound = (...args: unknown[]): unknown => value.apply(target, args)
          if (name !== 'list') return bound
          return async (...args: unknown[]): Promise<unknown> => {
            asked++
            await gate
            return bound(...args)
          }
        },
      }),
  })
  const busy = [await open(api.port), await open(api.port)]
  for (const { socket } of busy) socket.write(request('GET', '/v1/devices'))
  await until('both requests', () => asked === 2)
  const refused = await open(api.port)
  await until('its end', () => refused.closed())
  t.match(refused.text(), /^HTTP\/1\.1 503 [\s\S]*retry-after: 1[\s\S]*"code":"overloaded"/)
  t.equal(api.counters.connectionsEnded.refused, 1)
  letGo()
  for (const client of busy) await until('its answer', () => client.text().includes('200 OK'))
  t.same(
    busy.map((client) => client.closed()),
    [false, false],
  )
})

void tap.test('api limits: pipelined requests are answered in order, up to a number', async (t) => {
  const api = await startApi(t, { limits: { pipelineMax: 10 } })
  const polite = await open(api.port)
  polite.socket.write(Array.from({ length: 10 }, (_, i) => request('GET', `/v1/devices/no-${i}`)).join(''))
  await until('ten answers', () => polite.text().split('HTTP/1.1 404').length === 11)
  polite.socket.write(request('GET', '/v1/devices'))
  await until('one more', () => polite.text().includes('200 OK'))
  const flood = await open(api.port)
  flood.socket.write(Array.from({ length: 1_000 }, () => request('GET', '/v1/devices')).join(''))
  await until('its end', () => flood.closed())
  t.equal(api.counters.connectionsEnded.pipelining, 1)
  t.equal(polite.closed(), false)
})

void tap.test('api limits: headers that come too slowly or are too long', async (t) => {
  const api = await startApi(t, { limits: { headerTimeoutMs: 300, requestTimeoutMs: 1_000 } })
  const half = await open(api.port)
  half.socket.write('POST /v1/messages HTTP/1.1\r\nhost: x\r\n')
  const silent = await open(api.port)
  const trickle = await open(api.port)
  const timer = setInterval(() => trickle.socket.write('x-a: b\r\n'), 50)
  t.teardown(() => clearInterval(timer))
  trickle.socket.write('GET / HTTP/1.1\r\nhost: x\r\n')
  const elapsed = stopwatch(t)
  for (const client of [half, silent, trickle]) await until('its end', () => client.closed())
  t.ok(elapsed() < 3_000)
  for (const client of [half, trickle]) t.match(client.text(), /^HTTP\/1\.1 408 /)

  const long = await open(api.port)
  long.socket.write(request('GET', '/v1/devices', `x-a: ${'b'.repeat(17_000)}\r\n`))
  await until('its end', () => long.closed())
  t.match(long.text(), /^HTTP\/1\.1 431 /)
  const bytes = await open(api.port)
  bytes.socket.write('\0\0\0\0\r\n\r\n')
  await until('its end', () => bytes.closed())
  t.match(api.counters.requestsUnread, { headers_too_large: 1, malformed: 1 })
  t.ok(api.counters.requestsUnread.too_slow >= 2)
})

void tap.test('api limits: requests from one address, also without a key', async (t) => {
  const api = await startApi(t, { limits: { requestsPerAddress: { perSecond: 2, burst: 3 } } })
  for (const key of [null, 'wrong']) isProblem(t, await api.call('GET', '/v1/devices', { key }), 401, 'unauthorized')
  t.equal((await api.call('GET', '/v1/devices')).status, 200)
  const refused = await api.call('GET', '/v1/devices')
  isProblem(t, refused, 429, 'rate_limited')
  t.equal(refused.headers.get('retry-after'), '1')
  isProblem(t, await api.call('GET', '/nowhere'), 429, 'rate_limited')
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  t.equal((await api.call('GET', '/v1/devices')).status, 200, 'a second later')
})

void tap.test('api limits: an error in pipelined bytes is answered after the requests in front of it', async (t) => {
  let letGo = (): void => {}
  const gate = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const api = await startApi(t, {
    limits: { headerTimeoutMs: 300, requestTimeoutMs: 300 },
    wrap: (mailbox) =>
      new Proxy(mailbox, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target)
          if (typeof value !== 'function') return value
          const bound = (...args: unknown[]): unknown => value.apply(target, args)
          return name === 'list'
            ? async (...args: unknown[]): Promise<unknown> => gate.then(() => bound(...args))
            : bound
        },
      }),
  })
  const garbage = await open(api.port)
  garbage.socket.write(`${request('GET', '/v1/devices')}garbage\r\n\r\n`)
  const half = await open(api.port)
  const head = request('POST', '/v1/messages', 'content-type: application/json\r\ncontent-length: 10\r\n')
  half.socket.write(`${request('GET', '/v1/devices')}${head}{`)
  await until(
    'both errors',
    () => api.counters.requestsUnread.malformed === 1 && api.counters.requestsUnread.too_slow === 1,
  )
  t.same([garbage.text(), half.text()], ['', ''], 'nothing yet')
  letGo()
  for (const client of [garbage, half]) await until('its end', () => client.closed())
  t.match(garbage.text(), /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 400 /)
  t.match(half.text(), /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 408 /)
})

void tap.test('api limits: headers that Node would answer by itself get a problem too', async (t) => {
  const api = await startApi(t)
  const cases = [
    ['GET /v1/devices HTTP/1.1\r\n\r\n', /Host/],
    [request('GET', '/v1/devices', 'expect: something\r\n'), /Expect/],
  ] as const
  for (const [bytes, detail] of cases) {
    const client = await open(api.port)
    client.socket.write(bytes)
    await until('an answer', () => client.text().includes('}'))
    t.match(client.text(), /^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"bad_request"/)
    t.match(client.text(), detail)
    client.socket.destroy()
  }
})

void tap.test('api limits: a client that goes away in the middle of a body is no error of ours', async (t) => {
  const api = await startApi(t)
  for (const end of ['destroy', 'resetAndDestroy'] as const) {
    const client = await open(api.port)
    client.socket.write(
      `${request('POST', '/v1/messages', 'content-type: application/json\r\ncontent-length: 100\r\n')}{"mess`,
    )
    await until('the request', () => api.counters.requests > 0)
    client.socket[end]()
    await until('its end', () => api.api.connections.open === 0)
    api.counters.requests = 0
  }
  await until('both refusals', () => api.counters.problems.byCode.get('bad_request') === 2)
  t.equal(api.counters.internalErrors, 0)
})

void tap.test(
  'api limits: a client that does not read its answers is closed, one that reads slowly is not',
  async (t) => {
    const api = await startApi(t, { limits: { stalledTimeoutMs: 2_500 } })
    const json = { payload: 'x'.repeat(200 * 1024) }
    for (let i = 0; i < 20; i++) await api.call('POST', '/v1/devices/d/messages', { json })
    const stalled = await open(api.port)
    const slow = await open(api.port)
    for (const { socket } of [stalled, slow]) {
      socket.pause()
      // About 80 MB of answers: more than the buffers of both kernels.
      socket.write(Array.from({ length: 20 }, () => request('GET', '/v1/devices/d/messages?limit=100')).join(''))
    }
    // Far from all of it in that time. Much slower, and its kernel would ask for more less often than that.
    const sips = setInterval(() => {
      slow.socket.once('data', () => slow.socket.pause())
      slow.socket.resume()
    }, 10)
    t.teardown(() => clearInterval(sips))
    await until('the stalled one to be closed', () => api.counters.connectionsEnded.stalled === 1, 10_000)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    t.equal(api.counters.connectionsEnded.stalled, 1)
    t.equal(slow.closed(), false)
    stalled.socket.destroy()
    slow.socket.destroy()
  },
)
