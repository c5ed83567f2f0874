import tap from 'tap'
import type { Scope } from '../../core/ports/credentials.js'
import { ADMIN_KEY, at, isProblem, startApi } from '../support/push-api/server.js'

void tap.test('auth: no key, another scheme, a wrong key', async (t) => {
  const api = await startApi(t)
  const wrong: ReadonlyArray<Record<string, string>> = [
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: `Basic ${Buffer.from(`x:${ADMIN_KEY}`).toString('base64')}` },
    { authorization: ADMIN_KEY },
    { authorization: `Bearer ${ADMIN_KEY} ${ADMIN_KEY}` },
    { authorization: `Bearer ${ADMIN_KEY}x` },
    { authorization: `Bearer prk_0123456789abcdef_${'A'.repeat(43)}` },
  ]
  for (const headers of wrong) {
    for (const path of ['/v1/devices/d', '/v1/keys', '/v1/events']) {
      const answer = await api.call('GET', path, { key: null, headers })
      isProblem(t, answer, 401, 'unauthorized')
      t.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/)
    }
    const push = await api.call('POST', '/v1/messages', { key: null, headers, raw: 'not even JSON' })
    isProblem(t, push, 401, 'unauthorized')
  }
  const lower = await api.call('GET', '/v1/keys', { key: null, headers: { authorization: `bearer  ${ADMIN_KEY}` } })
  t.equal(lower.status, 200, 'the scheme is not case-sensitive')
})

void tap.test('auth: every call asks for its scope, and admin implies the others', async (t) => {
  const api = await startApi(t)
  await api.call('POST', '/v1/devices/d/messages', { json: { payload: 'x' } })
  const calls: ReadonlyArray<readonly [scope: Scope, method: string, path: string, json?: unknown]> = [
    ['push', 'POST', '/v1/devices/d/messages', { payload: 'x' }],
    ['push', 'POST', '/v1/messages', { messages: [] }],
    ['push', 'DELETE', '/v1/devices/d/messages/1'],
    ['read', 'GET', '/v1/devices'],
    ['read', 'GET', '/v1/devices/d'],
    ['read', 'GET', '/v1/devices/d/messages'],
    ['read', 'GET', '/v1/devices/d/messages/1'],
    ['admin', 'POST', '/v1/devices/d/token'],
    ['admin', 'DELETE', '/v1/devices/d'],
    ['admin', 'GET', '/v1/keys'],
    ['admin', 'POST', '/v1/keys', { name: 'n', scopes: ['read'] }],
    ['admin', 'DELETE', '/v1/keys/none'],
  ]
  const keys = { push: await api.key('push'), read: await api.key('read'), admin: await api.key('admin') }
  for (const [scope, method, path, json] of calls) {
    for (const held of ['push', 'read', 'admin'] as const) {
      const answer = await api.call(method, path, { key: keys[held], json })
      if (held === scope || held === 'admin') {
        t.notMatch([401, 403], [answer.status], `${held} may ${method} ${path}`)
      } else {
        isProblem(t, answer, 403, 'missing_scope', new RegExp(`"${scope}"`))
        t.equal(at(answer.body, 'scope'), scope)
      }
    }
  }
})

void tap.test('auth: a store that cannot tell is 503, not 401', async (t) => {
  const api = await startApi(t)
  const key = await api.key('push')
  await api.credentials.close()
  const answer = await api.call('POST', '/v1/messages', { key, json: { messages: [] } })
  isProblem(t, answer, 503, 'store_unavailable')
  t.match(answer.headers.get('retry-after') ?? '', /^[1-9]/)
})

void tap.test('keys: made, listed, used, revoked', async (t) => {
  const api = await startApi(t)
  const made = await api.call('POST', '/v1/keys', { json: { name: 'shop', scopes: ['push', 'read'] } })
  t.equal(made.status, 201)
  t.equal(made.headers.get('cache-control'), 'no-store')
  t.match(made.body, { id: String, key: /^prk_/, name: 'shop', scopes: ['push', 'read'], createdAt: /Z$/ })
  const key = String(at(made.body, 'key'))
  const id = String(at(made.body, 'id'))
  const list = await api.call('GET', '/v1/keys')
  t.strictSame(list.body, {
    keys: [{ id, name: 'shop', scopes: ['push', 'read'], createdAt: at(made.body, 'createdAt') }],
  })
  t.notMatch(list.text, key.slice(-43), 'the key is told once')

  const use = () => api.call('POST', '/v1/messages', { key, json: { messages: [] } })
  t.equal((await use()).status, 200)
  t.match(await api.call('DELETE', `/v1/keys/${id}`), { status: 204, text: '' })
  isProblem(t, await use(), 401, 'unauthorized', /revoked/)
  isProblem(t, await api.call('DELETE', `/v1/keys/${id}`), 404, 'not_found')
  t.strictSame((await api.call('GET', '/v1/keys')).body, { keys: [] })
})

void tap.test('keys: malformed requests', async (t) => {
  const api = await startApi(t)
  const cases: ReadonlyArray<readonly [raw: string, code: string, detail: RegExp]> = [
    ['{}', 'bad_request', /name/],
    ['{"name":"n"}', 'bad_request', /scopes/],
    ['{"name":"","scopes":["read"]}', 'bad_request', /^name: /],
    [`{"name":"${'n'.repeat(129)}","scopes":["read"]}`, 'bad_request', /^name: /],
    ['{"name":7,"scopes":["read"]}', 'bad_request', /^name: must be string/],
    ['{"name":"n","scopes":"read"}', 'bad_request', /^scopes: must be array/],
    ['{"name":"n","scopes":[]}', 'bad_request', /^scopes: /],
    ['{"name":"n","scopes":["root"]}', 'bad_request', /^scopes\[0\]: must be one of push, read, admin/],
    ['{"name":"n","scopes":["read","read"]}', 'bad_request', /^scopes: /],
    ['{"name":"n","scopes":["read"],"ttl":1}', 'unknown_field', /"ttl"/],
    ['{"name":"n","scopes":["read"],"__proto__":1}', 'unknown_field', /__proto__/],
    ['{"name":', 'bad_request', /not valid JSON/],
    ['', 'bad_request', /^body: /],
  ]
  for (const [raw, code, detail] of cases) {
    isProblem(t, await api.call('POST', '/v1/keys', { raw }), 400, code, detail)
  }
  t.strictSame(await api.credentials.listKeys(), [])
})
