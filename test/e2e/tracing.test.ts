// Exported traces, as a receiver of OTLP over HTTP gets them.

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { connect } from '../../sdk/node.js'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { scrape } from '../support/scrape.js'
import { startCommand } from '../support/command.js'
import { TestServer } from '../support/server.js'
import { TraceReceiver } from '../support/tracing/receiver.js'

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN_ID = '00f067aa0ba902b7'
const SAMPLED = `00-${TRACE_ID}-${SPAN_ID}-01`
const NOT_SAMPLED = `00-${TRACE_ID}-${SPAN_ID}-00`
const OWN_ID = '0af7651916cd43dd8448eb211c80319c'
const OWN = `00-${OWN_ID}-b7ad6b7169203331-01`

async function push(server: TestServer, path: string, body: unknown, traceparent?: string): Promise<number> {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await server.apiKey()}`,
      'content-type': 'application/json',
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    body: JSON.stringify(body),
  })
  await response.arrayBuffer()
  return response.status
}

const TO_PHONE = '/v1/devices/phone-1/messages'

/** A plain device that acknowledges what it gets. */
async function plainDevice(t: Test, server: TestServer, onMessage: (text: string) => void = () => undefined) {
  const client = await connectAsync(server.mqttUrl, {
    clientId: 'phone-1',
    username: 'phone-1',
    password: await server.token('phone-1'),
    protocolVersion: 4,
    reconnectPeriod: 0,
  })
  t.teardown(() => client.end(true))
  client.on('message', (_topic, payload) => onMessage(payload.toString()))
  await client.subscribeAsync('inbox/phone-1', { qos: 1 })
  return client
}

void t.test('tracing: one trace shows accept and delivery, on two nodes', { skip: noRedis }, async (t) => {
  const receiver = await TraceReceiver.start(t)
  const cluster = await startClusterOn(t)
  const flags = ['--otel-endpoint', receiver.url]
  const [broker, api] = [
    await cluster.node('--role', 'broker', ...flags),
    await cluster.node('--role', 'api', ...flags),
  ]
  await plainDevice(t, broker)
  const before = BigInt(Date.now()) * 1_000_000n
  t.equal(await push(api, TO_PHONE, { payload: 'a payload that stays here' }, SAMPLED), 202)
  await until('both spans', () => receiver.spans.length === 2)
  t.same(receiver.faults, [])
  const [accept] = receiver.named('postrider.accept')
  const [deliver] = receiver.named('postrider.deliver')
  t.equal(accept?.traceId, TRACE_ID)
  t.equal(accept?.parentSpanId, SPAN_ID, 'the span of the request is a child of the backend’s')
  t.equal(deliver?.traceId, TRACE_ID)
  t.equal(deliver?.parentSpanId, accept?.spanId, 'the delivery is a child of the accept')
  t.match([accept?.kind, deliver?.kind], [2, 3])
  t.equal(accept?.attributes.get('http.response.status_code'), 202)
  t.equal(accept?.attributes.get('http.route'), '/v1/devices/:id/messages')
  t.equal(deliver?.attributes.get('postrider.handled'), true)
  for (const key of ['postrider.device', 'postrider.epoch', 'postrider.seq']) {
    t.ok(accept?.attributes.has(key), key)
    t.equal(accept?.attributes.get(key), deliver?.attributes.get(key), key)
  }
  for (const { start, end } of receiver.spans) {
    t.ok(start <= end && start >= before - 1_000_000_000n && end <= BigInt(Date.now() + 1_000) * 1_000_000n, 'times')
  }
  const nodes = receiver.spans.map(({ resource }) => resource.get('service.instance.id'))
  t.equal(new Set(nodes).size, 2, 'the spans are of two nodes')
  t.same(new Set(receiver.spans.map(({ resource }) => resource.get('service.name'))), new Set(['postrider']))
  t.notOk(receiver.bodies.join('').includes('a payload'))
})

void t.test('tracing: the flag of the context decides, and without one the ratio', async (t) => {
  const receiver = await TraceReceiver.start(t)
  const server = await TestServer.start(t, { flags: ['--otel-endpoint', `${receiver.url}/`] })
  let got = 0
  await plainDevice(t, server, () => got++)
  await push(server, TO_PHONE, { payload: 'no context' })
  await push(server, TO_PHONE, { payload: 'not recorded' }, NOT_SAMPLED)
  await push(server, TO_PHONE, { payload: 'its own', attributes: { traceparent: OWN } })
  t.equal(
    await push(
      server,
      '/v1/messages',
      {
        messages: [
          { device: 'phone-1', payload: 'shares' },
          { device: 'phone-1', payload: 'has its own', attributes: { traceparent: OWN } },
        ],
      },
      SAMPLED,
    ),
    200,
  )
  await until('the messages', () => got === 5)
  // own: accept, deliver. batch: accept, deliver; and of the second message accept, deliver.
  await until('the spans', () => receiver.spans.length === 6)
  const own = receiver.spans.filter(({ traceId }) => traceId === OWN_ID)
  t.equal(own.length, 4)
  t.same(new Set(own.map(({ parentSpanId }) => parentSpanId)), new Set(['b7ad6b7169203331']))
  const shared = receiver.spans.filter(({ traceId }) => traceId === TRACE_ID)
  t.match(shared.map(({ name }) => name).toSorted(), ['postrider.accept', 'postrider.deliver'])
  t.equal(shared.find(({ name }) => name === 'postrider.accept')?.attributes.get('messaging.batch.message_count'), 2)
  t.equal(await push(server, TO_PHONE, { nonsense: 1 }, SAMPLED), 400)
  await until('the span of the refusal', () => receiver.spans.length === 7)
  t.equal(receiver.spans.at(-1)?.attributes.get('http.response.status_code'), 400)
  t.equal((await fetch(server.url + TO_PHONE, { method: 'POST', headers: { traceparent: SAMPLED } })).status, 401)

  await server.stop()
  t.equal(receiver.spans.length, 7, 'who has no key makes no span')
  await server.restart({ flags: ['--otel-endpoint', receiver.url, '--otel-ratio', '1'] })
  const seen: Array<string | undefined> = []
  const device = connect({
    urls: server.mqttUrl,
    deviceId: 'phone-2',
    token: await server.token('phone-2'),
    storage: memoryStorage(),
    handler: ({ attributes }) => void seen.push(attributes.get('traceparent')),
  })
  t.teardown(() => device.close())
  await push(server, '/v1/devices/phone-2/messages', { payload: 'begins a trace' })
  await push(server, '/v1/devices/phone-2/messages', { payload: 'not recorded' }, NOT_SAMPLED)
  await until('both messages', () => seen.length === 2)
  await until('the trace', () => receiver.spans.length === 9)
  const [first, second] = receiver.spans.slice(7).toSorted((a, b) => Number(a.start - b.start))
  t.equal(first?.parentSpanId, null, 'the trace begins here')
  t.equal(first?.flags, 0x101)
  t.equal(second?.parentSpanId, first?.spanId)
  t.same(seen, [`00-${first?.traceId}-${first?.spanId}-01`, NOT_SAMPLED], 'the SDK gets the context of the accept')
  t.same(receiver.faults, [])
})

void t.test(
  'tracing: what a connection has not acknowledged is told, and its redelivery is another span',
  async (t) => {
    const receiver = await TraceReceiver.start(t)
    const server = await TestServer.start(t, { flags: ['--otel-endpoint', receiver.url] })
    let got = 0
    const client = await plainDevice(t, server)
    client.handleMessage = () => void got++ // never called back: no PUBACK
    await push(server, TO_PHONE, { payload: 'x' }, SAMPLED)
    await until('the message', () => got === 1)
    t.equal(await metric(server, 'trace_open_spans'), 1)
    client.stream.destroy()
    await until('the span', () => receiver.named('postrider.deliver').length === 1)
    t.equal(receiver.named('postrider.deliver')[0]?.attributes.get('postrider.handled'), false)
    await plainDevice(t, server)
    await until('the other span', () => receiver.named('postrider.deliver').length === 2)
    const again = receiver.named('postrider.deliver')[1]
    t.equal(again?.attributes.get('postrider.handled'), true)
    t.equal(again?.attributes.get('postrider.redelivered'), true)
    t.equal(await metric(server, 'trace_open_spans'), 0)
  },
)

void t.test('tracing: a receiver that is down, slow or unwilling costs spans and nothing else', async (t) => {
  const receiver = await TraceReceiver.start(t)
  const server = await TestServer.start(t, { flags: ['--otel-endpoint', receiver.url, '--otel-ratio', '1'] })
  let got = 0
  await plainDevice(t, server, () => got++)
  let pushed = 0
  const pushMany = async (requests: number): Promise<void> => {
    for (let i = 0; i < requests; i++) {
      const messages = Array.from({ length: 100 }, () => ({ device: 'phone-1', payload: 'x' }))
      t.equal(await push(server, '/v1/messages', { messages }), 200)
      pushed += 100
    }
    await until('the messages', () => got === pushed)
  }
  const dropped = async (reason: string): Promise<number> => {
    const family = (await scrape(server)).get('postrider_trace_spans_dropped_total')
    return family?.samples.find(({ labels }) => labels.get('reason') === reason)?.value ?? 0
  }

  // Slow: it takes the request and never answers.
  receiver.behave = () => null
  await pushMany(50)
  t.equal(receiver.requests.length, 1, 'one request at a time')
  // 50 accepts and 5,000 deliveries: 4,096 wait, 256 at most are on their way.
  await until('a full queue', async () => (await dropped('queue_full')) > 0)
  t.ok((await metric(server, 'trace_queue_spans')) <= 4_096)
  // Down.
  await receiver.down()
  await pushMany(2)
  await until('failures', async () => (await metric(server, 'trace_export_failures_total')) >= 2)
  // Up, and not willing.
  receiver.behave = () => ({ status: 400 })
  await receiver.up()
  await until('refused spans', async () => (await dropped('refused')) > 0)
  // Well.
  receiver.behave = () => ({ status: 200 })
  await pushMany(1)
  await until('spans', () => receiver.named('postrider.accept').length > 0)
  const lines = (event: string): number => server.child.stderr.split(`"event":"${event}"`).length - 1
  await until('the line', () => lines('traces_exported_again') === 1)
  t.equal(lines('traces_not_exported'), 1, 'one line, however many failures')
  t.same(receiver.faults, [])
  // A stop does not wait for one that hangs.
  receiver.behave = () => null
  await pushMany(1)
  const stopped = performance.now()
  t.match(await server.stop(), { code: 0 })
  t.ok(performance.now() - stopped < 15_000)
})

const MARK = 'MaRkEd-HeAdEr'

void t.test('tracing: headers for the receiver are sent to it, and shown to nobody', async (t) => {
  const receiver = await TraceReceiver.start(t)
  receiver.behave = () =>
    receiver.requests.length === 0 ? { status: 503, body: `{"message":"${MARK}"}` } : { status: 200 }
  const env = { POSTRIDER_OTEL_HEADERS: `x-key=${MARK}%2C1, x-tenant=a` }
  const server = await TestServer.start(t, { env, flags: ['--otel-endpoint', receiver.url, '--log-level', 'trace'] })
  await push(server, TO_PHONE, { payload: 'x' }, SAMPLED)
  await until('the span', () => receiver.spans.length === 1)
  const [request] = receiver.requests
  t.equal(request?.['x-key'], `${MARK},1`)
  t.equal(request?.['x-tenant'], 'a')
  t.equal(request?.[':path'], '/v1/traces')
  t.equal(request?.['content-type'], 'application/json')
  await server.stop()
  t.notOk(server.child.stderr.includes(MARK))

  for (const wrong of [MARK, `x-key=${MARK}%0Ay`, `bad name=${MARK}`, `x-key=${MARK}%E0`]) {
    const child = startCommand(t, ['serve', '--otel-endpoint', receiver.url, '--store', `file:${server.folder}`], {
      env: { POSTRIDER_OTEL_HEADERS: wrong },
    })
    t.match(await child.exited, { code: 78 })
    t.ok(child.stderr.includes('POSTRIDER_OTEL_HEADERS'))
    t.notOk(child.stderr.includes(MARK), child.stderr)
  }
})

/** The files of our own that a server has loaded, from its report of covered code. */
async function loadedFiles(t: Test, flags: readonly string[]): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-coverage-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const server = await TestServer.start(t, { flags, env: { NODE_V8_COVERAGE: folder } })
  t.equal(await push(server, TO_PHONE, { payload: 'x' }, SAMPLED), 202)
  await server.stop()
  const reports = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')))
  return [...reports.join('').matchAll(/"url":"file:\/\/([^"]+)"/g)].map(([, path = '']) => path)
}

void t.test('tracing: nothing of it is loaded unless it is on', async (t) => {
  const isTracing = (path: string): boolean => path.includes('/core/tracing/') && !path.endsWith('/trace-counters.js')
  const off = await loadedFiles(t, [])
  t.ok(
    off.some((path) => path.endsWith('/courier/hosted-courier.js')),
    'the report has our files',
  )
  t.same(off.filter(isTracing), [])
  const receiver = await TraceReceiver.start(t)
  const on = await loadedFiles(t, ['--otel-endpoint', receiver.url])
  t.ok(on.filter(isTracing).length >= 4)
})
