import tap from 'tap'
import { PostriderError } from '../../core/errors.js'
import type { AppendResult, Mailbox } from '../../core/ports/mailbox.js'
import { at, isProblem, listen, startApi, type Answer, type TestApi } from '../support/push-api/server.js'

const NDJSON = 'application/x-ndjson'

const batch = (api: TestApi, messages: unknown) => api.call('POST', '/v1/messages', { json: { messages } })
const resultsOf = (answer: Answer): readonly unknown[] => {
  const results = at(answer.body, 'results')
  return Array.isArray(results) ? results : []
}
const linesOf = (answer: Answer): readonly unknown[] =>
  answer.text
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line))

void tap.test('batch: results in order, seqs of a device in the order of the array', async (t) => {
  const api = await startApi(t)
  const devices = ['a', 'b', 'a', 'c', 'a', 'b']
  const answer = await batch(
    api,
    devices.map((device, i) => ({ device, payload: `m${i}` })),
  )
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type') ?? '', /^application\/json/)
  t.match(resultsOf(answer), [
    { device: 'a', seq: 1, epoch: String },
    { device: 'b', seq: 1 },
    { device: 'a', seq: 2 },
    { device: 'c', seq: 1 },
    { device: 'a', seq: 3 },
    { device: 'b', seq: 2 },
  ])
  const page = await api.call('GET', '/v1/devices/a/messages')
  t.match(at(page.body, 'messages'), [{ payload: 'm0' }, { payload: 'm2' }, { payload: 'm4' }])
  t.strictSame((await batch(api, [])).body, { results: [] })
})

void tap.test('batch: an item that is not well-formed fails alone', async (t) => {
  const api = await startApi(t)
  const answer = await batch(api, [
    { device: 'a', payload: '1' },
    { device: 'a b', payload: 'x' },
    { device: 'a', payload: 'x', ttl: -1 },
    { device: 'a', payload: 'x', colour: 1 },
    { device: 'a', payload: 'x', collapseKey: 'k' },
    { group: 'g', payload: 'x' },
    { payload: 'x' },
    { device: 'a', devices: ['b'], payload: 'x' },
    { device: 'a' },
    { device: 7, payload: 'x' },
    { device: 'a', payload: 'x'.repeat(256 * 1024 + 1) },
    'x',
    null,
    [],
    { devices: [], payload: 'x' },
    { devices: 'a', payload: 'x' },
    { devices: ['a', 1], payload: 'x' },
    { devices: ['a', 'a'], payload: 'x' },
    { device: 'a', payload: '2' },
  ])
  t.equal(answer.status, 200)
  t.match(resultsOf(answer), [
    { device: 'a', seq: 1 },
    { error: { code: 'invalid_device_id', message: /^messages\[1\]\.device: / } },
    { error: { code: 'bad_request', message: /^messages\[2\]\.ttl: an integer of 1 to/ } },
    { error: { code: 'unknown_field', message: /^messages\[3\]: .*"colour"/ } },
    { error: { code: 'not_supported', message: /^messages\[4\]\.collapseKey: / } },
    { error: { code: 'not_supported', message: /^messages\[5\]\.group: / } },
    { error: { code: 'bad_request', message: /device and devices/ } },
    { error: { code: 'bad_request', message: /device and devices/ } },
    { error: { code: 'bad_request', message: /payload/ } },
    { error: { code: 'bad_request', message: /^messages\[9\]\.device: a string/ } },
    { error: { code: 'payload_too_large', message: /^messages\[10\]\.payload: / } },
    { error: { code: 'bad_request', message: /^messages\[11\]: a JSON object/ } },
    { error: { code: 'bad_request' } },
    { error: { code: 'bad_request' } },
    { error: { code: 'bad_request', message: /^messages\[14\]\.devices: / } },
    { error: { code: 'bad_request' } },
    { error: { code: 'bad_request', message: /^messages\[16\]\.devices\[1\]: / } },
    { error: { code: 'bad_request', message: /once/ } },
    { device: 'a', seq: 2 },
  ])
  for (const result of resultsOf(answer).slice(1, -1)) t.strictSame(Object.keys(Object(result)), ['error'])
  t.equal(api.counters.refusedItems.byCode.get('not_supported'), 2)
})

void tap.test('batch: numbers that do not survive and half surrogates fail the item that has them', async (t) => {
  const api = await startApi(t)
  const raw =
    '{"messages":[{"device":"a","payload":{"n":1e400}},{"device":"a","payload":{"n":1e3}},' +
    '{"device":"a","payload":[1,-0]},{"device":"a","payload":"12345678901234567890 1e400"},' +
    '{"device":"a","payload":"\\ud800"},{"device":"a","payload":{"__proto__":{"x":[12345678901234567890]}}},' +
    '{"device":"a","payload":{"__proto__":{"x":1}}}]}'
  const answer = await api.call('POST', '/v1/messages', { raw })
  t.match(resultsOf(answer), [
    { error: { code: 'bad_request', message: /^messages\[0\]\.payload\.n: .*string/ } },
    { seq: 1 },
    { error: { code: 'bad_request', message: /^messages\[2\]\.payload\[1\]: / } },
    { seq: 2 },
    { error: { code: 'bad_request', message: /^messages\[4\]\.payload: .*surrogate/ } },
    { error: { code: 'bad_request', message: /^messages\[5\]\.payload\.__proto__\.x\[0\]: / } },
    { seq: 3 },
  ])
})

void tap.test('batch: one message to several devices has a result for each of them', async (t) => {
  const api = await startApi(t, { mailboxLimits: { inboxMax: 1 } })
  await batch(api, [{ device: 'full', payload: 'x' }])
  const answer = await batch(api, [{ devices: ['a', 'b c', 'full', 'd'], payload: 'hello', dedupId: 'k' }])
  t.equal(answer.status, 200)
  t.match(resultsOf(answer), [
    {
      devices: [
        { device: 'a', seq: 1, epoch: String },
        { device: 'b c', error: { code: 'invalid_device_id', message: String } },
        { device: 'full', error: { code: 'inbox_full', message: String } },
        { device: 'd', seq: 1, epoch: String },
      ],
    },
  ])
  const again = await batch(api, [{ devices: ['a', 'd'], payload: 'hello', dedupId: 'k' }])
  t.match(resultsOf(again), [
    {
      devices: [
        { seq: 1, duplicate: true },
        { seq: 1, duplicate: true },
      ],
    },
  ])
})

void tap.test('batch: dedup inside a batch and over batches', async (t) => {
  const api = await startApi(t)
  const answer = await batch(api, [
    { device: 'a', payload: 'x', dedupId: 'k' },
    { device: 'a', payload: 'x', dedupId: 'k' },
    { device: 'a', payload: 'y', dedupId: 'k' },
    { device: 'b', payload: 'y', dedupId: 'k' },
  ])
  t.match(resultsOf(answer), [
    { device: 'a', seq: 1 },
    { device: 'a', seq: 1, duplicate: true },
    { error: { code: 'dedup_conflict', message: /seq 1/ } },
    { device: 'b', seq: 1 },
  ])
  t.notOk('duplicate' in Object(resultsOf(answer)[0]))
})

void tap.test('batch: at most 1,000 messages after expansion, and nothing of a larger one is stored', async (t) => {
  const api = await startApi(t)
  const many = (count: number, of: (i: number) => unknown) => Array.from({ length: count }, (_, i) => of(i))
  const full = await batch(
    api,
    many(1000, (i) => ({ device: `d${i}`, payload: 'x' })),
  )
  t.equal(resultsOf(full).length, 1000)
  const over = many(1001, () => ({ device: 'over', payload: 'x' }))
  isProblem(t, await batch(api, over), 413, 'too_many_messages', /1000/)
  isProblem(t, await batch(api, [...over.slice(1), {}]), 413, 'too_many_messages')
  const devices = many(501, (i) => `over${i}`)
  const twice = [
    { devices, payload: 'x' },
    { devices, payload: 'y' },
  ]
  isProblem(t, await batch(api, twice), 413, 'too_many_messages')
  t.equal((await api.call('GET', '/v1/devices/over')).status, 404)
  t.equal((await api.call('GET', '/v1/devices/over1')).status, 404)
})

void tap.test('batch: the envelope itself', async (t) => {
  const api = await startApi(t)
  const post = (raw: string, headers = {}) => api.call('POST', '/v1/messages', { raw, headers })
  isProblem(t, await post('{"messages":['), 400, 'bad_request', /not valid JSON/)
  isProblem(t, await post('[]'), 400, 'bad_request', /"messages"/)
  isProblem(t, await post('{}'), 400, 'bad_request', /^messages: an array/)
  isProblem(t, await post('{"messages":{}}'), 400, 'bad_request', /^messages: an array/)
  isProblem(t, await post('{"messages":[],"atomic":true}'), 400, 'unknown_field', /"atomic"/)
  isProblem(t, await post('{"messages":[],"__proto__":true}'), 400, 'unknown_field', /"__proto__"/)
  isProblem(t, await post('{"messages":[]}', { 'idempotency-key': 'k' }), 400, 'bad_request', /Idempotency-Key/)
  isProblem(t, await api.call('POST', '/v1/messages', { raw: '{}', type: 'text/csv' }), 400, 'bad_request')
})

void tap.test('batch: one frame of notices for each node, in order for each device', async (t) => {
  const api = await startApi(t)
  const [n1, n2] = [await listen(api.bus, 'n1'), await listen(api.bus, 'n2')]
  for (const [device, node] of [
    ['a', 'n1'],
    ['b', 'n2'],
    ['c', 'n1'],
  ] as const) {
    await api.mailbox.claim(device, { node, claimId: `claim-${device}` }, { force: false })
  }
  await batch(
    api,
    ['a', 'b', 'c', 'a', 'off', 'a', 'b'].map((device, i) => ({ device, payload: `${i}` })),
  )
  const seen = (frames: typeof n1.frames) =>
    frames.map((frame) => frame.map((n) => `${n.device} ${n.claimId} ${n.message.seq} ${String(n.message.payload)}`))
  t.strictSame(seen(n1.frames), [['a claim-a 1 0', 'c claim-c 1 2', 'a claim-a 2 3', 'a claim-a 3 5']])
  t.strictSame(seen(n2.frames), [['b claim-b 1 1', 'b claim-b 2 6']])
  t.equal(api.counters.notices, 6)
})

void tap.test('batch: NDJSON in, NDJSON out, in order; a bad line fails alone', async (t) => {
  const api = await startApi(t)
  const raw = [
    '{"device":"a","payload":"1"}',
    '{"device":"a","payload":',
    '',
    '{"devices":["a","b"],"payload":{"n":1}}\r',
    '  ',
    '{"device":"a","payload":{"n":1e400}}',
    'null',
    '{"device":"a","payload":"é\\u2028"}',
  ].join('\n')
  const answer = await api.call('POST', '/v1/messages', { raw, type: NDJSON })
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type') ?? '', /^application\/x-ndjson/)
  t.match(linesOf(answer), [
    { device: 'a', seq: 1 },
    { error: { code: 'bad_request', message: /not valid JSON/ } },
    {
      devices: [
        { device: 'a', seq: 2 },
        { device: 'b', seq: 1 },
      ],
    },
    { error: { code: 'bad_request', message: /^payload\.n: / } },
    { error: { code: 'bad_request', message: /object/ } },
    { device: 'a', seq: 3 },
  ])
  const empty = await api.call('POST', '/v1/messages', { raw: '', type: NDJSON })
  t.match(empty, { status: 200, text: '' })
  const many = '{"device":"over","payload":"x"}\n'.repeat(1001)
  isProblem(t, await api.call('POST', '/v1/messages', { raw: many, type: NDJSON }), 413, 'too_many_messages')
  t.equal(await api.mailbox.info('over'), null)
})

/** The real mailbox, but some appends fail as a store can fail. */
function failing(mailbox: Mailbox, fail: (device: string) => 'store_unavailable' | 'outcome_unknown' | null): Mailbox {
  return new Proxy(mailbox, {
    get(target, name) {
      if (name !== 'append') {
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return async (items: Parameters<Mailbox['append']>[0]): Promise<readonly AppendResult[]> => {
        const good = items.filter((item) => fail(item.device) === null)
        const stored = [...(await target.append(good))]
        return items.map((item): AppendResult => {
          const code = fail(item.device)
          const result = code === null ? stored.shift() : undefined
          return result ?? { ok: false, code: code ?? 'outcome_unknown' }
        })
      }
    },
  })
}

void tap.test('batch: a store that fails for all is 503 as a whole, for some it is their results', async (t) => {
  const codes: Record<string, 'store_unavailable' | 'outcome_unknown'> = {
    down: 'store_unavailable',
    late: 'outcome_unknown',
  }
  const api = await startApi(t, { wrap: (mailbox) => failing(mailbox, (device) => codes[device] ?? null) })
  const push = (...devices: string[]) =>
    batch(
      api,
      devices.map((device) => ({ device, payload: 'x' })),
    )
  const whole = await push('down', 'down')
  isProblem(t, whole, 503, 'store_unavailable')
  t.match(whole.headers.get('retry-after') ?? '', /^[1-9]/)
  isProblem(t, await push('down', 'late'), 503, 'outcome_unknown', /dedupId/)
  t.match(resultsOf(await push('up', 'down', 'late')), [
    { device: 'up', seq: 1 },
    { error: { code: 'store_unavailable' } },
    { error: { code: 'outcome_unknown' } },
  ])
  isProblem(
    t,
    await api.call('POST', '/v1/devices/down/messages', { json: { payload: 'x' } }),
    503,
    'store_unavailable',
  )
  isProblem(t, await api.call('POST', '/v1/devices/late/messages', { json: { payload: 'x' } }), 503, 'outcome_unknown')
  const fanOut = await batch(api, [{ devices: ['down', 'down2'], payload: 'x' }])
  t.match(resultsOf(fanOut), [{ devices: [{ device: 'down', error: { code: 'store_unavailable' } }, { seq: 1 }] }])
})

void tap.test(
  'batch: a store that rejects is 503; an error of the program is told as an unknown outcome',
  async (t) => {
    let error: Error = new PostriderError('store_unavailable', 'the disk is full')
    const api = await startApi(t, {
      wrap: (mailbox) =>
        new Proxy(mailbox, {
          get: (target, name) => (name === 'append' ? () => Promise.reject(error) : Reflect.get(target, name, target)),
        }),
    })
    const one = () => api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
    isProblem(t, await one(), 503, 'store_unavailable')
    isProblem(t, await batch(api, [{ device: 'd', payload: 'x' }]), 503, 'store_unavailable')
    error = new TypeError('a bug')
    const unknown = await one()
    isProblem(t, unknown, 503, 'outcome_unknown')
    t.notMatch(unknown.text, /a bug/)
    t.equal(api.counters.internalErrors, 1)
    t.equal(api.api.queue.count, 0, 'failed appends leave the queue')
  },
)
