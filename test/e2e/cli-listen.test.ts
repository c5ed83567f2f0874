import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { startCommand, runCommand } from '../support/command.js'
import type { Child } from '../support/child.js'
import { TestServer } from '../support/server.js'

const flagsOf = (server: TestServer): readonly string[] => [...server.clientFlags(), '--mqtt-url', server.mqttUrl]

async function listener(t: Test, server: TestServer, ...args: readonly string[]): Promise<Child> {
  const child = startCommand(t, ['listen', 'phone-1', ...args, ...flagsOf(server)])
  await child.until('it listens', ({ stderr }) => stderr.includes('listening as phone-1'))
  return child
}

async function push(server: TestServer, payload: string): Promise<void> {
  const { status } = await server.rest('POST', '/v1/devices/phone-1/messages', { payload })
  if (status !== 202) throw new Error(`not accepted: ${status}`)
}

/** Waits until the server has stored that `count` messages were acknowledged. */
async function acknowledged(t: Test, server: TestServer, count: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { body } = await server.rest('GET', '/v1/devices/phone-1')
    if (typeof body === 'object' && body !== null && 'cursor' in body && body.cursor === count) return
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
  }
  t.fail(`${count} messages were not acknowledged`)
}

void t.test('listen: prints what waits and what comes, a line each, and acknowledges it', async (t) => {
  const server = await TestServer.start(t)
  await push(server, 'one')
  await push(server, 'two')
  const child = await listener(t, server)
  await push(server, 'three')
  await child.until('three lines', ({ stdout }) => stdout.split('\n').length === 4)
  t.equal(child.stdout, 'one\ntwo\nthree\n')
  await acknowledged(t, server, 3)
  t.same(await child.kill('SIGINT'), { code: 0, signal: null })
  t.match(await server.rest('GET', '/v1/devices/phone-1'), { body: { pending: 0, cursor: 3 } })
})

void t.test('listen: --json says what is known, --count ends it and leaves the rest', async (t) => {
  const server = await TestServer.start(t)
  for (const payload of ['one', 'two', 'three']) await push(server, payload)
  const { code, stdout } = await runCommand(t, ['listen', 'phone-1', '--json', '--count', '2', ...flagsOf(server)])
  t.equal(code, 0)
  t.same(
    stdout
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
    [
      { device: 'phone-1', seq: 1, redelivered: false, payload: 'one' },
      { device: 'phone-1', seq: 2, redelivered: false, payload: 'two' },
    ],
  )
  await acknowledged(t, server, 2)
  const rest = await runCommand(t, ['listen', 'phone-1', '--json', '--count', '1', ...flagsOf(server)])
  t.match(JSON.parse(rest.stdout), { seq: 3, redelivered: true, payload: 'three' }, 'it was on the wire before')
})

void t.test('listen: over WebSocket', async (t) => {
  const server = await TestServer.start(t)
  await push(server, 'one')
  const args = ['listen', 'phone-1', '--count', '1', ...server.clientFlags(), '--mqtt-url', server.wsUrl]
  t.match(await runCommand(t, args), { code: 0, stdout: 'one\n' })
})

void t.test('listen: a device that is connected is left alone, unless --takeover', async (t) => {
  const server = await TestServer.start(t)
  const phone = await connectAsync(server.mqttUrl, {
    clientId: 'phone-1',
    username: 'phone-1',
    password: await server.token('phone-1'),
    reconnectPeriod: 0,
    protocolVersion: 4,
  })
  t.teardown(() => phone.end(true))
  const closed = new Promise<void>((resolve) => {
    phone.once('close', () => resolve())
  })
  const refused = await runCommand(t, ['listen', 'phone-1', ...flagsOf(server)])
  t.match(refused, { code: 1, stdout: '', stderr: /phone-1 is connected \(to .*\); --takeover/ })
  t.equal(phone.connected, true)

  const child = await listener(t, server, '--takeover')
  await closed
  await push(server, 'mine')
  await child.until('the message', ({ stdout }) => stdout === 'mine\n')
})

void t.test('listen: taken over itself, it ends and does not take back', async (t) => {
  const server = await TestServer.start(t)
  const first = await listener(t, server)
  const second = await listener(t, server, '--takeover')
  t.same(await first.exited, { code: 1, signal: null })
  t.match(first.stderr, /another connection took phone-1/)
  await push(server, 'for the second')
  await second.until('the message', ({ stdout }) => stdout === 'for the second\n')
})

void t.test('listen: comes back after the server did, and goes on where it was', async (t) => {
  const server = await TestServer.start(t)
  const child = await listener(t, server, '--json')
  await push(server, 'before')
  await child.until('the first', ({ stdout }) => stdout.includes('before'))
  await acknowledged(t, server, 1)
  await server.kill('SIGKILL')
  await server.restart()
  await push(server, 'after')
  await child.until('the second', ({ stdout }) => stdout.includes('after'))
  t.equal(child.stdout.trim().split('\n').length, 2, 'nothing twice')
  t.same(await child.kill('SIGTERM'), { code: 0, signal: null })
})

void t.test('listen: with the token secret alone it can only take over', async (t) => {
  const env = { POSTRIDER_API_KEY: 'an-operator-key-of-some-length', POSTRIDER_TOKEN_SECRET: 'x'.repeat(40) }
  const server = await TestServer.start(t, { env })
  const { POSTRIDER_TOKEN_SECRET } = env
  const cwd = t.testdir({})
  const args = ['listen', 'phone-1', '--mqtt-url', server.mqttUrl, '--url', server.url]
  t.match(await runCommand(t, args, { env: { POSTRIDER_TOKEN_SECRET }, cwd }), {
    code: 77,
    stderr: /or say --takeover/,
  })
  await push(server, 'one')
  const taken = await runCommand(t, [...args, '--takeover', '--count', '1'], { env: { POSTRIDER_TOKEN_SECRET }, cwd })
  t.match(taken, { code: 0, stdout: 'one\n' })
  const wrong = { POSTRIDER_TOKEN_SECRET: 'y'.repeat(40) }
  t.match(await runCommand(t, [...args, '--takeover'], { env: wrong, cwd }), {
    code: 77,
    stderr: /the token is not valid there/,
  })
  t.match(await runCommand(t, args, { cwd }), { code: 77, stderr: /no way to get a token/ })
})

void t.test('listen: with --auth none it needs no token', async (t) => {
  const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
  await push(server, 'one')
  t.match(await runCommand(t, ['listen', 'phone-1', '--count', '1', ...flagsOf(server)]), { code: 0, stdout: 'one\n' })
})

void t.test('listen: an MQTT address where nobody is', async (t) => {
  const server = await TestServer.start(t)
  const args = ['listen', 'phone-1', ...server.clientFlags(), '--mqtt-url', 'mqtt://127.0.0.1:1']
  t.match(await runCommand(t, args), { code: 69, stdout: '', stderr: /cannot be reached: .*ECONNREFUSED.*--mqtt-url/ })
})

void t.test('listen: what could not be printed is not acknowledged', async (t) => {
  const server = await TestServer.start(t)
  const child = await listener(t, server)
  child.closeReader('stdout')
  await push(server, 'lost for the reader')
  const { code } = await child.exited
  t.equal(code, 1)
  t.match(child.stderr, /cannot write: .*EPIPE/)
  t.match(await server.rest('GET', '/v1/devices/phone-1'), { body: { pending: 1, cursor: 0 } })
})

void t.test('listen: what will not come is told on stderr', async (t) => {
  const server = await TestServer.start(t, { flags: ['--inbox-max', '2', '--overflow', 'drop-oldest'] })
  for (const payload of ['one', 'two', 'three', 'four']) await push(server, payload)
  const { code, stdout, stderr } = await runCommand(t, ['listen', 'phone-1', '--count', '2', ...flagsOf(server)])
  t.equal(code, 0)
  t.equal(stdout, 'three\nfour\n')
  t.match(stderr, /the messages 1 to 2 will not come \(overflow\)/)
  await acknowledged(t, server, 4)
})

void t.test('listen: after a loss, a device that came first is left alone', async (t) => {
  const server = await TestServer.start(t)
  const child = await listener(t, server)
  // It sees nothing of what happens now until the phone is connected.
  child.signal('SIGSTOP')
  await server.kill('SIGKILL')
  await server.restart()
  const phone = await connectAsync(server.mqttUrl, {
    clientId: 'phone-1',
    username: 'phone-1',
    password: await server.token('phone-1'),
    reconnectPeriod: 0,
    protocolVersion: 4,
  })
  t.teardown(() => phone.end(true))
  child.signal('SIGCONT')
  t.same(await child.exited, { code: 1, signal: null })
  t.match(child.stderr, /another connection took phone-1 \(at /)
  t.equal(phone.connected, true)
})

void t.test('listen: with --takeover it comes back as the SDK does', async (t) => {
  const server = await TestServer.start(t)
  const child = await listener(t, server, '--takeover', '--json')
  await push(server, 'before')
  await child.until('the first', ({ stdout }) => stdout.includes('before'))
  await acknowledged(t, server, 1)
  await server.kill('SIGKILL')
  await child.until('it has seen that', ({ stderr }) => stderr.includes('the connection ended'))
  await server.restart()
  await push(server, 'after')
  await child.until('the second', ({ stdout }) => stdout.includes('after'))
  t.equal(child.stdout.trim().split('\n').length, 2, 'nothing twice')
  t.same(await child.kill('SIGINT'), { code: 0, signal: null })
})
