import fastify from 'fastify'
import tap from 'tap'
import { ERROR_CODES } from '../../protocol/codes.js'
import { CALLS_NOT_BUILT } from '../../push-api/routes/not-built.js'
import { NAMED_SCHEMAS } from '../../push-api/schemas/all.js'
import { at, isProblem, startApi } from '../support/push-api/server.js'

const object = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}

const CALLS = [
  'DELETE /v1/devices/{id}',
  'DELETE /v1/devices/{id}/messages/{seq}',
  'DELETE /v1/keys/{id}',
  'DELETE /v1/webhooks/{webhook}',
  'GET /v1/devices',
  'GET /v1/devices/{id}',
  'GET /v1/devices/{id}/messages',
  'GET /v1/devices/{id}/messages/{seq}',
  'GET /v1/keys',
  'GET /v1/uplink',
  'GET /v1/webhooks',
  'GET /v1/webhooks/{webhook}',
  'POST /v1/devices/{id}/messages',
  'POST /v1/devices/{id}/token',
  'POST /v1/keys',
  'POST /v1/messages',
  'PUT /v1/webhooks/{webhook}',
]

/** Every value under `value`, with its path. */
function* walk(value: unknown, path = ''): Generator<readonly [path: string, value: unknown]> {
  yield [path, value]
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) yield* walk(inner, `${path}/${key}`)
  }
}

void tap.test('openapi: public, and lists exactly the calls that exist', async (t) => {
  const api = await startApi(t)
  const answer = await api.call('GET', '/openapi.json', { key: null })
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type') ?? '', /^application\/json/)
  t.match(answer.body, { openapi: '3.1.0', info: { title: 'Postrider', version: '1.2.3' } })
  const listed = Object.entries(object(at(answer.body, 'paths'))).flatMap(([path, methods]) =>
    Object.keys(object(methods)).map((method) => `${method.toUpperCase()} ${path}`),
  )
  t.strictSame(listed.toSorted(), CALLS)
  for (const call of listed) {
    const [method = '', path = ''] = call.split(' ')
    const real = path.replace('{id}', 'd').replace('{webhook}', 'w').replace('{seq}', '1')
    isProblem(t, await api.call(method, real, { key: null }), 401, 'unauthorized')
  }
  for (const [, path] of CALLS_NOT_BUILT) t.notMatch(answer.text, path.split('/')[2] === 'groups' ? '/v1/groups' : path)
  for (const field of ['deliverAt', 'collapseKey', 'producer']) t.notMatch(answer.text, `"${field}"`)
})

void tap.test('openapi: every operation is whole, every reference resolves', async (t) => {
  const api = await startApi(t)
  const { body } = await api.call('GET', '/openapi.json')
  const ids = new Set<unknown>()
  for (const [path, methods] of Object.entries(object(at(body, 'paths')))) {
    for (const [method, operation] of Object.entries(object(methods))) {
      const name = `${method} ${path}`
      const { operationId, summary, tags, responses, requestBody, parameters } = object(operation)
      ids.add(operationId)
      t.ok(typeof operationId === 'string' && typeof summary === 'string' && Array.isArray(tags), name)
      const statuses = Object.keys(object(responses))
      t.ok(
        statuses.some((status) => status.startsWith('2')),
        `${name}: a good answer`,
      )
      for (const status of ['400', '401', '403', '503']) t.ok(statuses.includes(status), `${name}: ${status}`)
      for (const [status, response] of Object.entries(object(responses))) {
        t.type(at(response, 'description'), 'string', `${name} ${status}`)
        const types = Object.keys(object(at(response, 'content')))
        if (status.startsWith('2')) t.equal(types.length === 0, status === '204', `${name} ${status}: a schema`)
        else t.strictSame(types, ['application/problem+json'], `${name} ${status}`)
      }
      t.equal(requestBody !== undefined, method === 'post' || method === 'put', `${name}: a body`)
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter)
      const described = Array.isArray(parameters) ? parameters : []
      t.strictSame(
        described.filter((parameter) => at(parameter, 'in') === 'path').map((parameter) => at(parameter, 'name')),
        inPath,
        `${name}: path parameters`,
      )
    }
  }
  t.equal(ids.size, CALLS.length, 'operation ids are unique')
  for (const [path, value] of walk(body)) {
    if (!path.endsWith('/$ref') || typeof value !== 'string') continue
    t.match(value, /^#\/components\/schemas\//, path)
    t.ok(at(body, ...value.slice(2).split('/')) !== undefined, value)
  }
  t.strictSame(at(body, 'components', 'schemas', 'Problem', 'properties', 'code', 'enum'), Object.keys(ERROR_CODES))
  t.match(at(body, 'components', 'securitySchemes'), { apiKey: { type: 'http', scheme: 'bearer' } })
  const content = at(body, 'paths', '/v1/messages', 'post', 'requestBody', 'content')
  t.strictSame(Object.keys(object(content)), ['application/json', 'application/x-ndjson'])
  const parameters = at(body, 'paths', '/v1/devices/{id}/messages', 'post', 'parameters')
  t.match(JSON.stringify(parameters), /idempotency-key/i)
})

void tap.test('openapi: what the calls answer is what the document says', async (t) => {
  const api = await startApi(t)
  // A server that validates bodies against the named schemas: the judge of the answers.
  const judge = fastify({ ajv: { customOptions: { coerceTypes: false, removeAdditional: false } } })
  t.teardown(() => judge.close())
  for (const schema of NAMED_SCHEMAS) judge.addSchema(schema)
  for (const { $id } of NAMED_SCHEMAS) {
    if (typeof $id === 'string') judge.post(`/${$id}`, { schema: { body: { $ref: `${$id}#` } } }, () => 'ok')
  }
  async function answers(schema: string, method: string, path: string, json?: unknown): Promise<unknown> {
    const answer = await api.call(method, path, json === undefined ? {} : { json })
    const headers = { 'content-type': 'application/json' }
    const verdict = await judge.inject({ method: 'POST', url: `/${schema}`, headers, payload: answer.text })
    t.equal(verdict.statusCode, 200, `${method} ${path} answers a ${schema} (${verdict.body}, ${answer.text})`)
    return answer.body
  }
  const push = { payload: { a: 1 }, dedupId: 'k', ttl: 60, attributes: { a: 'b' } }
  await answers('Accepted', 'POST', '/v1/devices/d/messages', push)
  await answers('Accepted', 'POST', '/v1/devices/d/messages', push)
  await answers('Problem', 'POST', '/v1/devices/d/messages', { ...push, payload: 'other' })
  await answers('Problem', 'POST', '/v1/devices/d/messages', { ...push, ttl: -1 })
  const messages = [{ device: 'd', payload: 'x' }, { devices: ['d', 'a b'], payload: 'x' }, {}]
  await answers('BatchResults', 'POST', '/v1/messages', { messages })
  await api.bus.join('n', { onNotices() {}, onKick: async () => {}, onGap() {} })
  await api.mailbox.claim('d', { node: 'n', claimId: 'c' }, { force: false })
  await answers('Device', 'GET', '/v1/devices/d')
  await answers('Devices', 'GET', '/v1/devices')
  await answers('PendingMessages', 'GET', '/v1/devices/d/messages')
  await answers('MessageState', 'GET', '/v1/devices/d/messages/1')
  await answers('Cancelled', 'DELETE', '/v1/devices/d/messages/1')
  await answers('Token', 'POST', '/v1/devices/d/token', {})
  await answers('NewKey', 'POST', '/v1/keys', { name: 'n', scopes: ['read'] })
  await answers('Keys', 'GET', '/v1/keys')
  await answers('Problem', 'GET', '/v1/devices/nobody')
  const uplink = { device: 'd', channel: 'a/b', will: false, dedupId: null }
  await api.uplink.append([
    { ...uplink, contentType: null, payload: Buffer.from([0xff]) },
    { ...uplink, contentType: 'application/json', payload: Buffer.from('{}') },
  ])
  await answers('Uplinks', 'GET', '/v1/uplink')
})
