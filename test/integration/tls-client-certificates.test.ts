import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import mqtt, { type IClientOptions } from 'mqtt'
import mqttPacket from 'mqtt-packet'
import t, { type Test } from 'tap'
import { allowedOrigins } from '../../core/net/origins.js'
import { startNode, until, type TestNode, type TestNodeOptions } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { Authority, selfSigned, type CertificateOptions, type Pair } from '../support/certificates.js'
import { testCertificates, tlsConnect, untilClosed } from '../support/tls.js'

const authority = new Authority()
const devices = new Authority('the authority of the devices')
const ca = authority.cert
const HOUR = 3_600_000

interface MutualNode extends TestNode {
  /** CONNECTs over mqtts; the CONNACK's code, or `closed` when the handshake leads to nothing. */
  attempt(id: string, pair: Pair | null, token?: string | null): Promise<number | 'closed'>
  reload(devices: string): Promise<void>
}

async function mutualNode(t: Test, options: TestNodeOptions = {}): Promise<MutualNode> {
  const { certificates, folder } = await testCertificates(t, authority.server(), devices.cert)
  const node = await startNode(t, { ...options, certificates })
  return {
    ...node,
    async attempt(id, pair, token = null) {
      const socket = await tlsConnect(node.mqtts, { ca, ...pair })
      t.teardown(() => socket.destroy())
      return answerTo(socket, id, token)
    },
    async reload(clientCa) {
      await folder.write('ca.pem', clientCa)
      t.equal(await certificates.reload(), 'changed')
    },
  }
}

async function answerTo(socket: TLSSocket, id: string, token: string | null): Promise<number | 'closed'> {
  const client = RawClient.on(socket)
  client.send(connectPacket(id, token, token === null ? { username: id } : {}))
  try {
    const packet = await client.next('connack')
    return packet.cmd === 'connack' ? (packet.returnCode ?? -1) : -1
  } catch {
    return 'closed'
  }
}

void t.test('client certificates: one of the device is enough to connect and receive', async (t) => {
  const node = await mutualNode(t)
  const { cert, key } = devices.device('phone-1')
  for (const url of [`mqtts://localhost:${node.mqtts}`, `wss://localhost:${node.wss}/mqtt`]) {
    const client = await mqtt.connectAsync(url, { ca, cert, key, clientId: 'phone-1', protocolVersion: 4 })
    const got: string[] = []
    client.on('message', (_topic, payload) => got.push(payload.toString()))
    await node.push('phone-1', 'one')
    await client.subscribeAsync('inbox/phone-1', { qos: 1 })
    await node.push('phone-1', 'two')
    await until('the messages', () => got.length >= 2)
    t.same(got, ['one', 'two'])
    await client.endAsync()
  }
})

void t.test('client certificates: what the common name, the token and the user name must be', async (t) => {
  const node = await mutualNode(t)
  const own = devices.device('phone-1')
  const token = await node.token('phone-1')
  const foreign = await node.token('phone-2')
  const named = (options: CertificateOptions): Pair => devices.issue({ usage: 'client', ...options })
  const cases: ReadonlyArray<readonly [what: string, id: string, Pair | null, token: string | null, expected: number]> =
    [
      ['the own certificate', 'phone-1', own, null, 0],
      ['of RSA', 'phone-1', devices.device('phone-1', { keys: 'rsa' }), null, 0],
      ['with the own token', 'phone-1', own, token, 0],
      ['no certificate, the own token', 'phone-1', null, token, 0],
      ['no certificate, no token', 'phone-1', null, null, 4],
      ['for another id', 'phone-2', own, null, 5],
      ['for another id, with its token', 'phone-2', own, foreign, 5],
      ['with a token that is none', 'phone-1', own, 'nonsense', 4],
      ['with the token of another device', 'phone-1', own, foreign, 5],
      ['of another case', 'phone-1', devices.device('Phone-1'), null, 5],
      ['without a common name', 'phone-1', named({}), null, 5],
      ['with two', 'phone-1', named({ commonName: ['phone-1', 'phone-2'] }), null, 5],
      ['with a NUL in it', 'phone-1', devices.device('phone-1\0'), null, 5],
      ['that is a host name', 'phone-1', named({ commonName: 'x', hosts: ['phone-1'] }), null, 5],
    ]
  for (const [what, id, pair, password, expected] of cases) {
    t.equal(await node.attempt(id, pair, password), expected, what)
  }
  const { connects } = node.counters
  t.match(connects, { accepted: 4, wrong_certificate: 7, bad_token: 1, wrong_subject: 1, no_password: 1 })

  const socket = await tlsConnect(node.mqtts, { ca, ...own })
  const client = RawClient.on(socket)
  client.send(connectPacket('phone-1', null, { username: 'phone-2' }))
  t.match(await client.next('connack'), { returnCode: 5 }, 'the user name is another id')
})

void t.test('client certificates: one that does not verify is refused in the handshake', async (t) => {
  const node = await mutualNode(t)
  const now = Date.now()
  const bad: ReadonlyArray<readonly [what: string, pair: Pair]> = [
    ['of another authority', new Authority().device('phone-1')],
    ['of another authority of the same name', new Authority('the authority of the devices').device('phone-1')],
    ['self-signed', selfSigned({ commonName: 'phone-1', hosts: [] })],
    ['that has ended', devices.device('phone-1', { notBefore: now - 2 * HOUR, notAfter: now - HOUR })],
    ['that has not begun', devices.device('phone-1', { notBefore: now + HOUR })],
    ['for servers', devices.server({ commonName: 'phone-1' })],
  ]
  const token = await node.token('phone-1')
  for (const [what, pair] of bad) {
    t.equal(await node.attempt('phone-1', pair), 'closed', what)
    t.equal(await node.attempt('phone-1', pair, token), 'closed', `${what}, with a token`)
  }
  t.equal(node.counters.entrance.failures.certificate_refused, 2 * bad.length)
  t.equal(node.counters.connects.accepted, 0)
})

void t.test('client certificates: the connection ends with the certificate', async (t) => {
  const node = await mutualNode(t)
  const notAfter = Math.ceil(Date.now() / 1_000) * 1_000 + 2_000
  const socket = await tlsConnect(node.mqtts, { ca, ...devices.device('phone-1', { notAfter }) })
  t.equal(await answerTo(socket, 'phone-1', null), 0)
  await untilClosed(socket)
  t.ok(Date.now() >= notAfter)
  t.equal(node.counters.closes.token_expired, 1)
})

void t.test('client certificates: those of a deleted device are refused, later ones are not', async (t) => {
  const node = await mutualNode(t)
  const pair = devices.device('phone-1')
  t.equal(await node.attempt('phone-1', pair), 0)
  const now = Date.now()
  await node.store.credentials.revoke('phone-1', now, now + 1_000_000)
  t.equal(await node.attempt('phone-1', pair), 4)
  t.equal(await node.attempt('phone-1', pair, await node.token('phone-1')), 4, 'a new token does not help the old one')
  const later = devices.device('phone-1', { notBefore: Math.ceil((now + 1) / 1_000) * 1_000 })
  await until('the new certificate to begin', async () => (await node.attempt('phone-1', later)) === 0)
  t.ok(node.counters.connects.revoked >= 2)
})

/** The session of a connection, which a client may resume. */
async function sessionOf(node: TestNode, pair: Pair | null, version: 'TLSv1.2' | 'TLSv1.3'): Promise<Buffer> {
  const socket = await tlsConnect(node.mqtts, { ca, ...pair, minVersion: version, maxVersion: version })
  if (version === 'TLSv1.3') {
    const [session] = await once(socket, 'session')
    socket.destroy()
    if (Buffer.isBuffer(session)) return session
  }
  const session = socket.getSession()
  socket.destroy()
  if (session === undefined) throw new Error('no session')
  return session
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  void t.test(`client certificates: a resumed session is what its first one was (${version})`, async (t) => {
    const node = await mutualNode(t)
    const resume = async (session: Buffer, id: string): Promise<number | 'closed'> => {
      const socket = await tlsConnect(node.mqtts, { ca, session, minVersion: version, maxVersion: version })
      t.ok(socket.isSessionReused())
      return answerTo(socket, id, null)
    }
    const own = await sessionOf(node, devices.device('phone-1'), version)
    t.equal(await resume(own, 'phone-1'), 0)
    t.equal(await resume(await sessionOf(node, devices.device('phone-1'), version), 'phone-2'), 5)
    t.equal(await resume(await sessionOf(node, null, version), 'phone-1'), 4, 'none stays none')
  })
}

void t.test('client certificates: after a change of authorities the old ones count no more', async (t) => {
  const node = await mutualNode(t)
  const pair = devices.device('phone-1')
  const session = await sessionOf(node, pair, 'TLSv1.2')
  t.equal(await node.attempt('phone-1', pair), 0)
  const successor = new Authority('another authority')
  await node.reload(successor.cert)
  t.equal(await node.attempt('phone-1', pair), 'closed')
  const resumed = await tlsConnect(node.mqtts, { ca, session, maxVersion: 'TLSv1.2' })
  t.notOk(resumed.isSessionReused())
  t.equal(await answerTo(resumed, 'phone-1', null), 4)
  t.equal(await node.attempt('phone-1', successor.device('phone-1')), 0)
})

async function fromPage(node: TestNode, origin: string, pair: Pair): Promise<string> {
  const options: IClientOptions = {
    ca,
    ...pair,
    clientId: 'phone-1',
    protocolVersion: 4,
    reconnectPeriod: 0,
    wsOptions: { ca, ...pair, origin },
  }
  try {
    const client = await mqtt.connectAsync(`wss://localhost:${node.wss}/mqtt`, options, false)
    await client.endAsync()
    return 'connected'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

void t.test('client certificates: a web page needs more than the certificate of its visitor', async (t) => {
  const pair = devices.device('phone-1')
  const open = await mutualNode(t)
  t.match(await fromPage(open, 'https://evil.example', pair), /Not authorized|username or password/)
  await t.test('every origin is allowed', async (s) => {
    const node = await mutualNode(s, { broker: { origins: allowedOrigins(['*']) } })
    s.match(await fromPage(node, 'https://evil.example', pair), /Not authorized|username or password/)
  })
  await t.test('one origin is allowed', async (s) => {
    const node = await mutualNode(s, { broker: { origins: allowedOrigins(['https://app.example.com']) } })
    s.not(await fromPage(node, 'https://evil.example', pair), 'connected')
    await until('it to be counted', () => node.counters.entrance.failures.origin_refused === 1)
    s.equal(await fromPage(node, 'https://app.example.com', pair), 'connected')
  })
})

void t.test('client certificates: the plain port knows none', async (t) => {
  const node = await mutualNode(t)
  const client = await RawClient.to(node.mqtt)
  client.send(mqttPacket.generate(connectPacket('phone-1', null)))
  t.match(await client.next('connack'), { returnCode: 4 })
})

void t.test('client certificates: without passwords (--auth none) one that is shown must still fit', async (t) => {
  const node = await mutualNode(t, { broker: { tokens: null } })
  t.equal(await node.attempt('phone-1', null), 0)
  t.equal(await node.attempt('phone-1', devices.device('phone-1')), 0)
  t.equal(await node.attempt('phone-2', devices.device('phone-1')), 5)
  const options: CertificateOptions = { usage: 'client' }
  t.equal(await node.attempt('phone-1', new Authority().device('phone-1', options)), 'closed')
})
