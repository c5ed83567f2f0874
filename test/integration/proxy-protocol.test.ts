import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import mqttPacket from 'mqtt-packet'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { EntranceFailure } from '../../broker/listeners/entrance.js'
import { trustedProxies } from '../../core/net/trusted-proxies.js'
import { startNode, until, type TestNode, type TestNodeOptions } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { Authority } from '../support/certificates.js'
import { collectingLog } from '../support/log.js'
import { proxyV2, proxyV2Tcp4, tlv } from '../support/proxy-header.js'
import { plainSocket, testCertificates, untilClosed } from '../support/tls.js'

const authority = new Authority()
const LINE = 'PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n'

interface ProxiedNode extends TestNode {
  /** Who was refused last, as the log says. */
  remote(): unknown
}

async function proxiedNode(t: Test, options: NonNullable<TestNodeOptions['broker']> = {}): Promise<ProxiedNode> {
  const { certificates } = await testCertificates(t, authority.server())
  const { log, entries } = collectingLog()
  const node = await startNode(t, { certificates, broker: { proxyProtocol: true, log, ...options } })
  return { ...node, remote: () => entries.findLast(({ msg }) => msg === 'connection refused')?.['remote'] }
}

/** A CONNECT that is answered CONNACK 4, so that the log names its address. */
const STRANGER = mqttPacket.generate(connectPacket('phone-1', 'no token'))
const failed = (node: TestNode, reason: EntranceFailure): number => node.counters.entrance.failures[reason]

async function isRefused(socket: Socket): Promise<void> {
  const client = RawClient.on(socket)
  await client.next('connack')
  await client.untilClosed()
}

void t.test('PROXY protocol: the address is the one that the header names', async (t) => {
  const node = await proxiedNode(t)
  const headers: ReadonlyArray<readonly [what: string, header: Uint8Array | string, remote: string | RegExp]> = [
    ['version 1', LINE, '203.0.113.9:4711'],
    ['version 1, IPv6', 'PROXY TCP6 2001:DB8::9 ::1 4711 1883\r\n', '[2001:db8::9]:4711'],
    ['version 1, an address in an address', 'PROXY TCP6 ::ffff:203.0.113.8 ::1 1 2\r\n', '203.0.113.8:1'],
    ['version 1, unknown', 'PROXY UNKNOWN\r\n', /^127\.0\.0\.1:\d+$/],
    ['version 2', proxyV2Tcp4('198.51.100.7', 815), '198.51.100.7:815'],
    [
      'version 2 with additions',
      proxyV2Tcp4('198.51.100.8', 1, [tlv(1, 'mqtt'), tlv(4, Buffer.alloc(3_000))]),
      '198.51.100.8:1',
    ],
    ['version 2, LOCAL', proxyV2({ command: 0, family: 0, addresses: Buffer.alloc(0) }), /^127\.0\.0\.1:\d+$/],
  ]
  for (const [what, header, remote] of headers) {
    await isRefused(await plainSocket(t, node.mqtt, Buffer.concat([Buffer.from(header), STRANGER])))
    t.match(node.remote(), remote, what)
  }
})

void t.test('PROXY protocol: header and packets in any pieces', async (t) => {
  const node = await proxiedNode(t)
  for (const header of [Buffer.from(LINE), proxyV2Tcp4('203.0.113.9', 4711, [tlv(1, 'mqtt')])]) {
    const socket = await plainSocket(t, node.mqtt)
    for (const byte of Buffer.concat([header, STRANGER])) {
      socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await isRefused(socket)
    t.equal(node.remote(), '203.0.113.9:4711')
  }
})

void t.test('PROXY protocol: a device behind it receives its messages', async (t) => {
  const node = await proxiedNode(t)
  const socket = await plainSocket(t, node.mqtt, LINE)
  const client = RawClient.on(socket)
  client.send(connectPacket('phone-1', await node.token('phone-1')))
  await client.next('connack')
  await client.subscribe('inbox/phone-1')
  await node.push('phone-1', 'hello', Buffer.alloc(200_000))
  await until('both', () => client.publishes.length === 2)
  t.equal(client.texts[0], 'hello')
})

/** What is written first leaves behind `header`, in one piece with it. */
function behind(header: Buffer, socket: Socket): Duplex {
  let before = header
  const duplex = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      socket.write(Buffer.concat([before, chunk]), done)
      before = Buffer.alloc(0)
    },
  })
  socket.on('data', (chunk: Buffer) => duplex.push(chunk))
  socket.on('close', () => duplex.destroy())
  return duplex
}

void t.test('PROXY protocol: in front of TLS, alone or in one piece with its first bytes', async (t) => {
  const node = await proxiedNode(t)
  for (const header of [Buffer.from(LINE), proxyV2Tcp4('203.0.113.9', 4711)]) {
    for (const inOnePiece of [true, false]) {
      const plain = await plainSocket(t, node.mqtts)
      const socket = inOnePiece ? behind(header, plain) : plain
      if (!inOnePiece) plain.write(header)
      const secured = connectTls({ socket, ca: authority.cert, servername: 'localhost' })
      secured.on('error', () => {})
      secured.write(STRANGER)
      await isRefused(secured)
      t.equal(node.remote(), '203.0.113.9:4711')
    }
  }
})

/** The answer to an upgrade: its status. Over a socket that is there already. */
function upgrade(socket: Socket, headers: Readonly<Record<string, string>> = {}): Promise<WebSocket> {
  const webSocket = new WebSocket('ws://localhost/mqtt', 'mqtt', { createConnection: () => socket, headers })
  return new Promise((resolve, reject) => {
    webSocket.once('open', () => resolve(webSocket))
    webSocket.once('error', reject)
  })
}

async function isRefusedOver(webSocket: WebSocket): Promise<void> {
  webSocket.send(STRANGER)
  await new Promise((resolve) => webSocket.once('close', resolve))
}

void t.test('PROXY protocol: in front of WebSocket, with TLS and without', async (t) => {
  const node = await proxiedNode(t)
  await isRefusedOver(await upgrade(await plainSocket(t, node.ws, LINE)))
  t.equal(node.remote(), '203.0.113.9:4711')
  const socket = await plainSocket(t, node.wss, proxyV2Tcp4('198.51.100.7', 815))
  await isRefusedOver(await upgrade(connectTls({ socket, ca: authority.cert, servername: 'localhost' })))
  t.equal(node.remote(), '198.51.100.7:815')
})

void t.test('PROXY protocol: who sends none, or a wrong one, is closed at once', async (t) => {
  const node = await proxiedNode(t)
  const from = performance.now()
  const wrong: ReadonlyArray<Uint8Array | string> = [
    STRANGER,
    'GET /mqtt HTTP/1.1\r\n\r\n',
    Buffer.from([0x16, 3, 1, 0, 5]),
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n',
    'PROXY TCP4 203.0.113.999 10.0.0.1 4711 1883\r\n',
    `PROXY UNKNOWN ${'x'.repeat(200)}`,
    proxyV2({ command: 7, family: 0, addresses: Buffer.alloc(0) }),
    proxyV2Tcp4('203.0.113.9', 1, [tlv(4, Buffer.alloc(60_000))]),
  ]
  for (const bytes of wrong) {
    for (const port of [node.mqtt, node.mqtts, node.ws, node.wss]) {
      await untilClosed(await plainSocket(t, port, bytes), 2_000)
    }
  }
  t.equal(failed(node, 'proxy_header_malformed'), 4 * wrong.length)
  t.ok(performance.now() - from < 8_000, 'no deadline had to come')
  t.equal(node.counters.entrance.waiting, 0)
})

void t.test('PROXY protocol: a header that does not end is waited for until the deadline', async (t) => {
  const node = await proxiedNode(t, { limits: { connectTimeoutMs: 300 } })
  const half = await plainSocket(t, node.mqtt, LINE.slice(0, 20))
  const silent = await plainSocket(t, node.mqtts)
  await untilClosed(half)
  await untilClosed(silent)
  t.equal(failed(node, 'timeout'), 2)
})

void t.test('PROXY protocol: only of proxies that are trusted, if any are named', async (t) => {
  const other = await proxiedNode(t, { trustedProxies: trustedProxies(['10.0.0.0/8']) })
  await untilClosed(await plainSocket(t, other.mqtt, LINE))
  await untilClosed(await plainSocket(t, other.mqtts))
  t.equal(failed(other, 'proxy_untrusted'), 2)
  await t.test('one that is', async (s) => {
    const node = await proxiedNode(s, { trustedProxies: trustedProxies(['loopback']) })
    await isRefused(await plainSocket(s, node.mqtt, Buffer.concat([Buffer.from(LINE), STRANGER])))
    s.equal(node.remote(), '203.0.113.9:4711')
  })
})

void t.test('PROXY protocol: off, its header is nothing but a broken packet', async (t) => {
  const node = await proxiedNode(t, { proxyProtocol: false })
  await untilClosed(await plainSocket(t, node.mqtt, Buffer.concat([Buffer.from(LINE), STRANGER])))
  t.equal(node.counters.protocolErrors.not_connect, 1)
})

void t.test('X-Forwarded-For: believed over WebSocket from a trusted proxy only', async (t) => {
  const forwarded = { 'x-forwarded-for': '6.6.6.6, 203.0.113.9' }
  const strict = await proxiedNode(t, { proxyProtocol: false })
  await isRefusedOver(await upgrade(await plainSocket(t, strict.ws), forwarded))
  t.match(strict.remote(), /^127\.0\.0\.1:\d+$/)
  await t.test('one that is', async (s) => {
    const node = await proxiedNode(s, { proxyProtocol: false, trustedProxies: trustedProxies(['127.0.0.1']) })
    await isRefusedOver(await upgrade(await plainSocket(s, node.ws), forwarded))
    s.equal(node.remote(), '203.0.113.9', 'and what the client has put in front is not')
    await isRefusedOver(await upgrade(await plainSocket(s, node.ws)))
    s.match(node.remote(), /^127\.0\.0\.1:\d+$/)
  })
  await t.test('behind a PROXY header of a trusted proxy', async (s) => {
    const proxies = trustedProxies(['127.0.0.1', '192.0.2.0/24'])
    const node = await proxiedNode(s, { trustedProxies: proxies })
    await isRefusedOver(await upgrade(await plainSocket(s, node.ws, proxyV2Tcp4('192.0.2.1', 1)), forwarded))
    s.equal(node.remote(), '203.0.113.9')
    await isRefusedOver(await upgrade(await plainSocket(s, node.ws, proxyV2Tcp4('198.51.100.7', 1)), forwarded))
    s.equal(node.remote(), '198.51.100.7:1', 'the header names a client, no proxy')
  })
})
