// Attacks with what is read: names, headers, paths, files. Each is refused or harmless, and no log is misled.

import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { AttackedServer } from '../support/attacked-server.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'
import { runCommand } from '../support/command.js'
import { exchange, statusOf } from '../support/raw-http.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

/** A CONNECT with these bytes for the client id and the username, whatever they are. */
function connectBytes(id: Buffer, password: string): Buffer {
  const field = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
  const head = Buffer.from([0, 4, ...Buffer.from('MQTT'), 4, 0xc2, 0, 60])
  const body = Buffer.concat([head, field(id), field(id), field(Buffer.from(password))])
  const length: number[] = []
  for (let left = body.length; length.length === 0 || left > 0; left >>= 7)
    length.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0))
  return Buffer.concat([Buffer.from([0x10, ...length]), body])
}

void t.test(
  'security: client ids that are paths, prototypes, no text, or somebody’s who looks like another',
  async (t) => {
    const attacked = await AttackedServer.start(t)
    const refused: ReadonlyArray<readonly [name: string, id: Buffer]> = [
      ['..', Buffer.from('..')],
      ['.', Buffer.from('.')],
      ['a path', Buffer.from('../../token-secret')],
      ['a path of Windows', Buffer.from('..\\..\\token-secret')],
      ['an absolute path', Buffer.from('/etc/passwd')],
      ['NUL in it', Buffer.from('victim\0')],
      ['NUL alone', Buffer.from([0])],
      ['a high surrogate', Buffer.from([0xed, 0xa0, 0x80])],
      ['a low surrogate', Buffer.from([0xed, 0xb0, 0x80])],
      ['a pair of surrogates', Buffer.from([0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80])],
      ['half a character', Buffer.from([0x76, 0xc3])],
      ['an overlong slash', Buffer.from([0x61, 0xc0, 0xaf])],
      ['an overlong NUL', Buffer.from([0x61, 0xc0, 0x80])],
      ['beyond Unicode', Buffer.from([0xf4, 0x90, 0x80, 0x80])],
      ['a byte-order mark', Buffer.from('\ufeffvictim')],
      ['a Cyrillic i', Buffer.from('vіctim')],
      ['a zero-width space', Buffer.from('vic\u200btim')],
      ['an override of direction', Buffer.from('\u202emitciv')],
      ['wildcards', Buffer.from('+')],
      ['a wildcard', Buffer.from('#')],
      ['a line break', Buffer.from('victim\n')],
      ['a percent sign', Buffer.from('victim%00')],
      ['129 characters', Buffer.from('v'.repeat(129))],
      ['64 KiB', Buffer.alloc(65_535, 'v')],
    ]
    for (const [name, id] of refused) {
      const client = await RawClient.to(attacked.server.ports.mqtt)
      client.send(connectBytes(id, attacked.token('victim')))
      await client.untilClosed()
      const [answer] = client.packets
      t.ok(answer === undefined || (answer.cmd === 'connack' && answer.returnCode === 2), `${name}: ${answer?.cmd}`)
      const url = `/v1/devices/${[...id.subarray(0, 400)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')}`
      const { status } = await attacked.http(url)
      t.ok(status === 400 || status === 404 || status === 414, `${name}: ${status} over HTTP`)
    }
    await attacked.victimReceives('ids that are none')

    for (const id of [
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '__defineGetter__',
      'prototype',
      '...',
      '-',
    ]) {
      const { client, code } = await attacked.knock(id, attacked.token(id))
      t.equal(code, 0, `${id} is an id like any other`)
      await client.subscribe(`inbox/${id}`)
      await attacked.pushTo(id, `for ${id}`)
      await until('its message', () => client.texts.length > 0)
      t.same(client.texts, [`for ${id}`])
      t.equal((await attacked.http(`/v1/devices/${id}`, { method: 'DELETE' })).status, 204)
      await client.untilClosed()
    }
    await attacked.victimReceives('ids that are names of objects')
    await attacked.judge()
  },
)

void t.test('security: headers and log lines cannot be injected', async (t) => {
  const attacked = await AttackedServer.start(t)
  const { ports } = attacked.server
  const line = '{"level":"fatal","time":"2030-01-01T00:00:00Z","msg":"all is lost"}'
  const texts = [
    `x\r\n${line}\r\n`,
    `x\n${line}\n`,
    '\u001b[2J\u001b]0;owned\u0007',
    '\u2028\u2029\u0085',
    '${jndi:ldap://127.0.0.1/x}',
    '%s%n%x',
    `"}\n${line}`,
  ]
  for (const text of texts) {
    const client = await RawClient.to(ports.mqtt)
    client.send(connectBytes(Buffer.from(text), attacked.token('attacker')))
    await client.untilClosed()
    await attacked.knock('attacker', attacked.token('attacker'), { username: text })
    await attacked.knock('attacker', `${text}${attacked.token('attacker')}`)
    const device = await attacked.attacker()
    await device.subscribe(text.replaceAll('#', ''))
    device.send({
      cmd: 'publish',
      topic: text.replaceAll(/[#+]/g, ''),
      payload: 'x',
      qos: 0,
      retain: false,
      dup: false,
    })
    await device.untilClosed()

    const escaped = encodeURIComponent(text)
    for (const path of [
      `/v1/devices/${escaped}`,
      `/${escaped}`,
      `/v1/devices?after=${escaped}`,
      `/v1/keys/${escaped}`,
    ]) {
      const { status, headers } = await attacked.http(path)
      t.ok(status === 200 || status === 400 || status === 404, `${path}: ${status}`)
      t.notOk(headers.has('x-injected'))
    }
    // Its answer has the key, this once: not one to search for secrets.
    const named = await fetch(`${attacked.server.url}/v1/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${attacked.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: text, scopes: ['read'] }),
    })
    const made: unknown = await named.json()
    if (named.status === 201) attacked.secret(String(Object(made).key))
  }
  const host = `host: x\r\nauthorization: Bearer ${attacked.apiKey}`
  const chunked = 'transfer-encoding: chunked'
  const smuggled = 'GET /v1/keys HTTP/1.1\r\nhost: x\r\n\r\n'
  const raw: ReadonlyArray<readonly [name: string, request: string]> = [
    ['a line break in a path', `GET /v1/devices/a\r\nx-injected: 1 HTTP/1.1\r\n${host}\r\n\r\n`],
    ['a bare carriage return', `GET /v1/keys HTTP/1.1\r\n${host}\r\nx: a\rx-injected: 1\r\n\r\n`],
    ['NUL in a header', `GET /v1/keys HTTP/1.1\r\n${host}\r\nx: a\0b\r\n\r\n`],
    ['a folded header', `GET /v1/keys HTTP/1.1\r\n${host}\r\nx: a\r\n b\r\n\r\n`],
    ['a space before the colon', `GET /v1/keys HTTP/1.1\r\nhost : x\r\nauthorization: Bearer x\r\n\r\n`],
    [
      'two lengths',
      `POST /v1/messages HTTP/1.1\r\n${host}\r\ncontent-length: 2\r\ncontent-length: 40\r\n\r\n{}${smuggled}`,
    ],
    [
      'a length and chunks',
      `POST /v1/messages HTTP/1.1\r\n${host}\r\ncontent-length: 4\r\n${chunked}\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'chunks that are not the last coding',
      `POST /v1/messages HTTP/1.1\r\n${host}\r\ntransfer-encoding: chunked, x\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ['a length that is no number', `POST /v1/messages HTTP/1.1\r\n${host}\r\ncontent-length: +2\r\n\r\n{}${smuggled}`],
    [
      'a chunk of a bad size',
      `POST /v1/messages HTTP/1.1\r\n${host}\r\n${chunked}\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n${smuggled}`,
    ],
    ['a request of HTTP/0.9', 'GET /v1/keys\r\n\r\n'],
  ]
  for (const [name, request] of raw) {
    const answer = await exchange(ports.http, request)
    attacked.heard(answer)
    t.ok(statusOf(answer) >= 400 && statusOf(answer) < 500, `${name}: ${answer.slice(0, 40)}`)
    t.equal(answer.split(/HTTP\/1\.1 \d/).length - 1, 1, `${name}: one answer`)
    t.notMatch(answer, /x-injected/i, name)
  }
  for (const value of ['a\u00e9', 'x'.repeat(10_000), '\t', '{"a":1}']) {
    const { status } = await attacked.http('/v1/devices/attacker/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': value },
      body: '{"payload":"x"}',
    })
    t.ok(status === 202 || (status >= 400 && status < 500), `Idempotency-Key: ${status}`)
  }
  await attacked.victimReceives('injections')
  await attacked.judge()
})

void t.test('security: no path leads out of the API, to a file or to another port’s secrets', async (t) => {
  const attacked = await AttackedServer.start(t)
  const { ports } = attacked.server
  const paths = [
    '/../data/token-secret',
    '/..%2f..%2ftoken-secret',
    '/%2e%2e/%2e%2e/token-secret',
    '/v1/devices/..%2f..%2f..%2ftoken-secret',
    '/v1/devices/%2e%2e/messages',
    '/v1/keys/../devices',
    '/v1//keys',
    '/token-secret',
    '/.env',
    '//127.0.0.1/v1/keys',
    '/v1/devices/a%00b',
    '/v1/devices/%c0%ae%c0%ae',
    '/v1/devices/%',
    '/v1/devices/%zz',
    'http://127.0.0.1/v1/keys',
    '/v1/keys;a=b',
    '/openapi.json/../v1/keys',
  ]
  for (const path of paths) {
    for (const port of [ports.http, ports.admin, ports.ws]) {
      const answer = await exchange(port, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      attacked.heard(answer)
      t.ok(statusOf(answer) >= 400 && statusOf(answer) < 500, `${path}: ${answer.slice(0, 20)}`)
    }
  }
  for (const path of ['/', '/mqtt/', '/mqtt%2f', '/MQTT', '//mqtt']) {
    const socket = new WebSocket(`ws://127.0.0.1:${ports.ws}${path}`, 'mqtt')
    const [error]: unknown[] = await once(socket, 'error')
    t.match(error, { message: /Unexpected server response: 4/ }, path)
  }
  await attacked.victimReceives('paths')
  await attacked.judge()
})

void t.test('security: a configuration file is data: no path, type or reference in it is followed', async (t) => {
  const laughs = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdefghij'[i]},`.repeat(9)}]`),
  ]
  const folder = t.testdir({
    'laughs.yaml': `${laughs.join('\n')}\n`,
    'function.yaml': 'host: !!js/function "function(){ process.exit(7) }"\n',
    'include.yaml': 'host: !include /etc/passwd\n',
    'merge.yaml': 'x: &x {host: 127.0.0.1}\n<<: *x\n',
    'proto.yaml': '__proto__: {auth: none}\n',
    'proto2.yaml': 'constructor: {prototype: {auth: none}}\n',
    'deep.yaml': `host: ${'['.repeat(20_000)}\n`,
    'binary.yaml': Buffer.from([0xff, 0xfe, 0, 1]),
    'traversal.yaml': 'token-jwks: ../../../../../../../etc/passwd\n',
    'link.yaml': 'config: /etc/passwd\n',
  })
  for (const name of [
    'laughs',
    'function',
    'include',
    'merge',
    'proto',
    'proto2',
    'deep',
    'binary',
    'traversal',
    'link',
  ]) {
    const args = [
      'serve',
      '--store',
      `file:${folder}/data`,
      '--mqtt-port',
      '0',
      '--ws-port',
      '0',
      '--http-port',
      '0',
      '--admin-port',
      '0',
    ]
    const { code, stdout, stderr } = await runCommand(t, [...args, '--config', `${folder}/${name}.yaml`])
    t.equal(code, 78, name)
    t.equal(stdout, '', name)
    t.notMatch(stderr, /root:|daemon:/, `${name}: what is in the file that it names is not shown`)
    t.ok(stderr.length < 10_000, name)
  }
})

void t.test('security: a CONNECT says nothing about who exists', async (t) => {
  const attacked = await AttackedServer.start(t)
  const codes = new Set<number>()
  for (const id of ['victim', 'nobody-has-this-id']) {
    codes.add((await attacked.knock(id, attacked.token('attacker'))).code)
    const client = await RawClient.to(attacked.server.ports.mqtt)
    client.send(connectPacket(id, 'no token'))
    const answer = await client.next('connack')
    t.match(answer, { returnCode: 4 })
    await client.end()
  }
  t.same([...codes], [5])
  for (const id of ['victim', 'nobody-has-this-id']) {
    t.equal((await attacked.http(`/v1/devices/${id}`, {}, null)).status, 401)
    t.equal((await attacked.http(`/v1/devices/${id}`, {}, 'guessed-key')).status, 401)
  }
  await attacked.judge()
})

void t.test(
  'security: without tokens, a page from elsewhere in a browser of this machine is let in nowhere',
  async (t) => {
    const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
    const upgrade = (origin: string | null, host = 'localhost'): Promise<number> => {
      const headers = { host: `${host}:${server.ports.ws}`, ...(origin === null ? {} : { origin }) }
      const socket = new WebSocket(server.wsUrl, 'mqtt', { headers })
      return new Promise<number>((resolve) => {
        socket.once('open', () => resolve(101))
        socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
        socket.on('error', () => resolve(-1))
      }).finally(() => socket.terminate())
    }
    for (const origin of [null, 'http://localhost:3000', server.url])
      t.equal(await upgrade(origin), 101, String(origin))
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
      t.equal(await upgrade(origin), 403, origin)
    }
    t.equal(await upgrade('http://evil.example:8083', 'evil.example'), 403, 'a name that was made to point here')
    // REST wants a key, and tells no page what it answers.
    const answer = await fetch(`${server.url}/v1/devices`, { headers: { origin: 'https://evil.example' } })
    t.equal(answer.status, 401)
    t.equal(answer.headers.get('access-control-allow-origin'), null)

    await server.stop()
    await server.restart({ flags: ['--auth', 'none', '--cors-origin', 'https://app.example.com'] })
    t.equal(await upgrade('https://app.example.com'), 101, 'unless it is named')
    t.equal(await upgrade('http://localhost:3000'), 403, 'and then no other')
  },
)
