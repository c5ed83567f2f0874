import tap from 'tap'
import { at, isProblem, startApi, type TestApi } from '../support/push-api/server.js'

const TARGET = 'https://backend.example/hook'
const put = (api: TestApi, id: string, json: unknown, key?: string) =>
  api.call('PUT', `/v1/webhooks/${id}`, key === undefined ? { json } : { json, key })
const SECRET = `whsec_${Buffer.alloc(32, 'k').toString('base64')}`

void tap.test('webhooks: made, looked at, listed, ended; the secret is told once', async (t) => {
  const api = await startApi(t)
  const events = ['message.handled', 'uplink']
  const made = await put(api, 'backend', { url: TARGET, events })
  t.equal(made.status, 201, made.text)
  t.equal(made.headers.get('cache-control'), 'no-store')
  const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
  const view = { id: 'backend', url: TARGET, events, enabled: true, createdAt: RFC3339, previousSecretUntil: null }
  t.match(made.body, { ...view, secret: /^whsec_[A-Za-z0-9+/]{43}=$/ })
  const secret = String(at(made.body, 'secret'))
  const one = await api.call('GET', '/v1/webhooks/backend')
  t.match(one.body, view)
  await put(api, 'another', { url: TARGET, events, secret: SECRET, enabled: false })
  const list = await api.call('GET', '/v1/webhooks')
  t.match(list.body, { webhooks: [{ id: 'another', enabled: false }, view] })
  for (const { text } of [one, list]) t.notMatch(text, /secret"|whsec_/)
  const stored = JSON.stringify(await api.webhooks.store.list())
  for (const text of [secret, SECRET, secret.slice(6), SECRET.slice(6)]) t.notOk(stored.includes(text), 'sealed')
  t.equal((await api.call('DELETE', '/v1/webhooks/backend')).status, 204)
  isProblem(t, await api.call('DELETE', '/v1/webhooks/backend'), 404, 'not_found')
  isProblem(t, await api.call('GET', '/v1/webhooks/backend'), 404, 'not_found')
})

void tap.test(
  'webhooks: a secret that is given is not told, and one that is replaced signs on for a while',
  async (t) => {
    const api = await startApi(t)
    const body = { url: TARGET, events: ['uplink'] }
    const made = await put(api, 'hook', { ...body, secret: SECRET })
    t.equal(made.status, 201)
    t.equal(at(made.body, 'secret'), undefined)
    const kept = await put(api, 'hook', { ...body, events: ['message.expired'] })
    t.match(kept, { status: 200, body: { events: ['message.expired'], previousSecretUntil: null } })
    t.equal((await api.webhooks.store.get('hook'))?.secrets.length, 1, 'the secret stays')
    t.match(
      await put(api, 'hook', { ...body, secret: SECRET }),
      { body: { previousSecretUntil: null } },
      'it is the same',
    )
    const rotated = await put(api, 'hook', { ...body, rotateSecret: true })
    t.match(rotated.body, { secret: /^whsec_/, previousSecretUntil: String })
    const secrets = (await api.webhooks.store.get('hook'))?.secrets ?? []
    t.strictSame(
      secrets.map((secret) => api.webhooks.box.open(secret, 'hook')),
      [at(rotated.body, 'secret'), SECRET],
    )
    t.match(await put(api, 'hook', { ...body, rotateSecret: true }), { status: 200 })
    t.equal((await api.webhooks.store.get('hook'))?.secrets.length, 2, 'never more than two')
    const ended = await put(api, 'hook', { ...body, rotateSecret: true, previousSecretTtl: 0 })
    t.match(ended.body, { previousSecretUntil: null })
    t.equal((await api.webhooks.store.get('hook'))?.secrets.length, 1)
  },
)

void tap.test('webhooks: what is not of the form is refused with the reason', async (t) => {
  const api = await startApi(t)
  const good = { url: TARGET, events: ['uplink'] }
  const cases: ReadonlyArray<readonly [unknown, string, RegExp]> = [
    [{ events: ['uplink'] }, 'bad_request', /url/],
    [{ url: TARGET }, 'bad_request', /events/],
    [{ ...good, events: [] }, 'bad_request', /^events/],
    [{ ...good, events: ['uplink', 'uplink'] }, 'bad_request', /^events/],
    [
      { ...good, events: ['device.online'] },
      'bad_request',
      /^events\[0\]: must be one of device\.offline_with_pending/,
    ],
    [{ ...good, colour: 1 }, 'unknown_field', /colour/],
    [{ ...good, enabled: 'yes' }, 'bad_request', /^enabled/],
    [{ ...good, url: 'backend.example' }, 'bad_request', /^url: an absolute URL/],
    [{ ...good, url: 'ftp://backend.example/' }, 'bad_request', /^url: an https URL/],
    [{ ...good, url: 'http://backend.example/' }, 'bad_request', /^url: https is expected/],
    [{ ...good, url: 'https://user:pw@backend.example/' }, 'bad_request', /^url: a user/],
    [{ ...good, url: 'https://backend.example/#x' }, 'bad_request', /^url: a fragment/],
    [{ ...good, url: 'https://127.0.0.1/' }, 'bad_request', /^url: the address is not a public one/],
    [{ ...good, url: 'https://[::ffff:10.0.0.1]/' }, 'bad_request', /not a public one/],
    [{ ...good, url: 'https://2852039166/' }, 'bad_request', /not a public one/],
    [{ ...good, url: `https://b.example/${'x'.repeat(2048)}` }, 'bad_request', /^url/],
    [{ ...good, secret: 'whsec_short' }, 'bad_request', /^secret: whsec_/],
    [{ ...good, secret: 'a secret' }, 'bad_request', /^secret: whsec_/],
    [{ ...good, secret: SECRET, rotateSecret: true }, 'bad_request', /only one of/],
    [{ ...good, previousSecretTtl: -1 }, 'bad_request', /^previousSecretTtl/],
  ]
  for (const [json, code, detail] of cases) {
    const answer = await put(api, 'hook', json)
    isProblem(t, answer, 400, code, detail)
    t.notMatch(answer.text, 'whsec_short', 'a secret is not told again')
  }
  isProblem(t, await put(api, 'a b', good), 400, 'bad_request', /^webhook/)
  isProblem(t, await put(api, 'x'.repeat(65), good), 400, 'bad_request', /^webhook/)
  t.strictSame((await api.call('GET', '/v1/webhooks')).body, { webhooks: [] })
})

void tap.test('webhooks: so many, and no more', async (t) => {
  const api = await startApi(t)
  for (const id of ['a', 'b', 'c']) t.equal((await put(api, id, { url: TARGET, events: ['uplink'] })).status, 201)
  isProblem(t, await put(api, 'd', { url: TARGET, events: ['uplink'] }), 400, 'bad_request', /at most 3/)
  t.equal((await put(api, 'a', { url: TARGET, events: ['uplink'] })).status, 200)
})

void tap.test('webhooks: for keys with the scope admin alone', async (t) => {
  const api = await startApi(t)
  const key = await api.key('push', 'read')
  const calls = [
    ['GET', '/v1/webhooks'],
    ['GET', '/v1/webhooks/a'],
    ['PUT', '/v1/webhooks/a'],
    ['DELETE', '/v1/webhooks/a'],
  ] as const
  for (const [method, path] of calls) {
    const json = method === 'PUT' ? { json: { url: TARGET, events: ['uplink'] } } : {}
    isProblem(t, await api.call(method, path, { key, ...json }), 403, 'missing_scope')
    isProblem(t, await api.call(method, path, { key: null, ...json }), 401, 'unauthorized')
  }
})

void tap.test('webhooks: a new one begins with what happens from then on', async (t) => {
  const api = await startApi(t)
  await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  await api.uplink.append([
    { device: 'd', channel: 'c', contentType: null, will: false, dedupId: null, payload: Buffer.from('x') },
  ])
  await put(api, 'hook', { url: TARGET, events: ['device.offline_with_pending'] })
  const lease = await api.webhooks.store.acquire('hook', 'n', 1_000)
  t.strictSame(lease?.progress.cursors, new Map([['events', await api.webhooks.events.end()]]))
  await put(api, 'hook', { url: TARGET, events: ['device.offline_with_pending', 'uplink'] })
  const later = await api.webhooks.store.acquire('hook', 'n', 1_000)
  t.equal(later?.progress.cursors.get('uplink'), await api.uplink.end(), 'and so does a log that it asks about later')
})

void tap.test('webhooks: two changes at a time are both made, one after the other', async (t) => {
  const api = await startApi(t)
  const bodies = Array.from({ length: 5 }, (_, i) => ({
    url: `${TARGET}/${i}`,
    events: ['uplink'],
    rotateSecret: true,
  }))
  const answers = await Promise.all(bodies.map((json) => put(api, 'hook', json)))
  t.strictSame(
    answers.map(({ status }) => status).toSorted((a, b) => b - a),
    [201, 200, 200, 200, 200],
  )
  const stored = await api.webhooks.store.get('hook')
  const newest = stored?.secrets[0]
  const told = answers.map(({ body }) => at(body, 'secret'))
  t.ok(newest !== undefined && told.includes(api.webhooks.box.open(newest, 'hook')))
})
