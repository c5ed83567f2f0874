import tap from 'tap'
import { at, isProblem, listen, startApi, TOKEN_MAX_TTL } from '../support/push-api/server.js'

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

void tap.test('devices: what is known of one', async (t) => {
  const api = await startApi(t)
  isProblem(t, await api.call('GET', '/v1/devices/d'), 404, 'device_not_found', /"d"/)
  isProblem(t, await api.call('GET', '/v1/devices/a%20b'), 400, 'invalid_device_id')
  await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  const offline = await api.call('GET', '/v1/devices/d')
  t.equal(offline.status, 200)
  t.strictSame(Object.keys(Object(offline.body)), [
    'device',
    'online',
    'node',
    'connectedAt',
    'lastSeenAt',
    'epoch',
    'head',
    'cursor',
    'pending',
    'oldestPendingAt',
    'groups',
  ])
  t.match(offline.body, { device: 'd', online: false, node: null, connectedAt: null, head: 1, cursor: 0, pending: 1 })
  t.match(at(offline.body, 'oldestPendingAt'), RFC3339)
  await listen(api.bus, 'n1')
  await api.mailbox.claim('d', { node: 'n1', claimId: 'c1' }, { force: false })
  const online = await api.call('GET', '/v1/devices/d')
  t.match(online.body, { online: true, node: 'n1', connectedAt: RFC3339 })
  t.notMatch(online.text, /c1/, 'the claim id is nobody else’s business')

  // A claim of a node that is not there any more.
  await api.call('POST', '/v1/devices/e/messages', { json: { payload: 'x' } })
  await api.mailbox.claim('e', { node: 'dead', claimId: 'c2' }, { force: false })
  const left = await api.call('GET', '/v1/devices/e')
  t.match(left.body, { online: false, node: null, connectedAt: null, lastSeenAt: RFC3339 })
  t.same((await api.call('GET', '/v1/devices?online=true')).body, { devices: [online.body], next: null })
  const without = await api.call('GET', '/v1/devices?online=false')
  t.same(without.body, { devices: [left.body], next: null })
})

void tap.test('devices: the list, in pages, by presence', async (t) => {
  const api = await startApi(t)
  const ids = Array.from({ length: 25 }, (_, i) => `d${String(i).padStart(2, '0')}`)
  await api.call('POST', '/v1/messages', { json: { messages: [{ devices: ids, payload: 'x' }] } })
  await listen(api.bus, 'n')
  for (const id of ['d03', 'd17']) await api.mailbox.claim(id, { node: 'n', claimId: id }, { force: false })

  async function all(query: string): Promise<unknown[]> {
    const found: unknown[] = []
    let next: string | null = null
    do {
      const after: string = next === null ? '' : `&after=${encodeURIComponent(next)}`
      const page = await api.call('GET', `/v1/devices?${query}${after}`)
      t.equal(page.status, 200)
      const devices = at(page.body, 'devices')
      if (Array.isArray(devices)) found.push(...devices.map((device) => at(device, 'device')))
      const more = at(page.body, 'next')
      next = typeof more === 'string' ? more : null
    } while (next !== null)
    return found
  }
  t.strictSame(await all('limit=10'), ids)
  t.strictSame(await all('limit=1000'), ids)
  t.strictSame(await all('limit=7&online=true'), ['d03', 'd17'])
  t.equal((await all('limit=7&online=false')).length, 23)
  const page = await api.call('GET', '/v1/devices')
  t.match(page.body, { devices: { length: 25 }, next: null })
})

void tap.test('devices: query parameters are checked', async (t) => {
  const api = await startApi(t)
  const bad: ReadonlyArray<readonly [query: string, code: string, detail: RegExp]> = [
    ['limit=0', 'bad_request', /^limit: must be >= 1/],
    ['limit=1001', 'bad_request', /^limit: must be <= 1000/],
    ['limit=ten', 'bad_request', /^limit: must be integer/],
    ['limit=1.5', 'bad_request', /^limit:/],
    ['limit=', 'bad_request', /^limit:/],
    ['limit=1&limit=2', 'bad_request', /^limit:/],
    ['online=yes', 'bad_request', /^online: must be boolean/],
    ['sort=name', 'unknown_field', /query parameter "sort"/],
    ['__proto__=1', 'unknown_field', /__proto__/],
  ]
  for (const [query, code, detail] of bad)
    isProblem(t, await api.call('GET', `/v1/devices?${query}`), 400, code, detail)
})

void tap.test('peek: shows what is pending so that pushing it again makes the same bytes', async (t) => {
  const api = await startApi(t)
  isProblem(t, await api.call('GET', '/v1/devices/d/messages'), 404, 'device_not_found')
  const pushed = [
    '{"payload":"text é"}',
    '{"payload":{"a":[1,null],"__proto__":2}}',
    '{"payload":null}',
    '{"payloadBase64":"AP8="}',
    '{"payload":"{ \\"a\\": 1 }","contentType":"application/json"}',
    '{"payload":"\\"quoted\\"","contentType":"application/json"}',
    '{"payload":"1e400","contentType":"application/json"}',
    '{"payloadBase64":"aGVsbG8="}',
    '{"payloadBase64":"/w==","contentType":"text/plain"}',
    '{"payload":"{\\"a\\":1}","contentType":"application/vnd.x+json; v=1"}',
    '{"payload":"x","ttl":60,"dedupId":"k","priority":"high","attributes":{"__proto__":"p"}}',
  ]
  for (const raw of pushed) t.equal((await api.call('POST', '/v1/devices/d/messages', { raw })).status, 202)
  const page = await api.call('GET', '/v1/devices/d/messages')
  const messages = at(page.body, 'messages')
  if (!Array.isArray(messages)) throw new Error('no messages')
  t.match(messages, [
    {
      seq: 1,
      epoch: String,
      at: RFC3339,
      expiresAt: null,
      dedupId: null,
      contentType: 'text/plain',
      priority: 'normal',
      payload: 'text é',
    },
    { payload: { a: [1, null] } },
    { payload: null },
    { payloadBase64: 'AP8=' },
    { payload: '{ "a": 1 }' },
    { payload: '"quoted"' },
    { payload: '1e400' },
    { payloadBase64: 'aGVsbG8=' },
    { payloadBase64: '/w==' },
    { payload: { a: 1 } },
    { dedupId: 'k', priority: 'high', expiresAt: RFC3339 },
  ])
  t.match(page.text, '"attributes":{"__proto__":"p"}')
  for (const [i, message] of messages.entries()) {
    const { contentType, payload, payloadBase64 } = Object(message)
    const again = await api.call('POST', '/v1/devices/copy/messages', {
      json: payloadBase64 === undefined ? { contentType, payload } : { contentType, payloadBase64 },
    })
    t.equal(again.status, 202)
    const [one, other] = await Promise.all(
      ['d', 'copy'].map((device) => api.mailbox.peek(device, { after: i, limit: 1, maxBytes: 1e6 })),
    )
    t.strictSame(
      Buffer.from(one?.messages[0]?.message.payload ?? []),
      Buffer.from(other?.messages[0]?.message.payload ?? []),
      `message ${i + 1}`,
    )
  }
  t.match(await api.mailbox.info('d'), { cursor: 0, pending: pushed.length }, 'nothing was acknowledged')
})

void tap.test('peek: pages', async (t) => {
  const api = await startApi(t)
  for (let i = 0; i < 5; i++) await api.call('POST', '/v1/devices/d/messages', { json: { payload: `${i}` } })
  const first = await api.call('GET', '/v1/devices/d/messages?limit=2')
  t.match(first.body, { messages: [{ seq: 1 }, { seq: 2 }], next: String })
  const second = await api.call('GET', `/v1/devices/d/messages?limit=2&after=${String(at(first.body, 'next'))}`)
  t.match(second.body, { messages: [{ seq: 3 }, { seq: 4 }] })
  const last = await api.call('GET', '/v1/devices/d/messages?after=4')
  t.match(last.body, { messages: [{ seq: 5 }], next: null })
  t.strictSame((await api.call('GET', '/v1/devices/d/messages?after=99')).body, { messages: [], next: null })
  for (const query of ['after=-1', 'after=x', 'limit=0', 'limit=1001', 'after=99999999999999999999']) {
    isProblem(t, await api.call('GET', `/v1/devices/d/messages?${query}`), 400, 'bad_request')
  }
  isProblem(t, await api.call('GET', '/v1/devices/d/messages?before=1'), 400, 'unknown_field')
})

void tap.test('state and cancel: what became of a message', async (t) => {
  const api = await startApi(t)
  isProblem(t, await api.call('GET', '/v1/devices/d/messages/1'), 404, 'device_not_found')
  isProblem(t, await api.call('DELETE', '/v1/devices/d/messages/1'), 404, 'device_not_found')
  const pushed = await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x', ttl: 60 } })
  await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'y' } })
  const epoch = String(at(pushed.body, 'epoch'))
  const one = (seq: number, of = epoch) => `/v1/devices/d/messages/${seq}?epoch=${of}`
  const state = await api.call('GET', one(1))
  t.match(state.body, { seq: 1, epoch, state: 'queued', at: RFC3339, expiresAt: RFC3339 })
  t.match((await api.call('GET', '/v1/devices/d/messages/1')).body, { seq: 1, epoch }, 'without an epoch')
  for (const path of [one(3), one(1, 'elsewhere00')]) {
    isProblem(t, await api.call('GET', path), 404, 'message_gone')
    isProblem(t, await api.call('DELETE', path), 404, 'message_gone')
  }
  const cancelled = { state: 'cancelled', maybeDelivered: false }
  t.strictSame((await api.call('DELETE', one(1))).body, cancelled)
  t.match(await api.call('DELETE', one(1)), { status: 200, body: { state: 'cancelled' } }, 'again')
  t.match((await api.call('GET', one(1))).body, { state: 'cancelled' })
  t.match((await api.call('GET', '/v1/devices/d/messages')).body, { messages: [{ seq: 2 }] })
  await api.mailbox.ack([{ device: 'd', position: { epoch, seq: 2 } }])
  t.match((await api.call('GET', one(2))).body, { state: 'handled' })
  isProblem(t, await api.call('DELETE', one(2)), 409, 'already_handled')
  for (const seq of ['0', '-1', 'x', '1.5', '1e3', '99999999999999999999']) {
    isProblem(t, await api.call('GET', `/v1/devices/d/messages/${seq}`), 400, 'bad_request', /^seq: /)
  }
  isProblem(t, await api.call('GET', '/v1/devices/d/messages/1?epoc=x'), 400, 'unknown_field')
  isProblem(t, await api.call('GET', '/v1/devices/a%20b/messages/1'), 400, 'invalid_device_id')
})

void tap.test('token: mints one that verifies, and creates the device', async (t) => {
  const api = await startApi(t)
  const mint = (device: string, options = {}) => api.call('POST', `/v1/devices/${device}/token`, options)
  const answer = await mint('d', { json: { ttl: 60 } })
  t.equal(answer.status, 201)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.strictSame(Object.keys(Object(answer.body)), ['token', 'expiresAt'])
  const verdict = await api.tokens.verify(String(at(answer.body, 'token')))
  t.match(verdict, { ok: true, device: 'd' })
  t.equal(verdict.ok ? verdict.expiresAt : 0, Date.parse(String(at(answer.body, 'expiresAt'))))
  t.equal((await api.call('GET', '/v1/devices/d')).status, 200)
  for (const options of [{}, { json: {} }, { raw: '' }]) {
    const byDefault = await mint('d', options)
    t.equal(byDefault.status, 201)
    const life = Date.parse(String(at(byDefault.body, 'expiresAt'))) - Date.now()
    t.ok(Math.abs(life - TOKEN_MAX_TTL * 1000) < 10_000)
  }
  for (const ttl of [0, -1, 1.5, '60', null, TOKEN_MAX_TTL + 1, 1e300]) {
    isProblem(t, await mint('d', { json: { ttl } }), 400, 'bad_request', /^ttl: /)
  }
  isProblem(t, await mint('d', { json: { ttl: 1, acl: {} } }), 400, 'unknown_field', /"acl"/)
  isProblem(t, await mint('d', { json: [] }), 400, 'bad_request', /^body: /)
  isProblem(t, await mint('d', { raw: '{"ttl":' }), 400, 'bad_request', /JSON/)
  isProblem(t, await mint('a%20b'), 400, 'invalid_device_id')
})

void tap.test('token: none where devices need none', async (t) => {
  const api = await startApi(t, { withoutTokens: true })
  isProblem(t, await api.call('POST', '/v1/devices/d/token'), 400, 'not_supported', /--auth none/)
  t.equal((await api.call('DELETE', '/v1/devices/d')).status, 204)
})

void tap.test('delete: revokes, purges and disconnects', async (t) => {
  const api = await startApi(t)
  const { kicks } = await listen(api.bus, 'n1')
  await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  const old = await api.call('GET', '/v1/devices/d')
  await api.mailbox.claim('d', { node: 'n1', claimId: 'c1' }, { force: false })
  const before = Date.now()
  const answer = await api.call('DELETE', '/v1/devices/d')
  t.match(answer, { status: 204, text: '' })
  t.strictSame(kicks, [{ device: 'd', claimId: 'c1', reason: 'revoked' }])
  const revokedAt = await api.credentials.revokedAt('d')
  t.ok(revokedAt !== null && revokedAt >= before)
  isProblem(t, await api.call('GET', '/v1/devices/d'), 404, 'device_not_found')
  const again = await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  t.match(again.body, { seq: 1 })
  t.not(at(again.body, 'epoch'), at(old.body, 'epoch'), 'a new history')
  const token = await api.call('POST', '/v1/devices/d/token')
  const verdict = await api.tokens.verify(String(at(token.body, 'token')))
  t.ok(verdict.ok && verdict.issuedAt > (revokedAt ?? Infinity), 'a token minted afterwards counts')
})

void tap.test('delete: also of a device without a record, and of a node that is gone', async (t) => {
  const api = await startApi(t)
  t.equal((await api.call('DELETE', '/v1/devices/never-seen')).status, 204)
  t.not(await api.credentials.revokedAt('never-seen'), null, 'tokens signed elsewhere are refused')
  await api.mailbox.claim('d', { node: 'gone', claimId: 'c' }, { force: false })
  t.equal((await api.call('DELETE', '/v1/devices/d')).status, 204)
  isProblem(t, await api.call('DELETE', '/v1/devices/a%20b'), 400, 'invalid_device_id')
})
