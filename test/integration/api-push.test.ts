import tap from 'tap'
import type { Test } from 'tap'
import { at, isProblem, listen, startApi, type TestApi } from '../support/push-api/server.js'

const MESSAGES = (device: string): string => `/v1/devices/${device}/messages`

async function payloadOf(api: TestApi, device: string, seq: number): Promise<{ bytes: string; contentType: string }> {
  const page = await api.mailbox.peek(device, { after: seq - 1, limit: 1, maxBytes: 1e9 })
  const message = page?.messages[0]?.message
  return {
    bytes: Buffer.from(message?.payload ?? new Uint8Array(0)).toString('latin1'),
    contentType: message?.contentType ?? '',
  }
}

void tap.test('push: a message is accepted with its place', async (t) => {
  const api = await startApi(t)
  const first = await api.call('POST', MESSAGES('phone-1'), { json: { payload: 'hello' } })
  t.equal(first.status, 202)
  t.match(first.headers.get('content-type') ?? '', /^application\/json/)
  const info = await api.mailbox.info('phone-1')
  t.strictSame(first.body, { device: 'phone-1', seq: 1, epoch: info?.epoch })
  const second = await api.call('POST', MESSAGES('phone-1'), { json: { payload: 'again' } })
  t.strictSame(second.body, { device: 'phone-1', seq: 2, epoch: info?.epoch })
  t.match(api.counters, { accepted: 2, duplicates: 0, requests: 2 })
  t.equal(api.api.queue.count, 0)
  t.equal(api.api.queue.bytes, 0)
})

void tap.test('push: ids of every allowed character and length, escaped in the URL or not', async (t) => {
  const api = await startApi(t)
  const ids = ['__proto__', 'constructor', 'a:b@c.d_e-F9', '...', 'x'.repeat(128)]
  for (const id of ids) {
    const answer = await api.call('POST', MESSAGES(encodeURIComponent(id)), { json: { payload: id } })
    t.match(answer.body, { device: id, seq: 1 }, id.slice(0, 20))
    const seen = await api.call('GET', `/v1/devices/${id}`)
    t.match(seen.body, { device: id, head: 1 })
  }
})

void tap.test('push: refuses device ids outside the pattern', async (t) => {
  const api = await startApi(t)
  const ids = ['a b', 'a/b', 'ü', 'a+b', '#', 'x'.repeat(129), 'x'.repeat(5000), 'a\0b', '..%2f']
  for (const id of ids) {
    const path = MESSAGES(encodeURIComponent(id))
    isProblem(t, await api.call('POST', path, { json: { payload: 'x' } }), 400, 'invalid_device_id', /1 to 128/)
  }
  isProblem(t, await api.call('POST', '/v1/devices/%zz/messages', { json: { payload: 'x' } }), 400, 'bad_request')
})

void tap.test('push: the payload is the bytes of a string, JSON of anything else, or base64', async (t) => {
  const api = await startApi(t)
  const cases: ReadonlyArray<readonly [json: string, bytes: string, contentType: string]> = [
    ['{"payload":"text \\u00e9 \\ud83d\\ude00"}', Buffer.from('text é 😀').toString('latin1'), 'text/plain'],
    ['{"payload":""}', '', 'text/plain'],
    ['{"payload":{"b":1,"a":[true,null,1.5]}}', '{"b":1,"a":[true,null,1.5]}', 'application/json'],
    ['{"payload":null}', 'null', 'application/json'],
    ['{"payload":false}', 'false', 'application/json'],
    ['{"payload":42}', '42', 'application/json'],
    ['{"payload":[]}', '[]', 'application/json'],
    ['{"payload":{"__proto__":{"x":1},"constructor":2}}', '{"__proto__":{"x":1},"constructor":2}', 'application/json'],
    ['{"payload":{"s":"\\ud800"}}', '{"s":"\\ud800"}', 'application/json'],
    ['{"payload":[1e2,1.0,0.1,-5.5]}', '[100,1,0.1,-5.5]', 'application/json'],
    ['{"payloadBase64":"AP9/gA=="}', '\x00\xff\x7f\x80', 'application/octet-stream'],
    ['{"payloadBase64":""}', '', 'application/octet-stream'],
    ['{"payload":"{\\"a\\":1}","contentType":"application/json"}', '{"a":1}', 'application/json'],
  ]
  let seq = 0
  for (const [raw, bytes, contentType] of cases) {
    const answer = await api.call('POST', MESSAGES('d'), { raw })
    t.equal(answer.status, 202, raw)
    t.strictSame(await payloadOf(api, 'd', ++seq), { bytes, contentType }, raw)
  }
})

void tap.test('push: the other fields reach the store', async (t) => {
  const api = await startApi(t)
  const before = Date.now()
  await api.call('POST', MESSAGES('d'), {
    raw: '{"payload":"x","ttl":60,"priority":"high","dedupId":"é-1","attributes":{"b":"2","__proto__":"p","a":""}}',
  })
  const page = await api.mailbox.peek('d', { after: 0, limit: 1, maxBytes: 1e6 })
  const message = page?.messages[0]?.message
  t.match(message, { priority: 'high', dedupId: 'é-1' })
  t.strictSame(message?.attributes, [
    ['__proto__', 'p'],
    ['a', ''],
    ['b', '2'],
  ])
  const life = (message?.expiresAt ?? 0) - before
  t.ok(life >= 60_000 && life < 70_000, 'expires after its ttl')
})

void tap.test('push: every malformed field is refused with its path and what would be right', async (t) => {
  const api = await startApi(t)
  const long = 'x'.repeat(257)
  const seventeen = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v']))
  const cases: ReadonlyArray<readonly [raw: string, code: string, detail: RegExp]> = [
    ['{"payload":"x"', 'bad_request', /not valid JSON/],
    ['', 'bad_request', /JSON/],
    ['[]', 'bad_request', /object/],
    ['null', 'bad_request', /object/],
    ['"x"', 'bad_request', /object/],
    ['{}', 'bad_request', /payload or payloadBase64 is required/],
    ['{"payload":"x","payloadBase64":"eA=="}', 'bad_request', /only one/],
    ['{"payload":"x","colour":1}', 'unknown_field', /"colour"/],
    ['{"payload":"x","__proto__":{}}', 'unknown_field', /"__proto__"/],
    ['{"payload":"x","device":"d"}', 'unknown_field', /"device"/],
    ['{"payload":"x","devices":["d"]}', 'unknown_field', /"devices"/],
    ['{"payload":"x","group":"g"}', 'unknown_field', /"group"/],
    ['{"payload":"x","deliverAt":"2030-01-01T00:00:00Z"}', 'not_supported', /^deliverAt:/],
    ['{"payload":"x","collapseKey":"k"}', 'not_supported', /^collapseKey:/],
    ['{"payload":"x","producer":{"id":"p","seq":1}}', 'not_supported', /^producer:/],
    ['{"payload":"x","receipt":1}', 'bad_request', /^receipt: true or false/],
    ['{"payload":"x","ttl":-1}', 'bad_request', /^ttl: an integer of 1 to 31536000/],
    ['{"payload":"x","ttl":0}', 'bad_request', /^ttl:/],
    ['{"payload":"x","ttl":1.5}', 'bad_request', /^ttl:/],
    ['{"payload":"x","ttl":"60"}', 'bad_request', /^ttl:/],
    ['{"payload":"x","ttl":null}', 'bad_request', /^ttl:/],
    ['{"payload":"x","ttl":1e12}', 'bad_request', /^ttl:/],
    ['{"payload":"x","ttl":1e400}', 'bad_request', /^ttl:/],
    ['{"payload":"x","priority":"urgent"}', 'bad_request', /^priority: "high" or "normal"/],
    ['{"payload":"x","priority":1}', 'bad_request', /^priority:/],
    ['{"payload":"x","contentType":""}', 'bad_request', /^contentType:/],
    ['{"payload":"x","contentType":"a\\nb"}', 'bad_request', /^contentType:/],
    [`{"payload":"x","contentType":"${long}"}`, 'bad_request', /^contentType:.*255/],
    ['{"payload":"x","dedupId":""}', 'bad_request', /^dedupId: a string of 1 to 256/],
    ['{"payload":"x","dedupId":7}', 'bad_request', /^dedupId:/],
    [`{"payload":"x","dedupId":"${long}"}`, 'bad_request', /^dedupId:/],
    ['{"payload":"x","dedupId":"\\udfff"}', 'bad_request', /^dedupId:.*surrogate/],
    ['{"payload":"a\\ud800b"}', 'bad_request', /^payload:.*surrogate/],
    ['{"payloadBase64":7}', 'bad_request', /^payloadBase64:/],
    ['{"payloadBase64":"eA"}', 'bad_request', /^payloadBase64:.*padding/],
    ['{"payloadBase64":"e-_="}', 'bad_request', /^payloadBase64:/],
    ['{"payloadBase64":"eB=="}', 'bad_request', /^payloadBase64:/],
    ['{"payloadBase64":" eA="}', 'bad_request', /^payloadBase64:/],
    ['{"payload":"x","attributes":[]}', 'bad_request', /^attributes:/],
    ['{"payload":"x","attributes":{"a":1}}', 'bad_request', /^attributes\["a"\]: a string/],
    ['{"payload":"x","attributes":{"":"v"}}', 'bad_request', /^attributes\[""\]: a key/],
    ['{"payload":"x","attributes":{"traceparent":"v"}}', 'bad_request', /^attributes.traceparent:.*W3C/],
    ['{"payload":"x","attributes":{"a":"\\ud800"}}', 'bad_request', /^attributes:.*surrogate/],
    [`{"payload":"x","attributes":${JSON.stringify(seventeen)}}`, 'bad_request', /^attributes: at most 16/],
    [`{"payload":"x","attributes":{"a":"${'v'.repeat(1025)}"}}`, 'bad_request', /^attributes\["a"\]/],
    [`{"payload":"x","attributes":{"${'k'.repeat(129)}":"v"}}`, 'bad_request', /^attributes/],
  ]
  for (const [raw, code, detail] of cases) {
    const answer = await api.call('POST', MESSAGES('d'), { raw })
    isProblem(t, answer, 400, code, detail)
  }
  t.equal(await api.mailbox.info('d'), null, 'nothing was stored, no device made')
})

void tap.test('push: numbers that JavaScript cannot hold are refused by path', async (t) => {
  const api = await startApi(t)
  const refused: ReadonlyArray<readonly [payload: string, path: string]> = [
    ['1e400', 'payload'],
    ['12345678901234567890', 'payload'],
    ['0.1000000000000000055511151231257827', 'payload'],
    ['-0', 'payload'],
    ['-0.0', 'payload'],
    ['1e-400', 'payload'],
    ['9007199254740993', 'payload'],
    ['{"a":[0,{"b c":123456789012345678901}]}', 'payload.a[1]["b c"]'],
    ['["12e400, -0", 1e400]', 'payload[1]'],
  ]
  for (const [payload, path] of refused) {
    const answer = await api.call('POST', MESSAGES('d'), { raw: `{"payload":${payload}}` })
    isProblem(t, answer, 400, 'bad_request', /send it as a string/)
    t.ok(String(at(answer.body, 'detail')).startsWith(`${path}: `), `${payload} is named as ${path}`)
  }
  const kept = [
    '1e3',
    '0',
    '0.0',
    '-0.5',
    '9007199254740992',
    '0.30000000000000004',
    '5e-324',
    '1.7976931348623157e308',
  ]
  for (const payload of [...kept, '["-0", "1e400 , -0"]', '123456789012345680000']) {
    const answer = await api.call('POST', MESSAGES('d'), { raw: `{"payload":${payload}}` })
    t.equal(answer.status, 202, payload)
  }
})

void tap.test('push: payloads and bodies over their limits, and JSON nested too deep', async (t) => {
  const api = await startApi(t, { limits: { bodyMax: 1024 * 1024 } })
  const max = 256 * 1024
  const push = (json: unknown) => api.call('POST', MESSAGES('d'), { json })
  t.equal((await push({ payload: 'x'.repeat(max) })).status, 202)
  isProblem(t, await push({ payload: 'x'.repeat(max + 1) }), 413, 'payload_too_large', /^payload: at most 262144 bytes/)
  isProblem(t, await push({ payload: 'é'.repeat(max / 2 + 1) }), 413, 'payload_too_large')
  isProblem(t, await push({ payload: { a: 'x'.repeat(max) } }), 413, 'payload_too_large')
  t.equal((await push({ payloadBase64: Buffer.alloc(max).toString('base64') })).status, 202)
  isProblem(
    t,
    await push({ payloadBase64: Buffer.alloc(max + 1).toString('base64') }),
    413,
    'payload_too_large',
    /^payloadBase64:/,
  )
  const deep = `{"payload":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  isProblem(t, await api.call('POST', MESSAGES('d'), { raw: deep }), 400, 'bad_request', /nested too deep/)
  isProblem(t, await push({ payload: 'x'.repeat(1024 * 1024) }), 413, 'body_too_large', /1048576 bytes/)
})

void tap.test('push: a body over the default limit is answered, with its length told or not', async (t) => {
  const api = await startApi(t)
  const raw = Buffer.alloc(17 * 1024 * 1024, 32)
  for (let i = 0; i < 3; i++) isProblem(t, await api.call('POST', MESSAGES('d'), { raw }), 413, 'body_too_large')
  const chunks = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let i = 0; i < 17; i++) controller.enqueue(new Uint8Array(1024 * 1024))
      controller.close()
    },
  })
  const response = await fetch(`${api.url}${MESSAGES('d')}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await api.key('push')}`, 'content-type': 'application/json' },
    body: chunks,
    duplex: 'half',
  })
  t.equal(response.status, 413)
  t.match(await response.json(), { code: 'body_too_large' })
})

void tap.test('push: only JSON in UTF-8 without encoding is taken', async (t) => {
  const api = await startApi(t)
  const raw = '{"payload":"x"}'
  for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'application/x-ndjson']) {
    isProblem(t, await api.call('POST', MESSAGES('d'), { raw, type }), 400, 'bad_request', /application\/json/)
  }
  isProblem(t, await api.call('POST', MESSAGES('d')), 400, 'bad_request', /application\/json/)
  isProblem(
    t,
    await api.call('POST', MESSAGES('d'), { raw, headers: { 'content-encoding': 'gzip' } }),
    400,
    'bad_request',
    /Content-Encoding/,
  )
  const latin1 = Buffer.from('{"payload":"é"}', 'latin1')
  isProblem(t, await api.call('POST', MESSAGES('d'), { raw: latin1 }), 400, 'bad_request', /UTF-8/)
  const charset = await api.call('POST', MESSAGES('d'), { raw, type: 'application/json; charset=utf-8' })
  t.equal(charset.status, 202)
})

void tap.test('push: neither payloads nor keys are told back or counted on', async (t) => {
  const api = await startApi(t)
  const secret = 'tell-nobody'
  const bad = [`{"payload":"${secret}`, `{"payload":"${secret}","ttl":"${secret}"}`, secret]
  for (const raw of bad) {
    const answer = await api.call('POST', MESSAGES('d'), { raw })
    t.equal(answer.status, 400)
    t.notMatch(answer.text, secret)
  }
  const denied = await api.call('POST', MESSAGES('d'), { json: { payload: 'x' }, key: secret })
  t.equal(denied.status, 401)
  t.notMatch(denied.text, secret)
})

async function sameTwice(t: Test, api: TestApi, first: () => Promise<unknown>): Promise<void> {
  t.match(await first(), { status: 202 })
  const again = await first()
  t.match(again, { status: 200, body: { seq: Number, duplicate: true } })
  t.equal(api.counters.duplicates, 1)
}

void tap.test('push: a dedup id, in the body or as Idempotency-Key, makes retries one message', async (t) => {
  const api = await startApi(t)
  await sameTwice(t, api, () => api.call('POST', MESSAGES('d'), { json: { payload: 'x', dedupId: 'k-1' } }))
  const header = { 'idempotency-key': 'k-1' }
  const byHeader = await api.call('POST', MESSAGES('d'), { json: { payload: 'x' }, headers: header })
  t.match(byHeader, { status: 200, body: { seq: 1, duplicate: true } }, 'the header is the same id')
  const both = await api.call('POST', MESSAGES('d'), { json: { payload: 'x', dedupId: 'k-1' }, headers: header })
  t.match(both, { status: 200, body: { seq: 1, duplicate: true } })
  const different = await api.call('POST', MESSAGES('d'), { json: { payload: 'x', dedupId: 'k-2' }, headers: header })
  isProblem(t, different, 400, 'bad_request', /Idempotency-Key/)
  const conflict = await api.call('POST', MESSAGES('d'), { json: { payload: 'other' }, headers: header })
  isProblem(t, conflict, 409, 'dedup_conflict')
  t.equal(at(conflict.body, 'seq'), 1)
  for (const key of ['', 'x'.repeat(257), 'k\xe9']) {
    const answer = await api.call('POST', MESSAGES('d'), {
      json: { payload: 'x' },
      headers: { 'idempotency-key': key },
    })
    isProblem(t, answer, 400, 'bad_request', /Idempotency-Key/)
  }
  t.equal((await api.mailbox.info('d'))?.head, 1)
})

void tap.test('push: 50 identical concurrent requests make one message', async (t) => {
  const api = await startApi(t)
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => api.call('POST', MESSAGES('d'), { json: { payload: 'once', dedupId: 'same' } })),
  )
  t.equal(answers.filter((answer) => answer.status === 202).length, 1)
  t.equal(answers.filter((answer) => answer.status === 200 && at(answer.body, 'duplicate') === true).length, 49)
  t.ok(answers.every((answer) => at(answer.body, 'seq') === 1))
  t.match(await api.mailbox.info('d'), { head: 1, pending: 1 })
})

void tap.test('push: a full inbox is refused with Retry-After', async (t) => {
  const api = await startApi(t, { mailboxLimits: { inboxMax: 2 } })
  for (let i = 0; i < 2; i++) await api.call('POST', MESSAGES('d'), { json: { payload: 'x' } })
  const full = await api.call('POST', MESSAGES('d'), { json: { payload: 'x' } })
  isProblem(t, full, 429, 'inbox_full')
  t.match(full.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
})

void tap.test(
  'push: the owner node is told at once, with the message; duplicates and offline devices are not',
  async (t) => {
    const api = await startApi(t)
    const { frames } = await listen(api.bus, 'n1')
    await api.mailbox.claim('on', { node: 'n1', claimId: 'c1' }, { force: false })
    const push = (device: string) =>
      api.call('POST', MESSAGES(device), { json: { payload: 'x', dedupId: 'k', ttl: 60, attributes: { a: '1' } } })
    const answer = await push('on')
    await push('on')
    await push('off')
    t.equal(frames.length, 1)
    t.match(frames[0], [
      {
        device: 'on',
        claimId: 'c1',
        epoch: at(answer.body, 'epoch'),
        message: { seq: 1, dedupId: 'k', contentType: 'text/plain', priority: 'normal', expiresAt: Number },
      },
    ])
    const page = await api.mailbox.peek('on', { after: 0, limit: 1, maxBytes: 1e6 })
    t.strictSame(page?.messages[0]?.message.attributes, frames[0]?.[0]?.message.attributes)
    t.equal(frames[0]?.[0]?.message.at, page?.messages[0]?.message.at)
    t.equal(frames[0]?.[0]?.message.expiresAt, page?.messages[0]?.message.expiresAt)
  },
)
