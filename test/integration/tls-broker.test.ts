import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { SecureVersion, TLSSocket } from 'node:tls'
import mqtt from 'mqtt'
import mqttPacket from 'mqtt-packet'
import t, { type Test } from 'tap'
import type { EntranceFailure } from '../../broker/listeners/entrance.js'
import { startNode, until, type TestNode, type TestNodeOptions } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { Authority } from '../support/certificates.js'
import { stopwatch } from '../support/stopwatch.js'
import { plainSocket, testCertificates, tlsConnect, untilClosed, type TlsFolder } from '../support/tls.js'

const authority = new Authority()
const ca = authority.cert
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`)

async function secureNode(
  t: Test,
  options: TestNodeOptions = {},
): Promise<TestNode & { readonly folder: TlsFolder; reload(): Promise<string> }> {
  const { certificates, folder } = await testCertificates(t, authority.server())
  const node = await startNode(t, { ...options, certificates })
  return { ...node, folder, reload: () => certificates.reload() }
}

/** A device over TLS; its CONNACK has come. */
async function device(node: TestNode, id: string, subscribe = true): Promise<RawClient> {
  const client = RawClient.on(await tlsConnect(node.mqtts, { ca }))
  client.send(connectPacket(id, await node.token(id)))
  await client.next('connack')
  if (subscribe) await client.subscribe(`inbox/${id}`)
  return client
}

const failed = (node: TestNode, reason: EntranceFailure): number => node.counters.entrance.failures[reason]

void t.test('TLS: a device receives what waits and what comes, over mqtts and wss', async (t) => {
  const node = await secureNode(t)
  for (const url of [`mqtts://localhost:${node.mqtts}`, `wss://localhost:${node.wss}/mqtt`]) {
    const id = url.slice(0, 4)
    await node.push(id, ...numbers(1, 100))
    const client = await mqtt.connectAsync(url, {
      ca,
      clientId: id,
      username: id,
      password: await node.token(id),
      protocolVersion: 4,
    })
    const got: string[] = []
    client.on('message', (_topic, payload) => got.push(payload.toString()))
    await client.subscribeAsync(`inbox/${id}`, { qos: 1 })
    await node.push(id, ...numbers(101, 150))
    await node.push(id, Buffer.alloc(200_000))
    await until('151 messages', () => got.length === 151)
    t.same(got.slice(0, 150), numbers(1, 150))
    t.equal(got[150]?.length, 200_000)
    await client.endAsync()
  }
  t.equal(node.counters.entrance.passed, 2)
  t.equal(node.counters.entrance.waiting, 0)
})

void t.test('TLS: versions 1.2 and 1.3 with forward secrecy, nothing older or weaker', async (t) => {
  const node = await secureNode(t)
  const attempt = async (minVersion: SecureVersion, maxVersion: SecureVersion, ciphers: string): Promise<string> => {
    try {
      const socket = await tlsConnect(node.mqtts, { ca, minVersion, maxVersion, ciphers })
      const said = `${socket.getProtocol()} ${socket.getCipher().name}`
      socket.destroy()
      return said
    } catch {
      return 'refused'
    }
  }
  t.match(await attempt('TLSv1.3', 'TLSv1.3', 'TLS_AES_128_GCM_SHA256'), 'TLSv1.3 TLS_AES_128_GCM_SHA256')
  t.match(await attempt('TLSv1.2', 'TLSv1.2', 'DEFAULT'), /^TLSv1\.2 ECDHE-ECDSA-AES/)
  t.equal(await attempt('TLSv1.1', 'TLSv1.1', 'DEFAULT@SECLEVEL=0'), 'refused')
  t.equal(await attempt('TLSv1', 'TLSv1', 'DEFAULT@SECLEVEL=0'), 'refused')
  t.equal(await attempt('TLSv1.2', 'TLSv1.2', 'ECDHE-ECDSA-AES128-SHA256'), 'refused', 'CBC')
  await until('the refusals to be counted', () => failed(node, 'tls_failed') === 3)
})

void t.test('TLS: what is not TLS is closed at once, and nobody else notices', async (t) => {
  const node = await secureNode(t)
  const witness = await device(node, 'witness')
  const connect = mqttPacket.generate(connectPacket('p1', await node.token('p1')))
  const from = performance.now()
  for (const [what, bytes] of [
    ['MQTT', connect],
    ['HTTP', 'GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['zeros', Buffer.alloc(1_000)],
    ['a record of an absurd length', Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff, ...Buffer.alloc(100)])],
    ['a handshake that is none', Buffer.from([0x16, 0x03, 0x01, 0, 5, 0x63, 0, 0, 1, 0])],
    ['an alert', Buffer.from([0x15, 0x03, 0x03, 0, 2, 2, 40])],
  ] as const) {
    for (const port of [node.mqtts, node.wss]) {
      const before = failed(node, 'tls_failed')
      await untilClosed(await plainSocket(t, port, bytes), 2_000)
      await until(`${what} to be counted`, () => failed(node, 'tls_failed') === before + 1)
    }
  }
  t.ok(performance.now() - from < 8_000, 'no deadline had to come')
  await node.push('witness', 'still here')
  await until('the witness', () => witness.texts.length === 1)
  t.equal(node.counters.entrance.waiting, 0)
})

void t.test('TLS: a handshake with the plain ports is closed at once', async (t) => {
  const node = await secureNode(t)
  for (const port of [node.mqtt, node.ws]) {
    const elapsed = stopwatch(t)
    await t.rejects(tlsConnect(port, { ca }))
    t.ok(elapsed() < 2_000)
  }
  t.equal(node.counters.protocolErrors.not_connect, 1)
  await until('the WebSocket one', () => failed(node, 'upgrade_refused') === 1)
})

/** The first bytes of a handshake, without their end. */
async function halfHello(t: Test, port: number): Promise<void> {
  await plainSocket(t, port, Buffer.from([0x16, 0x03, 0x01, 0x02, 0, 1, 0, 1, 0xfc, 3, 3]))
}

void t.test('TLS: silent connections and half handshakes end at the deadline', async (t) => {
  const node = await secureNode(t, { broker: { limits: { connectTimeoutMs: 400 } } })
  const sockets = await Promise.all([plainSocket(t, node.mqtts), plainSocket(t, node.wss)])
  await halfHello(t, node.mqtts)
  await halfHello(t, node.wss)
  // The handshake is done, the upgrade never comes.
  const idle = await tlsConnect(node.wss, { ca })
  t.teardown(() => idle.destroy())
  idle.write('GET /mqtt HTTP/1.1\r\nHost: localhost\r\n')
  await until('all five in the entrance', () => node.counters.entrance.waiting === 5)
  const witness = await device(node, 'witness')
  await until('the deadline', () => failed(node, 'timeout') === 5)
  await Promise.all(sockets.map((socket) => untilClosed(socket)))
  t.equal(node.counters.entrance.waiting, 0)
  await node.push('witness', 'still here')
  await until('the witness', () => witness.texts.length === 1)
})

void t.test('TLS: a flood of silent connections keeps nobody out', async (t) => {
  const node = await secureNode(t, { broker: { limits: { maxStrangers: 20 } } })
  for (let i = 0; i < 60; i++) await plainSocket(t, node.mqtts)
  await until('the first ones to be crowded out', () => failed(node, 'crowded_out') === 40)
  t.equal(node.counters.entrance.waiting, 20)
  const elapsed = stopwatch(t)
  const client = await device(node, 'p1')
  await node.push('p1', 'hello')
  await until('the message', () => client.texts.length === 1)
  t.ok(elapsed() < 1_000)
})

void t.test('TLS: of too many half handshakes the new one goes, until the oldest had its time', async (t) => {
  const limits = { maxHandshakes: 5, handshakePatienceMs: 500 }
  const node = await secureNode(t, { broker: { limits } })
  for (let i = 0; i < 5; i++) await halfHello(t, node.mqtts)
  await until('five in the entrance', () => node.counters.entrance.waiting === 5)
  await t.rejects(device(node, 'p1'), 'there is no room yet')
  t.equal(failed(node, 'crowded_out'), 1)
  await until('the oldest to have had its time', async () => {
    try {
      await device(node, 'p1')
      return true
    } catch {
      return false
    }
  })
  t.equal(node.counters.connects.accepted, 1)
})

void t.test('TLS: a client cannot have the handshake again', async (t) => {
  const node = await secureNode(t)
  const socket = await tlsConnect(node.mqtts, { ca, maxVersion: 'TLSv1.2' })
  const witness = await device(node, 'witness')
  socket.renegotiate({}, () => {})
  const [error] = await once(socket, 'error')
  t.match(error, { code: 'ERR_SSL_NO_RENEGOTIATION' })
  socket.destroy()
  await node.push('witness', 'still here')
  await until('the witness', () => witness.texts.length === 1)
})

void t.test('TLS: a stalled reader is closed, its buffer bounded, and it delays nobody', async (t) => {
  const node = await secureNode(t, {
    courier: { window: 1024, windowBytes: 64 * 1024 * 1024, bufferLimit: 64 * 1024, fullBufferMs: 1_000 },
  })
  const before = process.memoryUsage().rss
  const stalled = await device(node, 'slow')
  stalled.socket.pause()
  for (let i = 0; i < 12; i++) await node.push('slow', ...Array<Buffer>(20).fill(Buffer.alloc(64 * 1024)))
  const other = await device(node, 'p2')
  await node.push('p2', 'hello')
  await until('the other one', () => other.publishes.length === 1, 1_000)
  await until('the close', () => node.counters.closes.slow_consumer === 1)
  t.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024)
  stalled.socket.destroy()

  const back = await device(node, 'slow')
  await until('all 240', () => back.publishes.length === 240, 20_000)
})

void t.test('TLS: a slow but reading device lives', async (t) => {
  const node = await secureNode(t, {
    courier: { window: 1024, windowBytes: 64 * 1024 * 1024, bufferLimit: 64 * 1024, fullBufferMs: 1_000 },
  })
  const client = await device(node, 'p1')
  client.socket.pause()
  for (let i = 0; i < 25; i++) await node.push('p1', ...Array<Buffer>(20).fill(Buffer.alloc(32 * 1024)))
  for (const end = performance.now() + 3_000; performance.now() < end;) {
    // A record of TLS is at most 16 KiB, which is less than a plain socket reads at once.
    let read = 0
    const onData = (chunk: Buffer): void => {
      read += chunk.length
      if (read >= 64 * 1024) client.socket.pause()
    }
    client.socket.on('data', onData).resume()
    await new Promise((resolve) => setTimeout(resolve, 20))
    client.socket.off('data', onData)
  }
  t.notOk(client.closed)
  t.equal(node.counters.closes.slow_consumer, 0)
})

void t.test('TLS: a new certificate is for new handshakes, the connections stay and go on', async (t) => {
  const node = await secureNode(t)
  const ids = numbers(1, 50).map((n) => `device-${n}`)
  const clients = await Promise.all(ids.map((id) => device(node, id)))
  const first = await serial(node.mqtts)
  const stop = new AbortController()
  let pushed = 0
  const load = (async () => {
    for (; !stop.signal.aborted; pushed++) await Promise.all(ids.map((id) => node.push(id, String(pushed))))
  })()
  for (let round = 0; round < 3; round++) {
    await node.folder.writePair(authority.server())
    t.equal(await node.reload(), 'changed')
    const now = await serial(node.mqtts)
    t.not(now, first, 'the new certificate is shown')
    t.equal(await serial(node.wss), now, 'on every listener')
  }
  await node.folder.write('key.pem', 'nonsense')
  t.equal(await node.reload(), 'failed')
  t.not(await serial(node.mqtts), first, 'the last good one is shown on')
  stop.abort()
  await load
  t.ok(pushed > 0)
  for (const client of clients) {
    await until('all messages', () => client.publishes.length >= Math.min(pushed, 64))
    t.notOk(client.closed)
  }
  t.equal(node.counters.connections, 50)
})

/** Of the certificate that a new handshake is shown. */
async function serial(port: number): Promise<string> {
  const socket = await tlsConnect(port, { ca })
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

void t.test('TLS: a session is resumed, but not past a new certificate', async (t) => {
  const node = await secureNode(t)
  const session = async (socket: TLSSocket): Promise<Buffer> => {
    const [ticket] = await once(socket, 'session')
    if (!Buffer.isBuffer(ticket)) throw new Error('no session')
    return ticket
  }
  const first = await tlsConnect(node.mqtts, { ca, maxVersion: 'TLSv1.2' })
  const ticket = first.getSession() ?? (await session(first))
  const resume = async (): Promise<boolean> => {
    const socket = await tlsConnect(node.mqtts, { ca, maxVersion: 'TLSv1.2', session: ticket })
    const resumed = socket.isSessionReused()
    socket.destroy()
    return resumed
  }
  t.ok(await resume())
  await node.folder.writePair(authority.server())
  await node.reload()
  t.notOk(await resume())
})

void t.test('TLS: a connection that is reset in the middle of its handshake is forgotten', async (t) => {
  const node = await secureNode(t)
  for (let i = 0; i < 20; i++) {
    const socket = connectTcp({ host: '127.0.0.1', port: i % 2 === 0 ? node.mqtts : node.wss })
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0]))
    if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    socket.resetAndDestroy()
  }
  await until('all to be gone', () => failed(node, 'gone') + failed(node, 'tls_failed') === 20)
  t.equal(node.counters.entrance.waiting, 0)
  const client = await device(node, 'p1')
  t.notOk(client.closed)
})
