// The server with TLS as a process, and clients that know nothing of it: fetch, MQTT.js, mosquitto, the own commands.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connectAsync, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { until } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { Authority, selfSigned, type Pair } from '../support/certificates.js'
import { Child } from '../support/child.js'
import { runCommand, startCommand, type Ended } from '../support/command.js'
import { metric } from '../support/road/observe.js'
import { TestServer, type ServerOptions } from '../support/server.js'
import { TlsFolder, tlsConnect } from '../support/tls.js'

const authority = new Authority()
const devices = new Authority('the authority of the devices')
const ca = authority.cert
const hasMosquitto = spawnSync('mosquitto_sub', ['--help']).error === undefined
const needsMosquitto = { skip: hasMosquitto ? false : 'mosquitto_sub is not installed (mosquitto-clients)' }
const TLS_PORTS = ['--mqtts-port', '0', '--wss-port', '0', '--https-port', '0']

interface SecureServer {
  readonly server: TestServer
  readonly folder: TlsFolder
  readonly ca: string
}

async function secureServer(t: Test, options: ServerOptions & { readonly pair?: Pair } = {}): Promise<SecureServer> {
  const { pair = authority.server(), flags = [], ...rest } = options
  const folder = await TlsFolder.make(t, { 'ca.pem': ca, 'devices.pem': devices.cert })
  await folder.writePair(pair)
  const files = ['--tls-cert', folder.file('cert.pem'), '--tls-key', folder.file('key.pem')]
  const server = await TestServer.start(t, { ...rest, flags: [...files, ...TLS_PORTS, ...flags] })
  return { server, folder, ca: folder.file('ca.pem') }
}

async function device(t: Test, server: TestServer, url: string, id: string): Promise<MqttClient> {
  const password = await server.token(id)
  const client = await connectAsync(url, {
    ca,
    clientId: id,
    username: id,
    password,
    reconnectPeriod: 0,
    protocolVersion: 4,
  })
  t.teardown(() => client.end(true))
  return client
}

/** `fetch` in a process of its own that trusts the authority: the status, then the body. */
async function fetchOver(t: Test, trusted: string, url: string, key: string): Promise<Child> {
  const script = `const r = await fetch(process.argv[1], {headers: {authorization: 'Bearer ' + process.argv[2]}}); console.log(r.status, await r.text())`
  const child = new Child(t, process.execPath, ['--input-type=module', '-e', script, url, key], {
    env: { NODE_EXTRA_CA_CERTS: trusted },
  })
  await child.exited
  return child
}

void t.test('TLS server: all listeners, and their names in the ready line', async (t) => {
  const { server, ca: trusted } = await secureServer(t)
  const { ports } = server
  t.match(
    server.child.stdout,
    /^\{"ready":true,"ports":\{"mqtt":\d+,"mqtts":\d+,"ws":\d+,"wss":\d+,"http":\d+,"https":\d+,"admin":\d+\}\}\n$/,
  )
  t.equal((await fetch(`${server.adminUrl}/readyz`)).status, 200)
  const expires = await metric(server, 'tls_certificate_expiry_timestamp_seconds')
  t.ok(Math.abs(expires - (Date.now() / 1000 + 30 * 86_400)) < 3_600)

  t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'one' }), { status: 202 })
  const fetched = await fetchOver(
    t,
    trusted,
    `https://localhost:${ports.https}/v1/devices/phone-1`,
    await server.apiKey(),
  )
  t.match(fetched.stdout, /^200 .*"pending":1/, fetched.stderr)
  for (const url of [`mqtts://localhost:${ports.mqtts}`, `wss://localhost:${ports.wss}/mqtt`]) {
    const client = await device(t, server, url, 'phone-1')
    const got: string[] = []
    client.on('message', (_topic, payload) => got.push(payload.toString()))
    await client.subscribeAsync('inbox/phone-1', { qos: 1 })
    await server.rest('POST', '/v1/devices/phone-1/messages', { payload: url })
    await until('the message', () => got.includes(url))
    await client.endAsync()
  }
})

void t.test('TLS server: alone, with first steps that can be copied', needsMosquitto, async (t) => {
  const pair = selfSigned()
  const off = ['--mqtt-port', 'off', '--ws-port', 'off', '--http-port', 'off']
  const { server, folder } = await secureServer(t, { pair, flags: off })
  const { ports, child } = server
  t.match(child.stdout, /^\{"ready":true,"ports":\{"mqtts":\d+,"wss":\d+,"https":\d+,"admin":\d+\}\}\n$/)
  const cafile = folder.file('cert.pem')
  t.match(child.stderr, `mosquitto_sub -h localhost -p ${ports.mqtts} --cafile ${cafile} -i phone-1`)
  t.match(child.stderr, `curl -sS --cacert ${cafile} https://localhost:${ports.https}/v1/devices/phone-1/messages`)
  const line = child.stderr.split('\n').find((text) => text.includes('mosquitto_sub')) ?? ''
  const sub = new Child(t, 'sh', ['-c', `exec ${line.trim()} -C 1`], { env: { TOKEN: await server.token('phone-1') } })
  const push = await command(t, server, folder.file('cert.pem'), ['push', 'phone-1', 'hello'])
  t.equal(push.code, 0, push.stderr)
  t.same(await sub.exited, { code: 0, signal: null })
  t.equal(sub.stdout, 'hello\n')
})

/** One of the own commands over https. */
function command(t: Test, server: TestServer, trusted: string | null, args: readonly string[]): Promise<Ended> {
  const trust = trusted === null ? [] : ['--ca', trusted]
  return runCommand(t, [...args, '--url', `https://localhost:${server.ports.https}`, '--data', server.folder, ...trust])
}

void t.test('TLS server: mosquitto_sub with the authority and a token', needsMosquitto, async (t) => {
  const { server, ca: trusted } = await secureServer(t)
  const who = ['-h', 'localhost', '-p', String(server.ports.mqtts), '-i', 'phone-1', '-u', 'phone-1']
  const args = [...who, '-P', await server.token('phone-1'), '-t', 'inbox/phone-1', '-q', '1', '-C', '2']
  const untrusting = new Child(t, 'mosquitto_sub', [...args, '--cafile', '/dev/null'])
  t.not((await untrusting.exited).code, 0)
  const sub = new Child(t, 'mosquitto_sub', [...args, '--cafile', trusted])
  for (const payload of ['one', 'two']) await server.rest('POST', '/v1/devices/phone-1/messages', { payload })
  t.same(await sub.exited, { code: 0, signal: null })
  t.equal(sub.stdout, 'one\ntwo\n')
})

void t.test('TLS server: mosquitto_sub with a certificate and no password', needsMosquitto, async (t) => {
  const { server, folder, ca: trusted } = await secureServer(t, {})
  await server.stop()
  await server.restart({ flags: [...(await mutual(folder))] })
  const { cert, key } = devices.device('phone-1')
  await folder.write('device.pem', cert)
  await folder.write('device-key.pem', key)
  const show = ['--cafile', trusted, '--cert', folder.file('device.pem'), '--key', folder.file('device-key.pem')]
  const at = ['-h', 'localhost', '-p', String(server.ports.mqtts), '-q', '1', '-C', '1']
  const sub = new Child(t, 'mosquitto_sub', [...at, ...show, '-i', 'phone-1', '-t', 'inbox/phone-1'])
  await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'mine' })
  t.same(await sub.exited, { code: 0, signal: null })
  t.equal(sub.stdout, 'mine\n')
  const other = new Child(t, 'mosquitto_sub', [...at, ...show, '-i', 'phone-2', '-t', 'inbox/phone-2'])
  t.match(await other.exited, { code: 5 }, 'the code of the CONNACK')
  t.match(other.stderr, /not authorised/i)
})

async function mutual(folder: TlsFolder): Promise<readonly string[]> {
  const files = ['--tls-cert', folder.file('cert.pem'), '--tls-key', folder.file('key.pem')]
  return Promise.resolve([...files, ...TLS_PORTS, '--tls-client-ca', folder.file('devices.pem')])
}

/** The CONNACK's code for a certificate alone. */
async function attempt(server: TestServer, id: string, pair: Pair): Promise<unknown> {
  const client = RawClient.on(await tlsConnect(server.ports.mqtts, { ca, ...pair }))
  client.send(connectPacket(id, null))
  const packet = await client.next('connack')
  await client.end()
  return packet.cmd === 'connack' ? packet.returnCode : packet.cmd
}

void t.test(
  'TLS server: a deleted device stays out with its old certificate, also past the life of tokens',
  async (t) => {
    const folder = await TlsFolder.make(t, { 'devices.pem': devices.cert })
    await folder.writePair(authority.server())
    const server = await TestServer.start(t, { flags: [...(await mutual(folder)), '--token-max-ttl', '1s'] })
    const pair = devices.device('phone-1')
    t.equal(await attempt(server, 'phone-1', pair), 0)
    const deletedAt = Date.now()
    t.match(await server.rest('DELETE', '/v1/devices/phone-1'), { status: 204 })
    await until('the life of a token to be over', () => Date.now() > deletedAt + 1_500)
    t.equal(await attempt(server, 'phone-1', pair), 4)
    await server.stop()
    await server.restart()
    t.equal(await attempt(server, 'phone-1', pair), 4, 'also after a restart')
    t.equal(await attempt(server, 'phone-1', devices.device('phone-1', { notBefore: Date.now() - 1_000 })), 0)
  },
)

void t.test('TLS server: SIGHUP takes a new certificate, and leaves a bad one', async (t) => {
  const { server, folder } = await secureServer(t)
  const clients = await Promise.all(
    Array.from({ length: 20 }, (_, i) => device(t, server, `mqtts://localhost:${server.ports.mqtts}`, `phone-${i}`)),
  )
  const first = await serial(server)
  await folder.writePair(authority.server())
  server.child.signal('SIGHUP')
  await until('the new certificate', async () => (await serial(server)) !== first)
  const second = await serial(server)
  t.equal(await metric(server, 'tls_reloads_total', 'result="changed"'), 1)

  await folder.write('key.pem', authority.server().key)
  server.child.signal('SIGHUP')
  await until('the complaint', async () => (await metric(server, 'tls_reloads_total', 'result="failed"')) === 1)
  t.match(server.child.stderr, /"level":"error".*--tls-key .*is not the key of the certificate/)
  t.notMatch(server.child.stderr, /PRIVATE KEY/)
  t.equal(await serial(server), second)

  for (const [i, client] of clients.entries()) {
    t.ok(client.connected)
    const got = new Promise<string>((resolve) => client.once('message', (_topic, payload) => resolve(String(payload))))
    await client.subscribeAsync(`inbox/phone-${i}`, { qos: 1 })
    await server.rest('POST', `/v1/devices/phone-${i}/messages`, { payload: 'still here' })
    t.equal(await got, 'still here')
  }
  t.equal(await metric(server, 'connections'), 20)
  t.same(await server.stop(), { code: 0, signal: null })
})

/** Of the certificate that a new handshake is shown, on all listeners the same. */
async function serial(server: TestServer): Promise<string> {
  const { mqtts, wss, https } = server.ports
  const seen = new Set<string>()
  for (const port of [mqtts, wss, https]) {
    const socket = await tlsConnect(port, { ca })
    seen.add(socket.getPeerCertificate().serialNumber)
    socket.destroy()
  }
  return [...seen].join()
}

void t.test('TLS server: what cannot be stops the start, an expired certificate only warns', async (t) => {
  const pair = authority.server()
  const folder = await TlsFolder.make(t, {
    'cert.pem': pair.cert,
    'key.pem': pair.key,
    'other.pem': authority.server().key,
  })
  const start = async (...flags: string[]): Promise<Ended> =>
    runCommand(t, ['serve', '--store', `file:${folder.file('data')}`, '--admin-port', 'off', ...flags])
  const cert = ['--tls-cert', folder.file('cert.pem')]
  for (const [flags, expected] of [
    [cert, /^postrider: --tls-cert: the private key of the certificate is missing; give --tls-key\n$/],
    [
      [...cert, '--tls-key', folder.file('none.pem')],
      /^postrider: --tls-key .*: cannot be read: there is no such file\n$/,
    ],
    [
      [...cert, '--tls-key', folder.file('other.pem')],
      /^postrider: --tls-key .*: is not the key of the certificate in/,
    ],
  ] as const) {
    const ended = await start(...flags)
    t.equal(ended.code, 78)
    t.match(ended.stderr, expected)
    t.equal(ended.stdout, '')
  }
  t.throws(() => readFileSync(folder.file('data/token-secret')), 'nothing was made')

  const expired = authority.server({ notBefore: Date.now() - 10 * 86_400_000, notAfter: Date.now() - 86_400_000 })
  const { server } = await secureServer(t, { pair: expired })
  t.match(server.child.stderr, /"level":"warn".*the TLS certificate has expired/)
  await t.rejects(tlsConnect(server.ports.mqtts, { ca }), /expired/)
})

void t.test('TLS server: the own commands over https and mqtts', async (t) => {
  const { server, ca: trusted } = await secureServer(t)
  const doubting = await command(t, server, null, ['push', 'phone-1', 'hello'])
  t.equal(doubting.code, 69)
  t.match(doubting.stderr, /cannot be reached: .*; --ca names a file with the authority of its certificate\)/)
  const nonsense = await command(t, server, `${server.folder}/api-key`, ['push', 'phone-1', 'hello'])
  t.equal(nonsense.code, 78)
  t.match(nonsense.stderr, /--ca .*api-key: a PEM file with certificates is needed/)

  t.match(await command(t, server, trusted, ['push', 'phone-1', 'hello']), { code: 0, stdout: /"seq":1/ })
  t.match(await command(t, server, trusted, ['peek', 'phone-1']), { code: 0, stdout: '1\thello\n' })
  for (const [n, url] of [
    `mqtts://localhost:${server.ports.mqtts}`,
    `wss://localhost:${server.ports.wss}/mqtt`,
  ].entries()) {
    const where = ['--url', `https://localhost:${server.ports.https}`, '--data', server.folder, '--mqtt-url', url]
    if (n > 0) await command(t, server, trusted, ['push', 'phone-1', 'hello'])
    const listening = startCommand(t, ['listen', 'phone-1', '--count', '1', ...where], {
      env: { POSTRIDER_CA: trusted },
    })
    t.same(await listening.exited, { code: 0, signal: null }, listening.stderr)
    t.equal(listening.stdout, 'hello\n')
    const doubts = await runCommand(t, ['listen', 'phone-1', ...where, '--url', server.url])
    t.equal(doubts.code, 64, 'a flag twice')
  }
  const stranger = ['listen', 'phone-1', '--data', server.folder, '--url', server.url]
  const lost = await runCommand(t, [...stranger, '--mqtt-url', `mqtts://localhost:${server.ports.mqtts}`])
  t.equal(lost.code, 69)
  t.match(lost.stderr, /--ca names a file with the authority of its certificate/)
})
