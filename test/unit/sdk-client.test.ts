import t from 'tap'
import { PostriderError } from '../../sdk/device/errors.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import { E1, E2, LOG, settle, TestStorage } from '../support/sdk/handling-rig.js'

void t.test('SDK client: it greets in one go, without waiting for CONNACK', async (t) => {
  const rig = new ClientRig({ window: 10, maxFrameBytes: 20_000, keepAliveSeconds: 30 })
  t.equal(rig.client.state, 'connecting')
  await settle()
  rig.world.now.open()
  t.match(rig.world.now.packets, [
    { cmd: 'connect', clientId: 'phone-1', username: 'phone-1', password: Buffer.from('secret'), keepalive: 30 },
    { cmd: 'subscribe', subscriptions: [{ topic: 'stream/phone-1', qos: 1 }] },
    { cmd: 'publish', topic: 'stream/phone-1/hello', qos: 0 },
  ])
  t.match(rig.world.now.hello, { v: 1, window: 10, maxFrameBytes: 20_000, sdk: /^postrider-js\/\d/ })
  t.equal(rig.world.now.hello?.cursors.size, 0)
  rig.world.now.accept().welcome(0, 2)
  await settle()
  t.equal(rig.client.state, 'catching-up')
  rig.world.now.data(0, [1, 2])
  await settle()
  t.equal(rig.client.state, 'live')
  t.same(rig.handled, [1, 2])
  t.equal(rig.world.now.count('puback'), 2, 'received: at once')
  t.equal(rig.world.now.acked, undefined, 'handled: in a batch')
  await rig.advance(200)
  t.equal(rig.world.now.acked, 2)
})

void t.test('SDK client: 16 messages are acknowledged without waiting, and high priority at once', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.data(
    0,
    Array.from({ length: 16 }, (_, i) => i + 1),
  )
  await rig.advance(0)
  t.equal(rig.world.now.acked, 16)
  rig.world.now.data(16, [17], E1, { flags: 1 })
  await settle()
  t.equal(rig.world.now.acked, 17)
})

void t.test(
  'SDK client: the next hello says what was handled, and gaps and resets reach the application',
  async (t) => {
    const storage = new TestStorage()
    const rig = await new ClientRig({ storage }).live()
    rig.world.now.data(0, [1]).gap(2, 3).data(3, [4])
    await rig.advance(200)
    t.same(rig.gaps, [{ log: LOG, epoch: E1, from: 2, to: 3, reason: 'overflow' }])
    rig.world.now.cut()
    await rig.reconnects()
    rig.world.now.open()
    t.same(rig.world.now.hello?.cursors.get(LOG), [E1, 4])
    rig.world.now.accept().welcome(2, 2, E2).reset(2, 2, E2)
    rig.world.now.data(2, [3], E2)
    await settle()
    t.same(rig.resets, [{ log: LOG, epoch: E2, cursor: 2, head: 2 }])
    t.same(rig.handled, [1, 4, 3])
    await rig.client.close()
    const next = new ClientRig({ storage })
    await settle()
    t.same(next.world.now.open().hello?.cursors.get(LOG), [E2, 3], 'after a restart too')
  },
)

void t.test('SDK client: a frame that is out of order is answered by one reconnect, then it is the end', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.data(5, [6])
  await settle()
  t.equal(rig.client.state, 'waiting')
  t.equal(rig.world.now.over, 'cut')
  t.equal(rig.errors[0]?.code, 'sequence_broken')
  await rig.reconnects()
  await rig.live()
  rig.world.now.gap(1, 2).data(0, [1])
  await settle()
  t.equal(rig.ended?.code, 'stream_broken')
  t.same(rig.handled, [])
})

void t.test('SDK client: what is no frame, or comes when it may not, is named', async (t) => {
  const cases: Readonly<Record<string, (rig: ClientRig) => void>> = {
    'not MessagePack': (rig) => rig.world.now.frame(Uint8Array.of(0xc1)),
    'no packet': (rig) => rig.world.now.bytes(Uint8Array.of(0xf0, 0)),
    'another topic': (rig) =>
      rig.world.now.send({ cmd: 'publish', topic: 'x', payload: Buffer.alloc(0), qos: 0, dup: false, retain: false }),
    'a second welcome': (rig) => rig.world.now.welcome(),
    'a second CONNACK': (rig) => rig.world.now.send({ cmd: 'connack', returnCode: 0, sessionPresent: false }),
    'a log that was not named': (rig) =>
      rig.world.now.frame(
        Buffer.from(
          '85a174a464617461a36c6f67a3673a78a565706f6368a165a470726576 00a86d65737361676573 9198 01 00 c0 00 c0 c0 c0 c400'.replaceAll(
            ' ',
            '',
          ),
          'hex',
        ),
      ),
  }
  for (const [what, happen] of Object.entries(cases)) {
    const rig = await new ClientRig().live()
    happen(rig)
    await settle()
    t.equal(rig.client.state, 'waiting', what)
    t.match(rig.errors[0]?.code, /^(malformed_frame|sequence_broken)$/, what)
  }
  const early = new ClientRig()
  await settle()
  early.world.now.open().accept().data(0, [1])
  t.equal(early.errors[0]?.code, 'sequence_broken', 'data before welcome')
  const first = new ClientRig()
  await settle()
  first.world.now.open().welcome()
  t.match(first.errors[0], { code: 'malformed_frame', message: /publish before CONNACK/ })
})

void t.test('SDK client: a bye ends the connection as it says', async (t) => {
  const gone = await new ClientRig().live()
  gone.world.now.bye('taken_over')
  await settle()
  t.equal(gone.ended?.code, 'taken_over')
  t.same(gone.states, ['live', 'closed'].toSpliced(0, 0, 'catching-up'))

  const drained = await new ClientRig().live()
  drained.world.now.bye('draining')
  await settle()
  t.equal(drained.client.state, 'waiting')
  t.equal(drained.world.clock.next, 250)

  const unwelcome = new ClientRig()
  await settle()
  unwelcome.world.now.open().accept().bye('overload')
  await settle()
  t.equal(unwelcome.client.state, 'waiting')
})

void t.test('SDK client: a subscription that is refused is the end', async (t) => {
  const rig = new ClientRig()
  await settle()
  rig.world.now.open().send({ cmd: 'connack', returnCode: 0, sessionPresent: false })
  rig.world.now.send({ cmd: 'suback', messageId: 1, granted: [0x80] })
  await settle()
  t.equal(rig.ended?.code, 'unsupported_server')
})

void t.test('SDK client: a server that says nothing is given up', async (t) => {
  const rig = new ClientRig()
  await settle()
  await rig.advance(15_000)
  t.equal(rig.errors[0]?.code, 'connect_timeout', 'while opening')
  await rig.reconnects()
  rig.world.now.open().accept()
  await rig.advance(15_000)
  t.equal(rig.errors[1]?.code, 'connect_timeout', 'before the welcome')
  t.equal(rig.world.now.over, 'cut')

  const half = await new ClientRig({ keepAliveSeconds: 30 }).live()
  half.world.now.answers = false
  await half.advance(29_999)
  t.equal(half.world.now.count('pingreq'), 0)
  await half.advance(1)
  t.equal(half.world.now.count('pingreq'), 1)
  await half.advance(9_999)
  t.equal(half.client.state, 'live')
  await half.advance(1)
  t.equal(half.errors[0]?.code, 'ping_timeout')
  t.equal(half.client.state, 'waiting')
})

void t.test('SDK client: it pings only when it is quiet, sooner while messages wait to be handled', async (t) => {
  const rig = await new ClientRig({ handler: () => new Promise(() => undefined) }).live()
  for (let i = 0; i < 10; i++) await rig.advance(60_000)
  t.equal(rig.world.now.count('pingreq'), 10)
  rig.world.now.data(0, [1])
  for (let i = 0; i < 6; i++) await rig.advance(20_000)
  t.equal(rig.world.now.count('pingreq'), 16)
})

void t.test('SDK client: an ack that is not confirmed in time ends the connection', async (t) => {
  const rig = await new ClientRig({ ackTimeoutMs: 5_000 }).live()
  rig.world.now.answers = false
  rig.world.now.data(0, [1])
  await rig.advance(200)
  t.equal(rig.world.now.acked, 1)
  await rig.advance(4_999)
  t.equal(rig.client.state, 'live')
  await rig.advance(1)
  t.equal(rig.errors[0]?.code, 'ack_timeout')
})

void t.test('SDK client: a word of the network makes it look at once', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.network('visible')
  t.equal(rig.world.now.count('pingreq'), 1)
  rig.world.network('offline')
  rig.world.now.answers = false
  await rig.advance(1)
  rig.world.network('offline')
  await rig.advance(10_000)
  t.equal(rig.errors[0]?.code, 'ping_timeout')
  rig.world.network('online')
  t.equal(rig.world.connections.length, 2, 'without waiting')
  await rig.client.close()
  t.equal(rig.world.watchers, 0)
})

void t.test('SDK client: several URLs, beginning with the one that worked last', async (t) => {
  const storage = new TestStorage()
  const urls = ['mqtt://a', 'ws://b/mqtt', 'wss://c/mqtt']
  const rig = new ClientRig({ storage, urls })
  await settle()
  rig.world.now.cut()
  await settle()
  await rig.live()
  t.same(
    rig.world.connections.map(({ url }) => url.hostname),
    ['a', 'b'],
  )
  await rig.client.close()
  const next = new ClientRig({ storage, urls })
  await settle()
  t.equal(next.world.now.url.hostname, 'b')
  for (let i = 0; i < 3; i++) {
    next.world.now.cut()
    await settle()
  }
  t.equal(next.client.state, 'waiting')
  t.same(
    next.world.connections.map(({ url }) => url.hostname),
    ['b', 'c', 'a'],
  )
})

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const jwt = (iat: number, exp: number): string => `${base64url({ alg: 'HS256' })}.${base64url({ iat, exp })}.x`

void t.test('SDK client: a token is renewed before it expires, by the server’s clock', async (t) => {
  const asked: string[] = []
  // The server lives in 1970, and tokens live for an hour.
  const rig = new ClientRig({
    keepAliveSeconds: 65_535,
    getToken: ({ reason }) => {
      asked.push(reason)
      return jwt(0, asked.length * 3_600)
    },
  })
  await rig.live()
  t.same(asked, ['first'])
  await rig.advance(3_300_000 - 1)
  t.same(asked, ['first'])
  rig.world.random = 0
  await rig.advance(150_000)
  t.same(asked, ['first', 'expiring'])
  t.equal(rig.world.connections[0]?.over, 'disconnect', 'in good order')
  t.match(rig.world.now.open().packets[0], { password: Buffer.from(jwt(0, 7_200)) })
  rig.world.now.accept(4)
  await settle()
  t.equal(rig.ended?.code, 'unauthorized', 'a fresh one that is refused is the end')
})

void t.test('SDK client: getToken may fail, be slow, or give nonsense, and is asked again', async (t) => {
  const answers: ReadonlyArray<() => string | Promise<string>> = [
    () => Promise.reject(new Error('no network')),
    () => {
      throw new Error('at once')
    },
    () => new Promise(() => undefined),
    () => '',
    () => JSON.parse('17'),
    () => 'good',
  ]
  let asked = 0
  const signals: AbortSignal[] = []
  const rig = new ClientRig({
    getToken: ({ signal }) => {
      signals.push(signal)
      return answers[asked++]?.() ?? null
    },
  })
  for (let i = 0; i < 6; i++) await rig.reconnects()
  t.equal(asked, 6)
  t.same(
    rig.errors.map(({ code }) => code),
    Array.from({ length: 5 }, () => 'token_failed'),
  )
  t.same(
    signals.map(({ aborted }) => aborted),
    [false, false, true, false, false, false],
  )
  t.match(rig.world.now.open().packets[0], { password: Buffer.from('good') })

  const over = new ClientRig({ getToken: () => Promise.reject(new PostriderError('unauthorized', 'logged out')) })
  await settle()
  t.match(over.ended, { code: 'unauthorized', message: /logged out/ })

  const waiting = new ClientRig({ getToken: ({ signal }) => (signals.push(signal), new Promise(() => undefined)) })
  await settle()
  await waiting.client.close()
  t.ok(signals.at(-1)?.aborted, 'not wanted any more')
})

void t.test('SDK client: null is no password', async (t) => {
  const rig = new ClientRig({ getToken: () => null })
  await settle()
  t.notOk(
    'password' in (rig.world.now.open().packets[0] ?? {}) &&
      JSON.stringify(rig.world.now.packets[0]).includes('"password":"'),
  )
  t.notMatch(rig.world.now.packets[0], { username: 'phone-1' })
})
