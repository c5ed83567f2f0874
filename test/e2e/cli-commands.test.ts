import { chmodSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { POSTRIDER, runCommand } from '../support/command.js'
import { Child } from '../support/child.js'
import { TestServer } from '../support/server.js'

const SECRET = 'a secret of thirty-two bytes or more'

const claimsOf = (token: string): unknown => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

void t.test('command: help and version', async (t) => {
  t.match(await runCommand(t, ['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: '' })
  t.match(await runCommand(t, ['--help']), { code: 0, stdout: '', stderr: /Commands:\n {2}serve / })
  t.match(await runCommand(t, ['help', 'push']), { code: 0, stderr: /^postrider push <device> <payload>\n/ })
  for (const name of ['serve', 'token', 'key', 'push', 'listen', 'peek']) {
    const { code, stdout, stderr } = await runCommand(t, [name, '--help'])
    t.match({ code, stdout, stderr }, { code: 0, stdout: '', stderr: new RegExp(`^postrider ${name} `) })
  }
})

void t.test('command: what does not exist, with the nearest that does', async (t) => {
  t.match(await runCommand(t, []), { code: 64, stdout: '', stderr: /Commands:/ })
  t.match(await runCommand(t, ['sevre']), {
    code: 64,
    stderr: 'postrider: "sevre" is no command; did you mean serve? (postrider --help)\n',
  })
  t.match(await runCommand(t, ['push', 'phone-1', 'x', '--dedupid', 'a']), {
    code: 64,
    stderr: /did you mean --dedup-id\?/,
  })
  t.match(await runCommand(t, ['push', 'phone-1']), { code: 64, stderr: /needs a <payload>/ })
  t.match(await runCommand(t, ['push', 'phone-1', 'two', 'words']), {
    code: 64,
    stderr: /"words" is one argument too many/,
  })
  t.match(await runCommand(t, ['peek', 'a/b']), { code: 64, stderr: /"a\/b" is no device id: a device id is 1 to 128/ })
  t.match(await runCommand(t, ['push', 'a', 'b', '--url', 'localhost:80']), {
    code: 78,
    stderr: /--url: "localhost:80" cannot be/,
  })
  t.match(await runCommand(t, ['push', 'a', 'b', '--ttl', '5']), { code: 78, stderr: /--ttl: "5" cannot be/ })
})

void t.test('command: without a build it says how to make one', async (t) => {
  const folder = t.testdir({ bin: {}, 'package.json': '{"type":"module","version":"0.0.0"}' })
  const copy = join(folder, 'bin', 'postrider.js')
  copyFileSync(POSTRIDER, copy)
  const child = new Child(t, process.execPath, [copy, '--help'])
  t.same(await child.exited, { code: 70, signal: null })
  t.match(child.stderr, /run npm run build/)
})

void t.test('token: prints a token alone, signed with the secret of the environment or the data folder', async (t) => {
  const env = { POSTRIDER_TOKEN_SECRET: SECRET }
  const { code, stdout, stderr } = await runCommand(t, ['token', 'phone-1', '--ttl', '1h'], { env })
  t.equal(code, 0)
  t.equal(stderr, '')
  t.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/)
  const claims = claimsOf(stdout)
  t.match(claims, { sub: 'phone-1', iat: Number, exp: Number })

  t.match(await runCommand(t, ['token', 'phone-1'], { cwd: t.testdir({}) }), {
    code: 77,
    stdout: '',
    stderr: /no token secret: set POSTRIDER_TOKEN_SECRET, or name with --data/,
  })
  t.match(await runCommand(t, ['token', 'phone-1'], { env: { POSTRIDER_TOKEN_SECRET: 'short' } }), {
    code: 78,
    stdout: '',
  })
  t.match(await runCommand(t, ['token', 'phone-1', '--ttl', '31d'], { env }), {
    code: 64,
    stderr: /over what servers take/,
  })
  t.match(await runCommand(t, ['token', 'phone-1', '--token-secret', SECRET]), {
    code: 64,
    stderr: /POSTRIDER_TOKEN_SECRET/,
  })
})

void t.test('token: grants are written into it, and what cannot be granted is refused', async (t) => {
  const env = { POSTRIDER_TOKEN_SECRET: SECRET }
  const run = (...args: readonly string[]) => runCommand(t, ['token', 'phone-1', ...args], { env })
  const granted = await run('--acl-publish', 'a/+', '--acl-publish=b', '--acl-subscribe', '#')
  t.equal(granted.code, 0)
  t.match(claimsOf(granted.stdout), { acl: { publish: ['a/+', 'b'], subscribe: ['#'] } })
  t.notOk(Object.hasOwn(Object(claimsOf((await run()).stdout)), 'acl'))
  for (const filter of ['inbox/phone-2', 'uplink/#', '$SYS/#', '$share/g/a', 'a#', '']) {
    const refused = await run(`--acl-subscribe=${filter}`)
    t.match(refused, { code: 78, stdout: '', stderr: /--acl-subscribe: .* a filter|an MQTT filter/ }, filter)
  }
  const many = Array.from({ length: 101 }, (_, i) => `--acl-publish=a/${i}`)
  t.match(await run(...many), { code: 64, stderr: /acl\.publish: at most 100 filters/ })
  const long = Array.from({ length: 100 }, (_, i) => `--acl-publish=a/${i}/${'x'.repeat(200)}`)
  t.match(await run(...long), { code: 64, stderr: /acl: the token would have/ })
})

void t.test('push and peek: what is pushed waits, byte for byte', async (t) => {
  const server = await TestServer.start(t)
  const run = (args: readonly string[], options = {}) => runCommand(t, [...args, ...server.clientFlags()], options)

  const first = await run([
    'push',
    'phone-1',
    'hello wörld',
    '--dedup-id',
    'a',
    '--ttl',
    '1h',
    '--attribute',
    'k=v=w',
    '--attribute',
    'b=',
  ])
  t.match(first, { code: 0, stderr: '' })
  t.match(JSON.parse(first.stdout), { device: 'phone-1', seq: 1 })
  const again = await run([
    'push',
    'phone-1',
    'hello wörld',
    '--dedup-id',
    'a',
    '--ttl',
    '1h',
    '--attribute',
    'b=',
    '--attribute',
    'k=v=w',
  ])
  t.match(JSON.parse(again.stdout), { seq: 1, duplicate: true })
  t.match(await run(['push', 'phone-1', 'other', '--dedup-id', 'a']), { code: 1, stdout: '', stderr: /dedup_conflict/ })

  t.match(await run(['push', 'phone-1', '-'], { input: Buffer.from([0xff, 0, 1]) }), { code: 0 })
  t.match(await run(['push', 'phone-1', '-'], { input: 'from stdin' }), { code: 0 })
  t.match(await run(['push', 'phone-1', '/wAB', '--base64', '--priority', 'high', '--content-type', 'image/x']), {
    code: 0,
  })
  t.match(await run(['push', 'phone-1', '!!', '--base64']), { code: 64, stderr: /not base64/ })
  t.match(await runCommand(t, ['push', ...server.clientFlags(), '--', 'phone-1', '--dashes']), { code: 0 })

  const shown = await run(['peek', 'phone-1', '--json'])
  const messages = shown.stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  t.match(messages, [
    { seq: 1, payload: 'hello wörld', dedupId: 'a', attributes: { k: 'v=w', b: '' }, expiresAt: String },
    { seq: 2, payloadBase64: '/wAB' },
    { seq: 3, payload: 'from stdin', contentType: 'text/plain' },
    { seq: 4, payloadBase64: '/wAB', priority: 'high', contentType: 'image/x' },
    { seq: 5, payload: '--dashes' },
  ])
  t.equal(messages.length, 5)
  const plain = await run(['peek', 'phone-1', '--limit', '1'])
  t.equal(plain.stdout, '1\thello wörld\n')
  t.match(
    await server.rest('GET', '/v1/devices/phone-1'),
    { body: { pending: 5, cursor: 0 } },
    'a peek acknowledges nothing',
  )
  t.match(await run(['peek', 'nobody']), { code: 1, stderr: /device_not_found/ })
})

void t.test('peek: goes on over pages up to its limit', async (t) => {
  const server = await TestServer.start(t)
  const messages = Array.from({ length: 250 }, (_, i) => ({ device: 'phone-1', payload: `m${i + 1}` }))
  t.match(await server.rest('POST', '/v1/messages', { messages }), { status: 200 })
  const lines = async (...args: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await runCommand(t, ['peek', 'phone-1', ...args, ...server.clientFlags()])
    return stdout.trim().split('\n')
  }
  t.equal((await lines()).length, 100)
  t.equal((await lines('--limit', '230')).length, 230)
  const all = await lines('--limit', '1000')
  t.same(
    all,
    messages.map(({ payload }, i) => `${i + 1}\t${payload}`),
  )
})

void t.test('key: made, listed, used within its scopes, revoked', async (t) => {
  const server = await TestServer.start(t)
  const made = await runCommand(t, ['key', 'create', 'ci', '--scopes', 'push', ...server.clientFlags()])
  t.equal(made.code, 0)
  t.match(made.stdout, /^prk_[0-9a-f]{16}_[\w-]{43}\n$/)
  const key = made.stdout.trim()
  const id = key.split('_')[1] ?? ''
  t.match(made.stderr, `key ${id} has the scopes push`)
  t.notOk(made.stderr.includes(key), 'the key is on stdout alone')

  const list = await runCommand(t, ['key', 'list', ...server.clientFlags()])
  t.match(JSON.parse(list.stdout), { id, name: 'ci', scopes: ['push'] })
  t.notOk(list.stdout.includes(key))

  const asCi = { env: { POSTRIDER_API_KEY: key, POSTRIDER_URL: server.url } }
  t.match(await runCommand(t, ['push', 'phone-1', 'x'], asCi), { code: 0 })
  t.match(await runCommand(t, ['peek', 'phone-1'], asCi), { code: 77, stderr: /scope "read".*missing_scope/ })
  t.match(await runCommand(t, ['key', 'list'], asCi), { code: 77 })

  t.match(await runCommand(t, ['key', 'revoke', id, ...server.clientFlags()]), { code: 0, stdout: '' })
  t.match(await runCommand(t, ['push', 'phone-1', 'x'], asCi), { code: 77, stderr: /unauthorized/ }, 'at once')
  t.match(await runCommand(t, ['key', 'revoke', id, ...server.clientFlags()]), { code: 1, stderr: /there is no key/ })
  t.match(await runCommand(t, ['key', 'revoke', key, ...server.clientFlags()]), { code: 64, stderr: /takes the id/ })
  t.match(await runCommand(t, ['key', 'make']), { code: 64, stderr: /create <name>, list, revoke <id>/ })
  t.match(await runCommand(t, ['key', 'create', 'x', '--scopes', 'all']), {
    code: 78,
    stderr: /a comma list of push, read, admin/,
  })
})

void t.test('client commands: a server that is not there, a key that is not given', async (t) => {
  const server = await TestServer.start(t)
  const url = server.url
  await server.stop()
  const env = { POSTRIDER_API_KEY: 'some-key' }
  t.match(await runCommand(t, ['push', 'phone-1', 'x', '--url', url], { env }), {
    code: 69,
    stdout: '',
    stderr: /cannot be reached: .*ECONNREFUSED.*is "postrider serve" running\?/,
  })
  const cwd = t.testdir({})
  t.match(await runCommand(t, ['push', 'phone-1', 'x', '--url', url], { cwd }), {
    code: 77,
    stderr: /no API key: set POSTRIDER_API_KEY, or name with --data/,
  })
  chmodSync(join(server.folder, 'api-key'), 0o644)
  t.match(await runCommand(t, ['push', 'phone-1', 'x', '--url', url, '--data', server.folder]), {
    code: 78,
    stderr: /has mode 644/,
  })
})
