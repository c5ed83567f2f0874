// Everything that is wrong, thrown at one server, while a canary goes on receiving: a clear error each time, and nothing lost.
// Each refusal has tests of its own beside the part that refuses; this is the whole, as it is delivered.

import { connect } from 'node:net'
import mqttPacket, { type IConnectPacket, type Packet } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { systemClock } from '../../core/clock.js'
import { createDeviceTokens } from '../../core/security/device-tokens.js'
import { RawClient, connectPacket } from '../support/broker/raw-client.js'
import { runCommand } from '../support/command.js'
import type { RoadDevice } from '../support/road/device.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

interface Canary {
  readonly device: RoadDevice
  /** Three more messages must arrive from now on, on the same connection. */
  sings(after: string): Promise<void>
  /** Ends the song; asserts that nothing of it was lost, repeated or reordered. */
  end(): Promise<void>
}

/** A device that is pushed to all the time. */
async function canaryOf(t: Test, server: TestServer): Promise<Canary> {
  const ledger = new RoadLedger()
  const device = await (await roadDevice(t, server, ledger, 'canary')).start().untilReady()
  const producer = await producerFor(t, server, ledger, {
    devices: ['canary'],
    lanes: 1,
    batch: 2,
    rate: 200,
  })
  producer.start()
  return {
    device,
    async sings(after) {
      const before = device.received
      await until(`the canary, after ${after}`, () => device.received >= before + 3, 5_000)
    },
    async end() {
      await producer.stop()
      kept(t, await untilArrived(ledger))
      t.equal(device.connections, 1, 'on one connection, all through')
      t.same([...producer.failures], [], 'and no request failed')
      await drained(t, server, ['canary'])
    },
  }
}

interface Call {
  readonly what: string
  readonly method?: string
  readonly path: string
  readonly body?: string
  /** Default: the server's own. */
  readonly key?: string | null
  readonly status: number
  readonly code: string
}

async function refused(t: Test, server: TestServer, call: Call): Promise<void> {
  const { what, method = 'POST', path, body, status, code } = call
  const key = call.key === undefined ? await server.apiKey() : call.key
  const response = await fetch(server.url + path, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body }),
  })
  t.equal(response.headers.get('content-type')?.split(';')[0], 'application/problem+json', what)
  const problem: unknown = await response.json()
  t.match(
    { status: response.status, problem },
    { status, problem: { code, status, title: /./, detail: /.{10}/ } },
    what,
  )
}

void t.test('bad input: REST refuses each with its code, and the server goes on', async (t) => {
  const server = await TestServer.start(t)
  const canary = await canaryOf(t, server)
  const made = await server.rest('POST', '/v1/keys', { name: 'reader', scopes: ['read'] })
  const reader = typeof made.body === 'object' && made.body !== null && 'key' in made.body ? String(made.body.key) : ''
  const one = '/v1/devices/phone/messages'
  const json = (value: unknown): string => JSON.stringify(value)
  const many = Array.from({ length: 1_001 }, () => ({ device: 'phone', payload: 'x' }))
  const bad = { status: 400, code: 'bad_request' }
  const calls: readonly Call[] = [
    { what: 'malformed JSON', path: one, body: '{"payload":', ...bad },
    { what: 'malformed JSON in a batch', path: '/v1/messages', body: '{"messages":[}', ...bad },
    { what: 'a wrong type', path: one, body: json({ payload: 'x', dedupId: 7 }), ...bad },
    { what: 'an array for an object', path: one, body: '[]', ...bad },
    { what: 'an object for the messages', path: '/v1/messages', body: json({ messages: {} }), ...bad },
    {
      what: 'an unknown field',
      path: one,
      body: json({ payload: 'x', colour: 1 }),
      status: 400,
      code: 'unknown_field',
    },
    {
      what: 'a field of later',
      path: one,
      body: json({ payload: 'x', deliverAt: '2030-01-01T00:00:00Z' }),
      status: 400,
      code: 'not_supported',
    },
    {
      what: 'an oversize body',
      path: '/v1/messages',
      body: json({ messages: [{ device: 'phone', payload: 'x'.repeat(17 * 1024 * 1024) }] }),
      status: 413,
      code: 'body_too_large',
    },
    {
      what: 'an oversize payload',
      path: one,
      body: json({ payload: 'x'.repeat(256 * 1024 + 1) }),
      status: 413,
      code: 'payload_too_large',
    },
    {
      what: '1,001 messages',
      path: '/v1/messages',
      body: json({ messages: many }),
      status: 413,
      code: 'too_many_messages',
    },
    {
      what: 'a bad device id',
      path: '/v1/devices/a%20b/messages',
      body: json({ payload: 'x' }),
      status: 400,
      code: 'invalid_device_id',
    },
    { what: 'a negative ttl', path: one, body: json({ payload: 'x', ttl: -1 }), ...bad },
    { what: 'an unknown device', method: 'GET', path: '/v1/devices/nobody', status: 404, code: 'device_not_found' },
    {
      what: 'the inbox of an unknown device',
      method: 'GET',
      path: '/v1/devices/nobody/messages',
      status: 404,
      code: 'device_not_found',
    },
    { what: 'no key', path: one, body: json({ payload: 'x' }), key: null, status: 401, code: 'unauthorized' },
    {
      what: 'a wrong key',
      path: one,
      body: json({ payload: 'x' }),
      key: 'pr_wrong',
      status: 401,
      code: 'unauthorized',
    },
    {
      what: 'a missing scope',
      path: one,
      body: json({ payload: 'x' }),
      key: reader,
      status: 403,
      code: 'missing_scope',
    },
    { what: 'a call that is not there', method: 'GET', path: '/v1/nothing', status: 404, code: 'not_found' },
  ]
  for (const call of calls) {
    await refused(t, server, call)
    await canary.sings(call.what)
  }
  t.equal((await statusOf(server, 'phone'))['code'], 'device_not_found', 'none of it was stored')
  await canary.end()
})

/** The CONNACK code that these bytes get; null when the connection is closed without one. */
async function connack(server: TestServer, packet: Packet | Buffer): Promise<number | null> {
  const client = await RawClient.to(server.ports.mqtt)
  client.send(packet)
  await until('an answer', () => client.closed || client.packets.length > 0)
  const [answer] = client.packets
  if (answer?.cmd !== 'connack') return null
  if (answer.returnCode !== 0) await client.untilClosed()
  await client.end()
  return answer.returnCode ?? -1
}

void t.test('bad input: MQTT refuses each with its code, and the server goes on', async (t) => {
  const server = await TestServer.start(t)
  const canary = await canaryOf(t, server)
  const token = await server.token('phone')
  const foreign = createDeviceTokens({ secrets: [Buffer.alloc(32, 'f')], maxTtlSeconds: 60, clock: systemClock })
  const past = { ...systemClock, now: () => Date.now() - 3_600_000 }
  const secret = { POSTRIDER_TOKEN_SECRET: 's'.repeat(32) }
  const old = createDeviceTokens({ secrets: [Buffer.from('s'.repeat(32))], maxTtlSeconds: 60, clock: past })
  const rotated = await TestServer.start(t, { env: secret })

  const asked = async (options: Partial<IConnectPacket>, password: string | null = token): Promise<number | null> =>
    connack(server, connectPacket('phone', password, options))
  t.equal(await asked({}, null), 4, 'no token')
  t.equal(await asked({}, 'garbage'), 4, 'a bad token')
  t.equal(await asked({}, `${token.slice(0, -4)}AAAA`), 4, 'a token with another signature')
  t.equal(await asked({}, (await foreign.sign('phone', 60)).token), 4, 'a token of another server')
  t.equal(await connack(rotated, connectPacket('phone', (await old.sign('phone', 60)).token)), 4, 'an expired token')
  t.equal(
    await connack(rotated, connectPacket('phone', await rotated.token('phone'))),
    0,
    'a good one with that secret',
  )
  t.equal(await asked({}, await server.token('canary')), 5, 'the token of another device')
  t.equal(await asked({ clientId: 'canary', username: 'canary' }), 5, 'the id of another device')
  t.equal(await asked({ protocolVersion: 5 }), 1, 'MQTT 5')
  t.equal(await asked({ protocolId: 'MQIsdp', protocolVersion: 3 }), 1, 'MQTT 3.1')
  t.equal(await asked({ clientId: 'a b', username: 'a b' }), 2, 'a bad device id')
  await canary.sings('refused CONNECTs')

  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\u0000'.repeat(5_000), '\u00ff'.repeat(5_000)]) {
    t.equal(await connack(server, Buffer.from(bytes, 'latin1')), null, 'garbage is answered by closing')
    await canary.sings('garbage')
  }
  // Garbage that says nothing wrong yet, and then goes away.
  const half = connect({ host: '127.0.0.1', port: server.ports.mqtt })
  half.on('error', () => {})
  half.end(mqttPacket.generate(connectPacket('phone', token)).subarray(0, 20))

  const client = await RawClient.as(server.ports.mqtt, 'phone', token)
  const filters = [
    ['inbox/phone', 0],
    ['inbox/#', 1],
    ['inbox/+', 1],
    ['+/+', 1],
    ['#', 1],
    ['+/phone', 1],
    ['inbox/canary', 1],
    ['inbox/canary/+', 1],
    ['inbox/phone/#', 1],
    ['$SYS/#', 1],
    ['$SYS/+/new/clients', 1],
    ['$share/g/inbox/phone', 1],
  ] as const
  for (const [n, [filter, qos]] of filters.entries())
    t.match(await client.subscribe(filter, n + 1, qos), { granted: [0x80] }, `${filter} at QoS ${qos}`)
  t.match(await server.rest('POST', '/v1/devices/phone/messages', { payload: 'mine' }), { status: 202 })
  t.match(await client.subscribe('inbox/phone', 100), { granted: [1] }, 'and its own at QoS 1 is granted')
  await until('its own message', () => client.texts.length > 0)
  t.same(client.texts, ['mine'], 'of all messages it got its own alone')
  client.ack(...client.publishes)
  client.send({
    cmd: 'publish',
    topic: 'inbox/canary',
    payload: 'forged',
    qos: 1,
    messageId: 7,
    dup: false,
    retain: false,
  })
  await client.untilClosed()
  t.notOk(
    client.packets.some(({ cmd }) => cmd === 'puback'),
    'what was not allowed is not acknowledged',
  )
  await canary.sings('a forged message')
  await until('the ack before it to be stored', async () => (await statusOf(server, 'phone'))['cursor'] === 1)
  await canary.end()
})

void t.test('bad input: a second server at the same place ends, and the first goes on', async (t) => {
  const server = await TestServer.start(t)
  const canary = await canaryOf(t, server)
  const free = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']
  const folder = ['--store', `file:${server.folder}`]
  const cases: ReadonlyArray<readonly [what: string, args: readonly string[], stderr: RegExp]> = [
    ['its folder', [...folder, ...free], /served by another process/],
    [
      'its ports',
      ['--store', `file:${t.testdir({})}`, '--mqtt-port', `${server.ports.mqtt}`, ...free.slice(2)],
      /port is in use/,
    ],
    ['an unknown flag', [...folder, '--colour', 'red'], /--colour: no such flag/],
    ['an impossible value', [...folder, '--inbox-max', '-1'], /--inbox-max/],
  ]
  for (const [what, args, stderr] of cases) {
    const ended = await runCommand(t, ['serve', ...args])
    t.not(ended.code, 0, what)
    t.match(ended, { stdout: '', stderr }, what)
    t.notMatch(ended.stderr, /^ +at /m, 'no stack')
    await canary.sings(what)
  }
  await canary.end()
})
