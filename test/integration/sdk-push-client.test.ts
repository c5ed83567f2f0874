import { createServer } from 'node:http'
import t, { type Test } from 'tap'
import { createPushClient, type PushClient, type PushClientOptions } from '../../sdk/server.js'
import { TestServer } from '../support/server.js'

async function backend(
  t: Test,
  options: Partial<PushClientOptions> = {},
): Promise<{ readonly server: TestServer; readonly client: PushClient }> {
  const server = await TestServer.start(t)
  const client = createPushClient({ url: server.url, apiKey: await server.apiKey(), ...options })
  return { server, client }
}

void t.test('SDK push client: pushes, and what the server says of them', async (t) => {
  const { client } = await backend(t)
  const first = await client.push(
    'phone-1',
    { order: 17 },
    { dedupId: 'order-17', ttl: 60, attributes: { a: 'b' }, priority: 'high' },
  )
  t.match(first, { device: 'phone-1', seq: 1, duplicate: false })
  t.match(
    await client.push(
      'phone-1',
      { order: 17 },
      { dedupId: 'order-17', ttl: 60, attributes: new Map([['a', 'b']]), priority: 'high' },
    ),
    {
      ...first,
      duplicate: true,
    },
  )
  await t.rejects(client.push('phone-1', 'another body', { dedupId: 'order-17' }), {
    code: 'dedup_conflict',
    retryable: false,
  })
  await client.push('phone-1', Uint8Array.of(0, 255))
  await client.push('phone-1', 'text')
  const { items, next } = await client.pending('phone-1')
  t.equal(next, null)
  t.same(
    items.map(({ seq, payload }) => [seq, payload]),
    [
      [1, { order: 17 }],
      [2, Uint8Array.of(0, 255)],
      [3, 'text'],
    ],
  )
  t.equal(items[0]?.attributes.get('a'), 'b')
  t.equal(items[0]?.priority, 'high')
  t.match(await client.device('phone-1'), { online: false, head: 3, cursor: 0, pending: 3 })
  t.match(await client.state(first), { seq: 1, state: 'queued' })
  t.match(await client.cancel(first), { state: 'cancelled' })
  t.match(await client.state(first), { state: 'cancelled' })
  t.same(
    (await client.devices({ limit: 1, online: false })).items.map(({ device }) => device),
    ['phone-1'],
  )
  t.match(await client.token('phone-1', { ttl: 60 }), { token: /\./, expiresAt: /T/ })
  await client.removeDevice('phone-1')
  await t.rejects(client.device('phone-1'), { code: 'device_not_found', status: 404 })
  await client.close()
  await t.rejects(client.push('phone-1', 'x'), { code: 'closed' })
})

void t.test('SDK push client: thousands of pushes are few requests, each device in order', async (t) => {
  let requests = 0
  const { server, client } = await backend(t, {
    fetch: (url, init) => {
      requests++
      return fetch(url, init)
    },
  })
  const devices = Array.from({ length: 10 }, (_, i) => `d${i}`)
  const outcomes = await client.pushMany(
    Array.from({ length: 3_000 }, (_, i) => ({ device: devices[i % 10] ?? '', payload: i })),
  )
  t.ok(outcomes.every((outcome, i) => outcome.ok && outcome.seq === Math.floor(i / 10) + 1))
  t.ok(requests < 100, `${requests} requests`)
  const some = await client.pushMany([
    { device: 'd0', payload: 1 },
    { device: 'not/valid', payload: 2 },
    { device: 'd0', payload: 'x'.repeat(300_000) },
    { device: 'd0', payload: 3 },
  ])
  t.same(
    some.map((outcome) => (outcome.ok ? outcome.seq : outcome.error.code)),
    [301, 'bad_option', 'payload_too_large', 302],
  )
  t.equal((await server.rest('GET', '/v1/devices/d0')).status, 200)
})

void t.test('SDK push client: a server that is killed and started again loses and repeats nothing', async (t) => {
  const { server, client } = await backend(t, { retry: { minMs: 20, maxMs: 200 }, batch: { count: 20 } })
  const total = 2_000
  const progress = { answered: 0 }
  const pushes = (async () => {
    const results = []
    for (let i = 0; i < total; i += 20) {
      results.push(
        ...Array.from({ length: 20 }, (_, j) =>
          client.push(`k${(i + j) % 4}`, i + j).then((result) => {
            progress.answered++
            return result
          }),
        ),
      )
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return Promise.all(results)
  })()
  for (const count of [200, 700]) {
    while (progress.answered < count) await new Promise((resolve) => setTimeout(resolve, 5))
    await server.kill('SIGKILL')
    await server.restart()
  }
  const results = await pushes
  t.ok(
    results.every(({ seq }, i) => seq === Math.floor(i / 4) + 1),
    'in the order of the calls',
  )
  for (let device = 0; device < 4; device++) {
    const { items } = await client.pending(`k${device}`, { limit: 1_000 })
    t.same(
      items.map(({ payload }) => payload),
      Array.from({ length: total / 4 }, (_, i) => i * 4 + device),
    )
  }
})

void t.test('SDK push client: a wrong key, a wrong server and a proxy’s page are told apart', async (t) => {
  const { server } = await backend(t)
  const wrong = createPushClient({ url: server.url, apiKey: 'wrong', retry: { forMs: 0 } })
  await t.rejects(wrong.push('a', 1), { code: 'unauthorized', status: 401 })
  await t.rejects(wrong.device('a'), { code: 'unauthorized' })
  const nobody = createPushClient({ url: 'http://127.0.0.1:1', apiKey: 'k', retry: { forMs: 50, minMs: 10 } })
  await t.rejects(nobody.push('a', 1), { code: 'network', retryable: true })
  await t.rejects(nobody.device('a'), { code: 'network' })

  const seen: string[] = []
  const proxy = createServer((request, response) => {
    seen.push(String(request.url))
    if (seen.length === 1) response.writeHead(503, { 'retry-after': '0' }).end('<html>')
    else if (request.url === '/v1/devices/b') response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
    else if (request.url === '/v1/devices/c')
      return // never
    else response.writeHead(200).end('hello')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  const address = proxy.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const lost = createPushClient({
    url: `http://127.0.0.1:${port}/`,
    apiKey: 'k',
    requestTimeoutMs: 200,
    retry: { forMs: 50, minMs: 1 },
  })
  await t.rejects(lost.device('a'), { code: 'bad_answer' }, 'tried again after 503, then no JSON')
  t.equal(seen.length, 2)
  await t.rejects(lost.device('b'), { code: 'network' }, 'the key goes nowhere else')
  await t.rejects(lost.device('c'), { code: 'timeout' })
  await t.rejects(lost.device('c', { signal: AbortSignal.timeout(10) }), { name: 'TimeoutError' })
})
