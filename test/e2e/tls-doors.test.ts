// The doors of a server that runs as a process: client certificates, PROXY headers, the origin of web pages, and a new
// certificate while messages flow.

import { connect as connectTls } from 'node:tls'
import mqttPacket from 'mqtt-packet'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { until } from '../support/broker/node.js'
import { Authority, type Pair } from '../support/certificates.js'
import { proxyV2, proxyV2Tcp4, tlv } from '../support/proxy-header.js'
import { metric } from '../support/road/observe.js'
import { troublesIn } from '../support/server-log.js'
import { TestServer } from '../support/server.js'
import { plainSocket, TlsFolder, tlsConnect, untilClosed } from '../support/tls.js'

const authority = new Authority()
const devices = new Authority('the authority of the devices')
const ca = authority.cert

interface Doors {
  readonly server: TestServer
  readonly folder: TlsFolder
}

async function doors(t: Test, ...flags: readonly string[]): Promise<Doors> {
  const folder = await TlsFolder.make(t, { 'devices.pem': devices.cert })
  await folder.writePair(authority.server())
  const files = ['--tls-cert', folder.file('cert.pem'), '--tls-key', folder.file('key.pem')]
  const ports = ['--mqtts-port', '0', '--wss-port', '0', '--https-port', '0']
  return { server: await TestServer.start(t, { flags: [...files, ...ports, ...flags] }), folder }
}

const failures = (server: TestServer, reason: string): Promise<number> =>
  metric(server, 'mqtt_entrance_failures_total', `reason="${reason}"`)

/** What a CONNECT over mqtts comes to: the CONNACK's code, or that there is none. */
async function knock(server: TestServer, id: string, pair: Pair | null, token?: string): Promise<number | 'closed'> {
  const client = RawClient.on(await tlsConnect(server.ports.mqtts, { ca, ...pair }))
  client.send(connectPacket(id, token ?? null))
  try {
    const packet = await client.next('connack')
    return packet.cmd === 'connack' ? (packet.returnCode ?? -1) : -1
  } catch {
    return 'closed'
  } finally {
    client.socket.destroy()
  }
}

void t.test(
  'TLS doors: a client certificate is for its own device, of the right authority, or no way in',
  async (t) => {
    const folder = await TlsFolder.make(t, { 'devices.pem': devices.cert })
    const { server } = await doors(t, '--tls-client-ca', folder.file('devices.pem'))
    const own = devices.device('phone-1')
    const foreign = new Authority('the authority of the devices').device('phone-1')
    const token = await server.token('phone-1')
    t.equal(await knock(server, 'phone-1', own), 0, 'its own, without a token')
    t.equal(await knock(server, 'phone-1', own, token), 0, 'its own, with its token')
    t.equal(await knock(server, 'phone-2', own), 5, 'for another common name')
    t.equal(await knock(server, 'phone-2', own, await server.token('phone-2')), 5, 'also with a token of that device')
    t.equal(await knock(server, 'phone-1', null), 4, 'none, and no token')
    t.equal(await knock(server, 'phone-1', null, token), 0, 'none, with a token')
    t.equal(await knock(server, 'phone-1', foreign), 'closed', 'of an authority that only has the same name')
    t.equal(await knock(server, 'phone-1', foreign, token), 'closed', 'also with a good token')
    t.equal(await knock(server, 'phone-1', authority.device('phone-1')), 'closed', 'of the authority of servers')
    t.equal(await failures(server, 'certificate_refused'), 3)
    t.equal(await metric(server, 'mqtt_connects_total', 'result="wrong_certificate"'), 2)
    t.same(troublesIn(server.child.stderr), [])
  },
)

void t.test('TLS doors: a new certificate while messages flow ends no connection and loses nothing', async (t) => {
  const { server, folder } = await doors(t)
  const ids = Array.from({ length: 20 }, (_, i) => `phone-${i}`)
  const clients = await Promise.all(
    ids.map(async (id) => {
      const client = RawClient.on(await tlsConnect(server.ports.mqtts, { ca }))
      client.send(connectPacket(id, await server.token(id)))
      await client.next('connack')
      client.onPacket = (packet) => {
        if (packet.cmd === 'publish') client.ack(packet)
      }
      await client.subscribe(`inbox/${id}`)
      return client
    }),
  )
  const stop = new AbortController()
  const refused: unknown[] = []
  let pushed = 0
  const flow = (async () => {
    for (; !stop.signal.aborted; pushed++) {
      const messages = ids.map((device) => ({ device, payload: String(pushed) }))
      const { status, body } = await server.rest('POST', '/v1/messages', { messages })
      if (status !== 200) refused.push(body)
    }
  })()
  const seen = new Set<string>()
  for (let round = 1; round <= 4; round++) {
    await folder.writePair(authority.server())
    server.child.signal('SIGHUP')
    await until('the reload', async () => (await metric(server, 'tls_reloads_total', 'result="changed"')) === round)
    for (const port of [server.ports.mqtts, server.ports.wss, server.ports.https]) {
      const socket = await tlsConnect(port, { ca })
      seen.add(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    }
    const before = pushed
    await until('messages after it', () => pushed > before + 2)
  }
  stop.abort()
  await flow
  t.equal(seen.size, 4, 'each was shown, the same on every listener')
  t.same(refused, [])
  await until('all messages', () => clients.every(({ publishes }) => publishes.length >= pushed))
  const all = Array.from({ length: pushed }, (_, i) => String(i))
  for (const client of clients) {
    t.notOk(client.closed)
    t.same(client.texts, all)
  }
  t.equal(await metric(server, 'mqtt_connects_total', 'result="accepted"'), ids.length, 'nobody connected again')
  t.same(troublesIn(server.child.stderr), [])
})

const LINE = Buffer.from('PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n')
const STRANGER = mqttPacket.generate(connectPacket('phone-1', 'no token'))
const behindProxies = ['--proxy-protocol', '--connect-timeout', '1s']

/** Refused with a CONNACK 4: MQTT was spoken. */
async function isRefused(client: RawClient): Promise<number | undefined> {
  const packet = await client.next('connack')
  await client.untilClosed()
  return packet.cmd === 'connack' ? packet.returnCode : undefined
}

const logged = (server: TestServer, remote: string): Promise<void> =>
  until(`${remote} in the log`, () => server.child.stderr.includes(`"remote":"${remote}"`))

void t.test('TLS doors: PROXY headers of version 1 and 2 name the client, with TLS and without', async (t) => {
  const { server } = await doors(t, ...behindProxies, '--trust-proxy', '127.0.0.1')
  const { mqtt, mqtts, ws, wss } = server.ports
  t.equal(await isRefused(RawClient.on(await plainSocket(t, mqtt, Buffer.concat([LINE, STRANGER])))), 4)
  await logged(server, '203.0.113.9:4711')
  const second = proxyV2Tcp4('198.51.100.7', 815, [tlv(1, 'mqtt')])
  t.equal(await isRefused(RawClient.on(await plainSocket(t, mqtt, Buffer.concat([second, STRANGER])))), 4)
  await logged(server, '198.51.100.7:815')

  for (const [n, header] of [LINE, proxyV2Tcp4('198.51.100.8', 816)].entries()) {
    const plain = await plainSocket(t, mqtts, header)
    const client = RawClient.on(connectTls({ socket: plain, ca, servername: 'localhost' }))
    client.send(connectPacket(`phone-${n}`, await server.token(`phone-${n}`)))
    await client.next('connack')
    await client.subscribe(`inbox/phone-${n}`)
    await server.rest('POST', `/v1/devices/phone-${n}/messages`, { payload: 'through the proxy' })
    await until('the message', () => client.texts.length === 1)
    await client.end()
  }
  for (const [url, port, header] of [
    ['ws', ws, LINE],
    ['wss', wss, proxyV2Tcp4('198.51.100.9', 1)],
  ] as const) {
    const plain = await plainSocket(t, port, header)
    const socket = url === 'ws' ? plain : connectTls({ socket: plain, ca, servername: 'localhost' })
    const page = new WebSocket(`${url}://localhost/mqtt`, 'mqtt', { createConnection: () => socket })
    await new Promise((resolve, reject) => page.once('open', resolve).once('error', reject))
    page.terminate()
  }
  t.same(troublesIn(server.child.stderr), [])
})

void t.test('TLS doors: a PROXY header that is missing, wrong, too long, half or untrusted', async (t) => {
  const { server } = await doors(t, ...behindProxies)
  const { mqtt, mqtts, ws, wss } = server.ports
  const wrong: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
    ['missing, before MQTT', STRANGER],
    ['missing, before TLS', Buffer.from([0x16, 3, 1, 0, 5])],
    ['missing, before HTTP', Buffer.from('GET /mqtt HTTP/1.1\r\n\r\n')],
    ['version 1, no address', Buffer.from('PROXY TCP4 nobody 10.0.0.1 4711 1883\r\n')],
    ['version 1, too long', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
    ['version 2, unknown command', proxyV2({ command: 7, family: 0, addresses: Buffer.alloc(0) })],
    ['version 2, cut addresses', proxyV2({ command: 1, family: 0x11, addresses: Buffer.alloc(5) })],
    ['version 2, too long', proxyV2Tcp4('203.0.113.9', 1, [tlv(4, Buffer.alloc(60_000))])],
  ]
  for (const [what, bytes] of wrong) {
    for (const port of [mqtt, mqtts, ws, wss]) {
      const before = await failures(server, 'proxy_header_malformed')
      const answer = await untilClosed(await plainSocket(t, port, bytes), 900)
      t.equal(answer.length, 0, what)
      t.equal(await failures(server, 'proxy_header_malformed'), before + 1)
    }
  }
  for (const half of [Buffer.alloc(0), LINE.subarray(0, 20), proxyV2Tcp4('203.0.113.9', 1).subarray(0, 20)]) {
    await untilClosed(await plainSocket(t, mqtts, half))
  }
  t.equal(await failures(server, 'timeout'), 3, 'what does not end has the time of a CONNECT')

  await t.test('of somebody else than the proxies that are named', async (s) => {
    const { server: strict } = await doors(s, ...behindProxies, '--trust-proxy', '10.0.0.0/8')
    await untilClosed(await plainSocket(s, strict.ports.mqtts, LINE), 900)
    s.equal(await failures(strict, 'proxy_untrusted'), 1)
  })
  t.same(troublesIn(server.child.stderr), [])
})

/** The answer to a WebSocket upgrade from a page of this origin. */
function upgrade(port: number, origin: string | null): Promise<number> {
  const socket = new WebSocket(`wss://localhost:${port}/mqtt`, 'mqtt', { ca, ...(origin === null ? {} : { origin }) })
  return new Promise((resolve) => {
    socket.once('open', () => resolve(101))
    socket.once('unexpected-response', (_request, { statusCode = 0 }) => resolve(statusCode))
    socket.on('error', () => resolve(-1))
  }).then((status) => {
    socket.terminate()
    return Number(status)
  })
}

void t.test('TLS doors: wss takes the pages that --cors-origin names, and clients that are none', async (t) => {
  const { server } = await doors(t, '--cors-origin', 'https://app.example.com,capacitor://localhost')
  const { wss } = server.ports
  for (const origin of ['https://app.example.com', 'capacitor://localhost', null]) {
    t.equal(await upgrade(wss, origin), 101, String(origin))
  }
  const wrong = [
    'https://evil.example',
    'http://app.example.com',
    'https://app.example.com.evil.example',
    'https://app.example.com:8443',
    'https://user@app.example.com',
    'null',
  ]
  for (const origin of wrong) t.equal(await upgrade(wss, origin), 403, origin)
  t.equal(await failures(server, 'origin_refused'), wrong.length)
  t.same(troublesIn(server.child.stderr), [])
})
