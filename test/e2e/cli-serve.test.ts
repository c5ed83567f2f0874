import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { runCommand, startCommand } from '../support/command.js'
import { TestServer } from '../support/server.js'

const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']

/** A port that something else listens on. */
async function takenPort(t: Test): Promise<number> {
  const server: Server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function device(t: Test, server: TestServer, id: string, url = server.mqttUrl): Promise<MqttClient> {
  const password = await server.token(id)
  const client = await connectAsync(url, {
    clientId: id,
    username: id,
    password,
    reconnectPeriod: 0,
    protocolVersion: 4,
  })
  t.teardown(() => client.end(true))
  return client
}

void t.test('serve: the first start makes secrets, prints how to read them and never what they are', async (t) => {
  const server = await TestServer.start(t)
  const { folder, child, ports } = server
  t.match(child.stdout, /^\{"ready":true,"ports":\{"mqtt":\d+,"ws":\d+,"http":\d+,"admin":\d+\}\}\n$/)
  t.ok(ports.mqtt > 0 && ports.ws > 0 && ports.http > 0 && ports.admin > 0)
  for (const name of ['api-key', 'token-secret']) {
    const path = join(folder, name)
    t.equal(statSync(path).mode & 0o777, 0o600, name)
    t.match(child.stderr, path)
    t.notOk(child.stderr.includes(readFileSync(path, 'utf8').trim()), `${name} is not printed`)
  }
  t.match(child.stderr, `npx postrider token phone-1 --data ${folder}`)
  t.match(child.stderr, `-p ${ports.mqtt} `)
  t.match(child.stderr, `$(cat ${folder}/api-key)`)
  const ended = await server.stop()
  t.same(ended, { code: 0, signal: null })
  t.equal(child.stdout.split('\n').length, 2, 'one line in all')
})

void t.test('serve: a later start reads the secrets, says nothing of them, and has the messages', async (t) => {
  const server = await TestServer.start(t)
  const key = await server.apiKey()
  t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'kept' }), { status: 202 })
  await server.stop()
  await server.restart()
  t.equal(await server.apiKey(), key)
  t.notMatch(server.child.stderr, 'New secrets')
  t.match(await server.rest('GET', '/v1/devices/phone-1/messages'), {
    status: 200,
    body: { messages: [{ payload: 'kept' }] },
  })
})

void t.test('serve: killed, and nothing that was accepted is gone', async (t) => {
  const server = await TestServer.start(t)
  t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'kept' }), { status: 202 })
  t.same(await server.kill('SIGKILL'), { code: null, signal: 'SIGKILL' })
  await server.restart()
  t.match(await server.rest('GET', '/v1/devices/phone-1'), { status: 200, body: { head: 1, cursor: 0, pending: 1 } })
})

void t.test('serve: secrets from the environment are used, and no files made', async (t) => {
  const env = { POSTRIDER_API_KEY: 'an-operator-key-of-some-length', POSTRIDER_TOKEN_SECRET: 'x'.repeat(32) }
  const server = await TestServer.start(t, { env })
  t.same(
    readdirSync(server.folder).filter((name) => !name.startsWith('store.') && !name.startsWith('lock-')),
    [],
  )
  t.notMatch(server.child.stderr, 'New secrets')
  t.notMatch(server.child.stderr, env.POSTRIDER_API_KEY)
  t.match(await server.rest('GET', '/v1/devices'), { status: 200 })
  await device(t, server, 'phone-1')
  t.match(await server.rest('GET', '/v1/devices/phone-1'), { body: { online: true } })
})

void t.test(
  'serve: settings from environment and file, listeners that are off are not in the ready line',
  async (t) => {
    const folder = t.testdir({ 'postrider.yaml': 'ws-port: off\nadmin-port: off\npayload-max: 10B\n' })
    const server = await TestServer.start(t, {
      flags: ['--config', join(folder, 'postrider.yaml'), '--mqtt-port=0', '--http-port', '0', '--log-level', 'warn'],
      env: { POSTRIDER_INBOX_MAX: '1' },
    })
    t.ok(server.ports.ws > 0, 'the port that was given as a flag wins over the file')
    t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x'.repeat(11) }), {
      status: 413,
      body: { code: 'payload_too_large' },
    })
    t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x' }), { status: 202 })
    t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'y' }), {
      status: 429,
      body: { code: 'inbox_full' },
    })
    await server.stop()

    const quiet = startCommand(
      t,
      ['serve', '--store', `file:${server.folder}`, '--mqtt-port', '0', '--http-port', '0'],
      {
        env: { POSTRIDER_CONFIG: join(folder, 'postrider.yaml') },
      },
    )
    await quiet.until('the ready line', ({ stdout }) => stdout.includes('\n'))
    t.match(quiet.stdout, /^\{"ready":true,"ports":\{"mqtt":\d+,"http":\d+\}\}\n$/)
    t.same(await quiet.kill('SIGINT'), { code: 0, signal: null })
  },
)

void t.test('serve: a port in use ends the start, names the flag, and leaves the folder free', async (t) => {
  const port = await takenPort(t)
  const folder = t.testdir({})
  for (const flag of ['--mqtt-port', '--ws-port', '--http-port', '--admin-port']) {
    const ports = ANY_PORTS.map((word, i) => (ANY_PORTS[i - 1] === flag ? String(port) : word))
    const { code, stdout, stderr } = await runCommand(t, ['serve', '--store', `file:${folder}`, ...ports])
    t.equal(code, 75, flag)
    t.equal(stdout, '')
    t.match(stderr, new RegExp(`^postrider: ${flag} ${port}: the port is in use`, 'm'))
    t.notMatch(stderr, /^ +at /m, 'no stack')
  }
  const server = await TestServer.start(t, { folder })
  t.match(await fetch(`${server.adminUrl}/readyz`), { status: 200 })
})

void t.test('serve: a host that this machine does not have', async (t) => {
  const { code, stderr } = await runCommand(t, [
    'serve',
    '--store',
    `file:${t.testdir({})}`,
    '--host',
    '192.0.2.1',
    ...ANY_PORTS,
  ])
  t.equal(code, 78)
  t.match(stderr, /^postrider: --host 192\.0\.2\.1: this machine does not have that address$/m)
})

void t.test('serve: a folder that is served by another process', async (t) => {
  const server = await TestServer.start(t)
  const { code, stdout, stderr } = await runCommand(t, ['serve', '--store', `file:${server.folder}`, ...ANY_PORTS])
  t.ok(code === 75 || code === 78, `exit code ${code}`)
  t.equal(stdout, '')
  t.match(stderr, /served by another process.*--store/)
  t.notMatch(stderr, /^ +at /m, 'no stack')
  t.match(
    await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x' }),
    { status: 202 },
    'the first goes on',
  )
})

void t.test('serve: a folder that cannot be made or written', async (t) => {
  const folder = t.testdir({ file: 'not a folder', locked: {} })
  const under = await runCommand(t, ['serve', '--store', `file:${join(folder, 'file', 'data')}`, ...ANY_PORTS])
  t.equal(under.code, 73)
  t.match(under.stderr, /^postrider: --store: the data folder .* cannot be used: ENOTDIR/m)

  if (process.getuid?.() !== 0) return t.comment('not root: the case of another user is not tried')
  // The folder belongs to root; the server runs as somebody else.
  const other = await runCommand(t, ['serve', '--store', `file:${join(folder, 'locked')}`, ...ANY_PORTS], {
    uid: 65_534,
  })
  t.equal(other.code, 73)
  t.match(other.stderr, /^postrider: .*data folder .*locked cannot be used: EACCES/m)
  t.notMatch(other.stderr, /^ +at /m, 'no stack')
  t.same(readdirSync(join(folder, 'locked')), [])
  return undefined
})

void t.test('serve: secret files that others can read are refused', async (t) => {
  const folder = t.testdir({})
  writeFileSync(join(folder, 'token-secret'), 'x'.repeat(40), { mode: 0o644 })
  const { code, stderr } = await runCommand(t, ['serve', '--store', `file:${folder}`, ...ANY_PORTS])
  t.equal(code, 78)
  t.match(stderr, /token-secret: has mode 644.*chmod 600/)
})

void t.test('serve: flags and values that cannot be, each with a reason and before anything is made', async (t) => {
  const folder = join(t.testdir({}), 'data')
  const cases: ReadonlyArray<readonly [args: readonly string[], code: number, stderr: RegExp]> = [
    [['--mqtt-prot', '1'], 64, /--mqtt-prot: no such flag; did you mean --mqtt-port\?/],
    [['--mqtt-port', '65536'], 78, /--mqtt-port: "65536" cannot be/],
    [['--dedup-window', '0s'], 78, /--dedup-window/],
    [['--window', '100', '--window-max', '10'], 78, /--window 100 is over --window-max 10/],
    [['--auth', 'none', '--host', '0.0.0.0'], 78, /--auth none/],
    [['--token-secret', 'hush'], 64, /POSTRIDER_TOKEN_SECRET/],
    [['--workers', '2'], 78, /--workers 2: a file store is of one process/],
    [['--store', 'mongodb://127.0.0.1', '--role', 'api'], 78, /more nodes than one need a bus/],
    [['now'], 64, /takes flags only, not "now"/],
  ]
  for (const [args, code, stderr] of cases) {
    const ended = await runCommand(t, [
      'serve',
      ...(args.includes('--store') ? [] : ['--store', `file:${folder}`]),
      ...args,
    ])
    t.match(ended, { code, stdout: '', stderr }, args.join(' '))
    t.equal(ended.stderr.trim().split('\n').length, 1, 'one line, no stack')
  }
  t.notOk(existsSync(folder))
})

void t.test('serve: SIGTERM with devices connected: acks are kept, devices let go, exit code 0', async (t) => {
  const server = await TestServer.start(t)
  const ids = Array.from({ length: 5 }, (_, i) => `phone-${i}`)
  const closed: Array<Promise<void>> = []
  const received: Array<Promise<void>> = []
  for (const [i, id] of ids.entries()) {
    const client = await device(t, server, id, i % 2 === 0 ? server.mqttUrl : server.wsUrl)
    closed.push(new Promise((resolve) => client.once('close', resolve)))
    received.push(new Promise((resolve) => client.once('message', () => resolve())))
    await client.subscribeAsync(`inbox/${id}`, { qos: 1 })
    t.match(await server.rest('POST', `/v1/devices/${id}/messages`, { payload: id }), { status: 202 })
  }
  await Promise.all(received)
  const from = performance.now()
  t.same(await server.stop(), { code: 0, signal: null })
  t.ok(performance.now() - from < 10_000)
  await Promise.all(closed)
  t.match(server.child.stderr, '"msg":"stopped"')

  await server.restart()
  for (const id of ids) {
    t.match(await server.rest('GET', `/v1/devices/${id}`), { body: { online: false, head: 1, pending: 0 } }, id)
  }
})

void t.test('serve: a stop answers the request under way and refuses the next', async (t) => {
  const server = await TestServer.start(t)
  const pushes = Array.from({ length: 50 }, (_, i) =>
    server.rest('POST', '/v1/devices/phone-1/messages', { payload: `m${i}`, dedupId: `m${i}` }).then(
      (result) => result.status,
      () => null, // not accepted: the connection was refused or cut
    ),
  )
  const stopping = server.stop()
  const accepted = (await Promise.all(pushes)).filter((status) => status === 202).length
  t.same(await stopping, { code: 0, signal: null })
  await server.restart()
  const { body } = await server.rest('GET', '/v1/devices/phone-1')
  const pending = typeof body === 'object' && body !== null && 'pending' in body ? Number(body.pending) : 0
  t.ok(pending >= accepted, `${accepted} accepted, ${pending} stored`)
})

void t.test('serve: SIGTERM while it starts ends it in good order', async (t) => {
  const folder = t.testdir({})
  const child = startCommand(t, ['serve', '--store', `file:${folder}`, '--log-level', 'debug', ...ANY_PORTS])
  await child.until('the first step', ({ stderr }) => stderr.includes('"step":"admin"'))
  const { code, signal } = await child.kill('SIGTERM')
  t.same({ code, signal }, { code: 0, signal: null })
  const server = await TestServer.start(t, { folder })
  t.ok(server.pid > 0, 'and the folder is free')
})

void t.test('serve: readiness and metrics on the admin port', async (t) => {
  const server = await TestServer.start(t)
  await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x' })
  const ready = await fetch(`${server.adminUrl}/readyz`, { headers: { accept: 'application/json' } })
  t.equal(ready.status, 200)
  t.match(await ready.json(), { status: 'ready', checks: [{ name: 'store', ok: true }] })
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text()
  t.match(metrics, /^postrider_messages_accepted_total 1$/m)
  t.match(metrics, /^postrider_connections 0$/m)
  t.notMatch(metrics, /NaN/i)
})

void t.test(
  'serve: --auth none on a loopback host asks devices for no password, and REST still for a key',
  async (t) => {
    const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
    const client = await connectAsync(server.mqttUrl, { clientId: 'phone-1', reconnectPeriod: 0, protocolVersion: 4 })
    t.teardown(() => client.end(true))
    t.match(await server.rest('GET', '/v1/devices/phone-1'), { body: { online: true } })
    t.equal((await fetch(`${server.url}/v1/devices`)).status, 401)
  },
)

void t.test('serve: a data folder whose path has spaces and quotes is printed so that it can be copied', async (t) => {
  const folder = join(t.testdir({}), "it's my data")
  mkdirSync(folder)
  const server = await TestServer.start(t, { folder })
  t.match(server.child.stderr, "it'\\''s my data'")
})

void t.test('serve: goes on when nobody reads its output any more', async (t) => {
  const server = await TestServer.start(t, { flags: ['--log-level', 'trace'] })
  server.child.closeReader('stdout')
  server.child.closeReader('stderr')
  await device(t, server, 'phone-1')
  t.match(await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x' }), { status: 202 })
  t.same(await server.stop(), { code: 0, signal: null })
})
