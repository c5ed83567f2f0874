// One attempt to hand an event to a receiver, over real sockets.

import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSocketServer } from 'node:net'
import t, { type Test } from 'tap'
import { reachableAddresses } from '../../core/net/public-address.js'
import { NO_PROXIES, trustedProxies } from '../../core/net/trusted-proxies.js'
import { type LookUp, type Outcome, Poster, type PosterOptions } from '../../push-api/webhooks/post.js'

/** A resolver that answers these addresses, one after the other, and counts how often it is asked. */
function resolverOf(...answers: ReadonlyArray<readonly string[]>) {
  const asked = { times: 0 }
  const lookUp: LookUp = (_name, _options, callback) => {
    const found = answers[Math.min(asked.times++, answers.length - 1)] ?? []
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
  return { asked, lookUp }
}

function posterOf(t: Test, options: Partial<PosterOptions> = {}): Poster {
  const poster = new Poster({
    reachable: reachableAddresses(trustedProxies(['loopback'])),
    allowHttp: true,
    timeoutMs: 20_000,
    concurrency: 4,
    userAgent: 'postrider/test',
    ...options,
  })
  t.teardown(() => poster.close())
  return poster
}

async function listen(t: Test, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const send = (poster: Poster, url: string, signal = new AbortController().signal): Promise<Outcome> =>
  poster.post({ url, headers: { 'webhook-id': 'evt_1' }, body: '{"ü":1}', signal })

t.test('webhook post: what is sent, and what answers mean', async (t) => {
  const seen: unknown[] = []
  const answers: ReadonlyArray<readonly [number, Record<string, string>]> = [
    [200, {}],
    [204, {}],
    [302, { location: '/elsewhere' }],
    [400, {}],
    [410, {}],
    [500, {}],
    [429, { 'retry-after': '7' }],
    [503, { 'retry-after': '999999999' }],
    [502, { 'retry-after': 'soon' }],
  ]
  const port = await listen(t, (request, response) => {
    const [status, headers] = answers[seen.length] ?? [599, {}]
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      seen.push([request.method, request.url, request.headers['content-type'], request.headers['webhook-id'], body])
      response.writeHead(status, headers).end('x')
    })
  })
  const poster = posterOf(t)
  const outcomes: Outcome[] = []
  for (const _ of answers) outcomes.push(await send(poster, `http://127.0.0.1:${port}/a?b=c`))
  const failed = (reason: string, down: boolean, waitMs = 0) => ({ ok: false, reason, down, waitMs })
  t.strictSame(outcomes, [
    { ok: true },
    { ok: true },
    failed('redirect', false),
    failed('status_4xx', false),
    failed('status_4xx', false),
    failed('status_5xx', false),
    failed('unavailable', true, 7_000),
    failed('unavailable', true, 3_600_000),
    failed('unavailable', true),
  ])
  const request = ['POST', '/a?b=c', 'application/json', 'evt_1', '{"ü":1}']
  t.strictSame(
    seen,
    answers.map(() => request),
    'a redirect is not followed',
  )
})

t.test('webhook post: a receiver that says nothing, or too much, costs little', async (t) => {
  let written = 0
  const port = await listen(t, (request, response) => {
    if (request.url === '/silent') return
    response.writeHead(200)
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(16_384))) written += 16_384
      response.once('drain', more)
    }
    more()
  })
  const poster = posterOf(t, { timeoutMs: 300 })
  t.match(await send(poster, `http://127.0.0.1:${port}/silent`), { ok: false, reason: 'timeout', down: false })
  t.same(await send(posterOf(t), `http://127.0.0.1:${port}/endless`), { ok: true })
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.ok(written < 20 * 1024 * 1024, `${written} bytes were written`)
})

t.test('webhook post: a receiver that is not there', async (t) => {
  const server = createSocketServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  server.close()
  await once(server, 'close')
  const poster = posterOf(t)
  t.match(await send(poster, `http://127.0.0.1:${port}/`), { ok: false, reason: 'connect', down: true })
  t.match(await send(poster, 'http://no-such-host.invalid/'), { ok: false, reason: 'dns', down: true })
  const plain = await listen(t, (_request, response) => response.end())
  t.match(await send(poster, `https://127.0.0.1:${plain}/`), { ok: false, reason: 'tls', down: true })
})

t.test('webhook post: no private address is reached, by number or by name', async (t) => {
  let requests = 0
  const port = await listen(t, (_request, response) => {
    requests++
    response.end()
  })
  const none = reachableAddresses(NO_PROXIES)
  const blocked = { ok: false, reason: 'blocked_address', down: true }
  for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', '0']) {
    t.match(await send(posterOf(t, { reachable: none }), `http://${host}:${port}/`), blocked, host)
  }
  const { lookUp, asked } = resolverOf(['127.0.0.1'], ['10.0.0.1', '::1', 'fd00::1'])
  const poster = posterOf(t, { reachable: none, lookUp })
  t.match(await send(poster, `http://a.example:${port}/`), blocked, 'a name')
  t.match(await send(poster, `http://a.example:${port}/`), blocked, 'a name with several addresses')
  t.equal(asked.times, 2, 'asked for each connection')
  t.equal(requests, 0)
})

t.test('webhook post: a name that changes its address between two connections is looked at each time', async (t) => {
  let requests = 0
  const port = await listen(t, (_request, response) => {
    requests++
    response.writeHead(204, { connection: 'close' }).end()
  })
  // Public as far as this server is concerned is 127.0.0.1 alone; the name then moves to 127.0.0.2, where the server listens not.
  const { lookUp } = resolverOf(['127.0.0.1', '127.0.0.2'], ['127.0.0.2'])
  const poster = posterOf(t, { reachable: reachableAddresses(trustedProxies(['127.0.0.1'])), lookUp })
  t.same(await send(poster, `http://a.example:${port}/`), { ok: true })
  t.match(await send(poster, `http://a.example:${port}/`), { ok: false, reason: 'blocked_address' })
  t.equal(requests, 1)
})

t.test('webhook post: plain http is refused unless allowed', async (t) => {
  const port = await listen(t, () => t.fail('nothing may arrive'))
  const poster = posterOf(t, { allowHttp: false })
  t.match(await send(poster, `http://127.0.0.1:${port}/`), { ok: false, reason: 'blocked_address' })
})

t.test('webhook post: an idle connection that the receiver has closed costs nothing', async (t) => {
  let connections = 0
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    response.writeHead(204).end()
  })
  server.on('connection', (socket) => {
    connections++
    // Closed behind the first answer, without a word in it.
    socket.once('data', () => setTimeout(() => socket.destroy(), 50))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const poster = posterOf(t)
  for (let n = 0; n < 20; n++) {
    t.same(await send(poster, `http://127.0.0.1:${port}/`), { ok: true })
    await new Promise((resolve) => setTimeout(resolve, 45 + (n % 10)))
  }
  t.equal(requests, 20)
  t.ok(connections > 1)
})

t.test('webhook post: an attempt can be ended', async (t) => {
  const abort = new AbortController()
  const port = await listen(t, () => abort.abort())
  t.match(await send(posterOf(t), `http://127.0.0.1:${port}/`, abort.signal), { ok: false })
})
