import { once } from 'node:events'
import { request } from 'node:https'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { allowedOrigins } from '../../core/net/origins.js'
import { until } from '../support/broker/node.js'
import { Authority } from '../support/certificates.js'
import { ADMIN_KEY, startApi, type TestApi, type TestApiOptions } from '../support/push-api/server.js'
import { plainSocket, testCertificates, tlsConnect, untilClosed, type TlsFolder } from '../support/tls.js'

const authority = new Authority()
const ca = authority.cert

interface SecureApi extends TestApi {
  readonly folder: TlsFolder
  reload(): Promise<string>
  /** One request over TLS: its status and body. */
  get(path: string): Promise<{ readonly status: number; readonly body: string }>
}

async function secureApi(t: Test, options: TestApiOptions = {}): Promise<SecureApi> {
  const { certificates, folder } = await testCertificates(t, authority.server())
  const api = await startApi(t, { ...options, certificates })
  return {
    ...api,
    folder,
    reload: () => certificates.reload(),
    async get(path) {
      const headers = { authorization: `Bearer ${ADMIN_KEY}` }
      const outgoing = request({ host: 'localhost', port: api.https, path, ca, headers, agent: false })
      outgoing.end()
      const [response] = await once(outgoing, 'response')
      let body = ''
      for await (const chunk of response) body += String(chunk)
      return { status: Number(response.statusCode), body }
    },
  }
}

void t.test('REST over TLS: the same calls as without', async (t) => {
  const api = await secureApi(t)
  t.equal((await api.call('POST', '/v1/devices/phone-1/messages', { json: { payload: 'x' } })).status, 202)
  const { status, body } = await api.get('/v1/devices/phone-1')
  t.equal(status, 200)
  t.match(JSON.parse(body), { device: 'phone-1', pending: 1 })
  t.equal((await api.get('/nothing')).status, 404)
})

void t.test('REST over TLS: a client certificate gives no right, and a bad one does no harm', async (t) => {
  const devices = new Authority('of devices')
  const { certificates } = await testCertificates(t, authority.server(), devices.cert)
  const api = await startApi(t, { certificates })
  const call = 'GET /v1/devices/phone-1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n'
  for (const pair of [devices.device('phone-1'), new Authority().device('phone-1')]) {
    t.match(await answer(await tlsConnect(api.https, { ca, ...pair }), `${call}\r\n`), /^HTTP\/1\.1 401/)
    const withKey = `${call}Authorization: Bearer ${ADMIN_KEY}\r\n\r\n`
    t.match(await answer(await tlsConnect(api.https, { ca, ...pair }), withKey), /^HTTP\/1\.1 404/)
  }
})

async function answer(socket: TLSSocket, bytes: string): Promise<string> {
  socket.write(bytes)
  return (await untilClosed(socket)).toString()
}

void t.test('REST over TLS: bytes that are no request are told so inside the connection', async (t) => {
  const api = await secureApi(t)
  t.match(await answer(await tlsConnect(api.https, { ca }), 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 .*"bad_request"/s)
  t.equal(api.counters.requestsUnread.malformed, 1)
})

void t.test('REST over TLS: what is not TLS is closed at once', async (t) => {
  const api = await secureApi(t)
  for (const bytes of [
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    Buffer.alloc(500),
    Buffer.from([0x16, 3, 1, 255, 255, 1, 2]),
  ]) {
    await untilClosed(await plainSocket(t, api.https, bytes), 2_000)
  }
  t.equal(api.counters.requestsUnread.tls_failed, 3)
  t.equal(api.counters.requestsUnread.malformed, 0)
  await t.rejects(tlsConnect(api.port, { ca }), 'and TLS on the plain port')
  t.equal((await api.get('/openapi.json')).status, 200)
})

void t.test('REST over TLS: half a handshake and half a request end at their deadlines', async (t) => {
  const api = await secureApi(t, { limits: { headerTimeoutMs: 300, requestTimeoutMs: 600 } })
  const half = await plainSocket(t, api.https, Buffer.from([0x16, 3, 1, 2, 0, 1]))
  const silent = await plainSocket(t, api.https)
  await untilClosed(half)
  await untilClosed(silent)
  t.equal(api.counters.requestsUnread.too_slow, 2)
  const slow = await tlsConnect(api.https, { ca })
  t.match(await answer(slow, 'GET / HTTP/1.1\r\nHost: loc'), /^HTTP\/1\.1 408/)
  await until('the connections to end', () => api.api.connections.open === 0)
})

void t.test('REST over TLS: a crowd in the handshake makes room', async (t) => {
  const api = await secureApi(t, { limits: { connectionsMax: 10 } })
  for (let i = 0; i < 40; i++) await plainSocket(t, api.https)
  await until('the first ones to go', () => api.counters.connectionsEnded.evicted === 30)
  t.equal((await api.get('/openapi.json')).status, 200)
  const kept = await tlsConnect(api.https, { ca })
  const other = await tlsConnect(api.https, { ca })
  t.match(await answer(other, 'GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'), /200/)
  t.notOk(kept.destroyed)
  kept.destroy()
})

void t.test('REST over TLS: a new certificate is for new connections', async (t) => {
  const api = await secureApi(t)
  const kept = await tlsConnect(api.https, { ca })
  const first = kept.getPeerCertificate().serialNumber
  await api.folder.writePair(authority.server())
  t.equal(await api.reload(), 'changed')
  const next = await tlsConnect(api.https, { ca })
  t.not(next.getPeerCertificate().serialNumber, first)
  next.destroy()
  t.match(await answer(kept, 'GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'), /200/)
})

void t.test('REST over TLS: stopping answers what is under way and ends what is not', async (t) => {
  let asked = false
  let release = (): void => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const api = await secureApi(t, {
    limits: { stopTimeoutMs: 5_000 },
    wrap: (mailbox) =>
      new Proxy(mailbox, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name)
          if (typeof value !== 'function') return value
          return name === 'info'
            ? async (device: string) => {
                asked = true
                await held
                return target.info(device)
              }
            : value.bind(target)
        },
      }),
  })
  const idle = await tlsConnect(api.https, { ca })
  const silent = await plainSocket(t, api.https)
  const pending = api.get('/v1/devices/phone-1')
  await until('the request', () => asked)
  const stopped = api.api.stop()
  await untilClosed(idle)
  release()
  t.equal((await pending).status, 404)
  await untilClosed(silent, 2_000)
  await stopped
  await t.rejects(tlsConnect(api.https, { ca }))
})

const PAGE = 'https://app.example.com'

void t.test('CORS: a page that is allowed may call, others get no headers', async (t) => {
  const api = await startApi(t, { origins: allowedOrigins([PAGE]) })
  const path = '/v1/devices/phone-1/messages'
  const asks = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
  const preflight = await api.call('OPTIONS', path, { key: null, headers: { origin: PAGE, ...asks } })
  t.equal(preflight.status, 204)
  t.match(Object.fromEntries(preflight.headers), {
    'access-control-allow-origin': PAGE,
    'access-control-allow-methods': /POST/,
    'access-control-allow-headers': /authorization, content-type, idempotency-key/,
    vary: /origin/,
  })
  t.equal(preflight.headers.get('access-control-allow-credentials'), null)

  const called = await api.call('POST', path, { json: { payload: 'x' }, headers: { origin: PAGE } })
  t.equal(called.status, 202)
  t.equal(called.headers.get('access-control-allow-origin'), PAGE)
  const refused = await api.call('POST', path, { key: 'wrong', json: {}, headers: { origin: PAGE } })
  t.equal(refused.status, 401)
  t.equal(refused.headers.get('access-control-allow-origin'), PAGE, 'errors can be read too')

  for (const origin of ['https://evil.example', 'null', `${PAGE}.evil.example`]) {
    const other = await api.call('OPTIONS', path, { key: null, headers: { origin, ...asks } })
    t.equal(other.status, 204)
    t.equal(other.headers.get('access-control-allow-origin'), null, origin)
    t.equal(other.headers.get('access-control-allow-methods'), null, origin)
    t.match(other.headers.get('vary'), /origin/)
  }
  const plain = await api.call('GET', '/openapi.json', { key: null })
  t.equal(plain.headers.get('access-control-allow-origin'), null, 'no browser')
})

void t.test('CORS: for all pages, and off', async (t) => {
  const all = await startApi(t, { origins: allowedOrigins(['*']) })
  const open = await all.call('GET', '/openapi.json', { headers: { origin: 'https://any.example' } })
  t.equal(open.headers.get('access-control-allow-origin'), '*')
  await t.test('off', async (s) => {
    const off = await startApi(s)
    const { headers } = await off.call('GET', '/openapi.json', { headers: { origin: PAGE } })
    s.equal(headers.get('access-control-allow-origin'), null)
    s.equal(headers.get('vary'), null)
  })
})

void t.test('REST addresses: X-Forwarded-For is believed from a trusted proxy only', async (t) => {
  const api = await startApi(t, { limits: { requestsPerAddress: { perSecond: 0.001, burst: 1 } } })
  const from = (address: string): Promise<number> =>
    api.call('GET', '/openapi.json', { headers: { 'x-forwarded-for': address } }).then(({ status }) => status)
  t.equal(await from('203.0.113.1'), 200)
  t.equal(await from('203.0.113.2'), 429, 'the address is that of the socket')
  await t.test('one that is', async (s) => {
    const trusted = await startApi(s, {
      trustedProxies: ['loopback'],
      limits: { requestsPerAddress: { perSecond: 0.001, burst: 1 } },
    })
    const through = (address: string): Promise<number> =>
      trusted.call('GET', '/openapi.json', { headers: { 'x-forwarded-for': address } }).then(({ status }) => status)
    s.equal(await through('203.0.113.1'), 200)
    s.equal(await through('203.0.113.2'), 200)
    s.equal(await through('203.0.113.1'), 429)
    s.equal(await through('1.1.1.1, 203.0.113.1'), 429, 'what a client puts in front is nothing')
  })
})
