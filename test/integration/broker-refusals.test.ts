import { createHmac } from 'node:crypto'
import { connect } from 'node:net'
import type { IConnectPacket, Packet } from 'mqtt-packet'
import t from 'tap'
import { WebSocket } from 'ws'
import { StoreUnavailable } from '../../core/errors.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { connectPacket, RawClient } from '../support/broker/raw-client.js'

/** The CONNACK code that a CONNECT gets; -1 when the connection is closed without one. */
async function connack(port: number, packet: Packet | Buffer): Promise<number> {
  const client = await RawClient.to(port)
  client.send(packet)
  try {
    const answer = await client.next('connack')
    const code = answer.cmd === 'connack' ? (answer.returnCode ?? -2) : -2
    if (code !== 0) await client.untilClosed()
    return code
  } catch {
    return -1
  } finally {
    await client.end()
  }
}

/** A CONNECT with any protocol name and level. */
function connectBytes(name: string, level: number): Buffer {
  const body = Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([level, 2, 0, 60, ...(level === 5 ? [0] : []), 0, 2]),
    Buffer.from('p1'),
  ])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

void t.test('broker refusals: CONNACK codes', async (t) => {
  const node = await startNode(t)
  const token = await node.token('p1')
  const code = (device: string, password: string | null, options: Partial<IConnectPacket> = {}): Promise<number> =>
    connack(node.mqtt, connectPacket(device, password, options))

  await t.test('broker refusals: 1 for every protocol level but 4', async (t) => {
    for (const level of [0, 3, 5, 6, 0x84])
      t.equal(await connack(node.mqtt, connectBytes('MQTT', level)), 1, `${level}`)
    t.equal(await connack(node.mqtt, connectBytes('MQIsdp', 3)), 1)
    t.equal(await connack(node.mqtt, connectPacket('p1', token, { protocolVersion: 5 })), 1, 'a real MQTT 5 CONNECT')
  })
  await t.test('broker refusals: 2 for ids', async (t) => {
    t.equal(await code('', token, { username: '' }), 2, 'empty, clean')
    // The library does not make an empty id with clean=0, so: flags username + password.
    const empty = Buffer.from('101000044d51545404c0003c0000000000000000', 'hex')
    empty[1] = empty.length - 2
    t.equal(await connack(node.mqtt, empty), 2, 'empty, not clean')
    for (const id of ['a/b', 'a b', 'ä', '..', 'x'.repeat(129)]) t.equal(await code(id, token), 2, id)
  })
  await t.test('broker refusals: 4 for passwords and tokens', async (t) => {
    t.equal(await code('p1', null), 4, 'no password')
    t.equal(await code('p1', ''), 4, 'empty password')
    t.equal(await code('p1', 'nonsense'), 4)
    t.equal(await code('p1', `${token}x`), 4, 'broken signature')
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signed = (iat: number, exp: number): string => {
      const text = `${part({ alg: 'HS256' })}.${part({ sub: 'p1', iat, exp })}`
      return `${text}.${createHmac('sha256', Buffer.alloc(32, 's')).update(text).digest('base64url')}`
    }
    const now = Math.floor(Date.now() / 1000)
    t.equal(await code('p1', signed(now - 10, now + 10)), 0, 'the same by hand is good')
    t.equal(await code('p1', signed(now - 100, now - 1)), 4, 'expired')
    t.equal(await code('p1', signed(now + 100, now + 200)), 4, 'issued in the future')
    await node.store.credentials.revoke('p3', Date.now() + 1_000, Date.now() + 100_000)
    t.equal(await code('p3', await node.token('p3')), 4, 'revoked')
  })
  await t.test('broker refusals: 5 for another one’s token, username and a will that is not allowed', async (t) => {
    t.equal(await code('p2', token, { username: 'p2' }), 5)
    t.equal(await code('p1', token, { username: 'p2' }), 5)
    const will = (topic: string): Partial<IConnectPacket> => ({
      will: { topic, payload: Buffer.from('x'), qos: 0, retain: false },
    })
    for (const topic of ['inbox/p2', 'uplink/p2/a', '$SYS/x', 'a/b'])
      t.equal(await code('p1', token, will(topic)), 5, topic)
    t.equal(await code('p1', token, { username: '' }), 0, 'an empty username is fine')
  })
  t.match(node.counters.connects, {
    unacceptable_level: 7,
    bad_id: 7,
    no_password: 2,
    bad_token: 4,
    revoked: 1,
    wrong_subject: 1,
    wrong_username: 1,
    will_refused: 4,
    accepted: 2,
  })
  await until('all sockets to close', () => node.counters.sockets === 0)
  t.match(node.counters, { connections: 0, closes: { refused: 27 } })
  t.equal(node.couriers.size, 0)
})

void t.test('broker refusals: CONNACK 3 when the store is down, the node is full, too fast or draining', async (t) => {
  const broken = await startNode(t, {
    couriers: () => ({ open: () => Promise.reject(new StoreUnavailable('down')) }),
  })
  t.equal(await connack(broken.mqtt, connectPacket('p1', await broken.token('p1'))), 3)

  const small = await startNode(t, { broker: { limits: { maxConnections: 1, maxStrangers: 2 } } })
  const one = await RawClient.as(small.mqtt, 'p1', await small.token('p1'))
  t.equal(await connack(small.mqtt, connectPacket('p2', await small.token('p2'))), 3)
  const oldest = await RawClient.to(small.mqtt)
  const stranger = await RawClient.to(small.mqtt)
  await until('the strangers', () => small.counters.sockets === 3)
  t.equal(await connack(small.mqtt, connectPacket('p2', await small.token('p2'))), 3, 'strangers are in nobody’s way')
  await oldest.untilClosed()
  t.match(small.counters.closes, { too_many_sockets: 1 })
  t.equal(stranger.closed, false, 'the other one may stay')
  await stranger.end()
  await one.end()
  await until('room', () => small.counters.sockets === 0)
  t.equal(await connack(small.mqtt, connectPacket('p2', await small.token('p2'))), 0)

  const slow = await startNode(t, { broker: { limits: { connects: { perSecond: 2, burst: 2 } } } })
  const token = await slow.token('p1')
  const codes = [0, 0, 0, 0].map(() => connack(slow.mqtt, connectPacket('p1', token)))
  t.ok((await Promise.all(codes)).includes(3))

  const draining = await startNode(t)
  const stays = await RawClient.as(draining.mqtt, 'p1', await draining.token('p1'))
  draining.broker.drain()
  t.equal(await connack(draining.mqtt, connectPacket('p2', await draining.token('p2'))), 3)
  stays.send({ cmd: 'pingreq' })
  await stays.next('pingresp')
})

void t.test('broker refusals: SUBSCRIBE', async (t) => {
  const node = await startNode(t)
  await node.push('p1', 'one')
  const client = await RawClient.as(node.mqtt, 'p1', await node.token('p1'))
  const granted = async (...filters: Array<[string, 0 | 1 | 2]>): Promise<unknown> => {
    const before = client.packets.filter((packet) => packet.cmd === 'suback').length
    client.send({ cmd: 'subscribe', messageId: 5, subscriptions: filters.map(([topic, qos]) => ({ topic, qos })) })
    const suback = await client.next('suback', before + 1)
    return suback.cmd === 'suback' ? suback.granted : null
  }
  t.same(await granted(['inbox/p1', 0]), [128], 'QoS 0')
  for (const filter of [
    'inbox/p2',
    'inbox/#',
    'inbox/+',
    '+/+',
    '#',
    '+/p1',
    '$SYS/#',
    '$share/g/inbox/p1',
    'a',
    'stream/p2',
  ]) {
    t.same(await granted([filter, 1]), [128], filter)
  }
  t.equal(client.publishes.length, 0)
  const asked: Array<[string, 0 | 1 | 2]> = [
    ['a', 1],
    ['inbox/p1', 2],
    ['inbox/p1', 1],
    ['inbox/p1/+', 1],
    ['stream/p1', 1],
    ['a', 0],
  ]
  t.same(await granted(...asked), [128, 1, 1, 128, 128, 128])
  await client.next('publish')
  t.same(await granted(['inbox/p1', 1]), [1], 'again')
  t.equal(client.publishes.length, 1, 'nothing is sent twice')
  t.match(node.counters.subacksRefused, { qos_0: 1, foreign: 2, other_mode: 2 })
})

void t.test('broker refusals: what breaks the protocol ends that connection alone', async (t) => {
  const node = await startNode(t)
  const witness = await RawClient.as(node.mqtt, 'witness', await node.token('witness'))
  await witness.subscribe('inbox/witness')
  const token = await node.token('p1')
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
  const subscribe = (topic: string): Packet => ({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })

  const before: Array<[string, Buffer]> = [
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['zeros', Buffer.alloc(2_000)],
    ['0xff', Buffer.alloc(2_000, 0xff)],
    ['SUBSCRIBE first', hex('8206 0001 0001 61 01')],
    ['a CONNECT of 200 MB', hex('10ffffff7f 0004 4d515454 04')],
    ['another protocol name', connectBytes('MQTX', 4)],
    ['a reserved connect flag', hex('100e 0004 4d515454 04 03 003c 0002 7031')],
    ['a client id longer than the packet', hex('100e 0004 4d515454 04 02 003c 00ff 7031')],
    ['password without username', hex('1012 0004 4d515454 04 42 003c 0002 7031 0002 7878')],
  ]
  for (const [what, bytes] of before) t.equal(await connack(node.mqtt, bytes), -1, what)

  const after: Array<[string, Packet | Buffer]> = [
    ['a second CONNECT', connectPacket('p1', token)],
    ['CONNACK', hex('20020000')],
    ['SUBSCRIBE with wrong flags', hex('8006 0001 0001 61 01')],
    ['SUBSCRIBE of nothing', hex('8202 0001')],
    ['SUBSCRIBE with packet id 0', hex('8206 0000 0001 61 01')],
    ['SUBSCRIBE with QoS 3', hex('8206 0001 0001 61 03')],
    ['SUBSCRIBE that is cut', hex('8204 0001 00ff')],
    ['a filter a+', subscribe('a+')],
    ['a filter a#', subscribe('a#')],
    ['a filter with NUL', subscribe('inbox/p1\0')],
    ['a filter of broken UTF-8', hex('8206 0001 0001 ff 01')],
    ['UNSUBSCRIBE of nothing', hex('a202 0001')],
    ['PUBLISH with QoS 3', hex('3605 0001 61 0001')],
    ['PUBREC', hex('5002 8001')],
    ['oversize SUBSCRIBE', hex('82ffff7f')],
    ['oversize PUBLISH', hex('30ffffff7f')],
    ['five length bytes', hex('30ffffffff7f')],
  ]
  for (const [what, packet] of after) {
    const client = await RawClient.as(node.mqtt, 'p1', token)
    client.send(packet)
    await client.untilClosed()
    t.same(
      client.packets.map(({ cmd }) => cmd),
      ['connack'],
      what,
    )
  }
  await until('only the witness is left', () => node.counters.sockets === 1)
  t.match(node.counters, { connections: 1, closes: { protocol_error: before.length + after.length } })
  const errors = Object.values(node.counters.protocolErrors).reduce((sum, n) => sum + n, 0)
  t.equal(errors, before.length + after.length, 'each is counted by its kind')
  await node.push('witness', 'still here')
  await witness.next('publish')
})

void t.test('broker refusals: a PUBLISH that is not allowed closes the connection and reaches nobody', async (t) => {
  const node = await startNode(t)
  const other = await RawClient.as(node.mqtt, 'p2', await node.token('p2'))
  await other.subscribe('inbox/p2')
  const token = await node.token('p1')
  for (const topic of ['inbox/p2', 'inbox/p1', 'uplink/p2/a', 'stream/p2/ack', '$SYS/x', 'a/b']) {
    for (const qos of [0, 1, 2] as const) {
      const client = await RawClient.as(node.mqtt, 'p1', token)
      client.send({ cmd: 'publish', topic, qos, messageId: 1, dup: false, retain: true, payload: 'x' })
      await client.untilClosed()
      t.same(
        client.packets.map(({ cmd }) => cmd),
        ['connack'],
        `${topic} ${qos}`,
      )
    }
  }
  t.match(node.counters.publishesDenied, { reserved: 6, foreign: 6, system: 3, no_grant: 3 })
  t.equal(node.counters.closes.publish_denied, 18)
  const quiet = await RawClient.as(node.mqtt, 'p1', token)
  quiet.send(Buffer.from([0x62, 2, 0, 1]))
  t.match(await quiet.next('pubcomp'), { messageId: 1 }, 'a PUBREL of a forgotten handshake is answered')
  t.equal(other.publishes.length, 0)
})

void t.test('broker refusals: a CONNECT that does not come whole in time', async (t) => {
  const node = await startNode(t, { broker: { limits: { connectTimeoutMs: 300, lingerMs: 100 } } })
  const silent = await RawClient.to(node.mqtt)
  const half = await RawClient.to(node.mqtt)
  half.send(connectBytes('MQTT', 4).subarray(0, 9))
  await silent.untilClosed(2_000)
  await half.untilClosed(2_000)
  t.equal(node.counters.closes.connect_timeout, 2)
})

void t.test('broker refusals: a socket that ends while it is being admitted keeps no claim', async (t) => {
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let asked = 0
  const node = await startNode(t, {
    couriers: (couriers) => ({
      async open(request) {
        const courier = await couriers.open(request)
        asked++
        await gate
        return courier
      },
    }),
  })
  const client = await RawClient.to(node.mqtt)
  client.send(connectPacket('p1', await node.token('p1')))
  await until('the claim', () => asked === 1)
  await client.end()
  await until('the socket', () => node.counters.sockets === 0)
  release()
  await until('the release', async () => (await node.mailbox.info('p1'))?.claim === null)
  t.match(node.counters.connects, { gone: 1, accepted: 0 })
  t.equal(node.couriers.size, 0)
})

void t.test('broker refusals: WebSocket handshakes', async (t) => {
  const node = await startNode(t)
  const open = (path: string, protocols: string[]): Promise<string> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${node.ws}${path}`, protocols)
      socket.on('open', () => {
        resolve(`open ${socket.protocol}`)
        socket.terminate()
      })
      socket.on('error', (error) => resolve(error.message))
    })
  t.equal(await open('/mqtt', ['mqtt']), 'open mqtt')
  t.equal(await open('/mqtt', ['x', 'mqtt']), 'open mqtt')
  t.match(await open('/mqtt', []), /400/)
  t.match(await open('/mqtt', ['mqttv3.1']), /400/)
  t.match(await open('/other', ['mqtt']), /404/)
  t.equal((await fetch(`http://127.0.0.1:${node.ws}/mqtt`)).status, 426)

  const socket = new WebSocket(`ws://127.0.0.1:${node.ws}/mqtt`, ['mqtt'])
  const code = new Promise<number>((resolve) => socket.on('close', resolve))
  socket.on('open', () => socket.send('text'))
  t.equal(await code, 1003, 'text frames [MQTT-6.0.0-1]')
  await until('all sockets to close', () => node.counters.sockets === 0)
})

void t.test('broker refusals: any garbage, and the node lives', async (t) => {
  const node: TestNode = await startNode(t)
  const token = await node.token('p1')
  let seed = 7
  const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x80000000
  for (let round = 0; round < 60; round++) {
    const bytes = Buffer.from(
      Uint8Array.from({ length: 1 + Math.floor(random() * 400) }, () => Math.floor(random() * 256)),
    )
    if (round % 2 === 0) {
      const client = await RawClient.as(node.mqtt, 'p1', token)
      client.send(bytes)
      await client.end()
    } else {
      const socket = connect({ host: '127.0.0.1', port: node.mqtt })
      socket.on('error', () => {})
      socket.end(bytes)
      await new Promise((resolve) => socket.on('close', resolve))
    }
  }
  await until('all sockets to close', () => node.counters.sockets === 0)
  t.equal(await connack(node.mqtt, connectPacket('p1', token)), 0)
})
