import t from 'tap'
import { EventHub } from '../../sdk/device/events.js'
import type { Message } from '../../sdk/device/message.js'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import { E1, LOG, settle, TestStorage } from '../support/sdk/handling-rig.js'

void t.test('SDK client: closing waits for the running handler, acknowledges and disconnects', async (t) => {
  let finish = (): void => undefined
  const rig = await new ClientRig({
    handler: () =>
      new Promise<void>((resolve) => {
        finish = resolve
      }),
  }).live()
  rig.world.now.data(0, [1, 2])
  await settle()
  const closed = rig.client.close()
  await settle()
  t.equal(rig.ended, undefined)
  finish()
  t.equal(await closed, null)
  t.equal(rig.world.now.acked, 1)
  t.equal(rig.world.now.packets.at(-1)?.cmd, 'disconnect')
  t.equal(rig.client.state, 'closed')
  t.equal(rig.world.clock.next, null, 'no timer is left')
  await t.rejects(rig.client.send('c', 'x'), { code: 'closed' })
  t.equal(await rig.client.close(), null, 'twice is no other')
})

void t.test(
  'SDK client: a ping that waits for its answer is not sent again, and nothing is busy meanwhile',
  async (t) => {
    const rig = await new ClientRig({ keepAliveSeconds: 1, pingTimeoutMs: 10_000 }).live()
    rig.world.now.answers = false
    for (let second = 1; second < 10; second++) {
      await rig.advance(1_000)
      t.equal(rig.world.now.count('pingreq'), 1)
      const { next } = rig.world.clock
      t.ok(next !== null && next >= 900, `the next timer runs out in ${next} ms`)
    }
    await rig.advance(2_000)
    t.match(rig.errors, [{ code: 'ping_timeout' }])
  },
)

void t.test('SDK client: a token that no CONNECT can carry is refused', async (t) => {
  const token = 'x'.repeat(65_536)
  t.throws(() => new ClientRig({ token }), { code: 'bad_option', message: /token/ })
  const rig = new ClientRig({ getToken: () => token })
  await settle()
  t.match(rig.errors, [{ code: 'token_failed' }])
  t.equal(rig.world.connections.length, 0)
})

void t.test('SDK client: a handler that closes the client is waited for like any other', async (t) => {
  let finish = (): void => undefined
  const rig: ClientRig = new ClientRig({
    handler: async () => {
      void rig.client.close()
      await new Promise<void>((resolve) => {
        finish = resolve
      })
    },
  })
  await rig.live()
  rig.world.now.data(0, [1, 2])
  await settle()
  t.equal(rig.ended, undefined)
  finish()
  t.equal(await rig.client.closed, null)
  t.equal(rig.world.now.acked, 1)
})

void t.test('SDK client: half of the window is acknowledged at once, while the other half waits', async (t) => {
  const rig = await new ClientRig({ window: 100 }).live()
  rig.world.now.data(
    0,
    Array.from({ length: 70 }, (_, i) => i + 1),
  )
  await settle()
  t.equal(rig.handled.length, 70)
  t.equal(rig.world.now.acked, 50)
  await rig.advance(0)
  t.equal(rig.world.now.acked, 70)
})

void t.test('SDK client: closing gives a handler so much time, then it is told', async (t) => {
  let aborted = false
  const rig = await new ClientRig({
    closeTimeoutMs: 1_000,
    handler: (_message, { signal }) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))),
  }).live()
  rig.world.now.data(0, [1])
  await settle()
  void rig.client.close()
  await rig.advance(1_000)
  await rig.advance(0)
  t.equal(rig.ended, null)
  t.ok(aborted)
  t.equal(rig.world.now.acked, undefined)
})

void t.test('SDK client: it can be closed at any moment, and by a signal', async (t) => {
  const atOnce = new ClientRig()
  t.equal(await atOnce.client.close(), null)
  t.equal(atOnce.world.connections.length, 0)
  const abort = new AbortController()
  const rig = await new ClientRig({ signal: abort.signal }).live()
  abort.abort()
  await settle()
  t.equal(rig.ended, null)
  const before = new ClientRig({ signal: AbortSignal.abort() })
  await settle()
  t.equal(before.ended, null)
})

void t.test('SDK client: a platform that throws instead of connecting is an attempt that failed', async (t) => {
  const rig = new ClientRig({ backoff: { firstMs: 100 } })
  const { platform } = rig.world
  const { open } = platform
  Object.assign(platform, {
    open: () => {
      throw new Error('not here')
    },
  })
  await settle()
  t.match(rig.errors, [{ code: 'connect_failed', message: /not here/ }])
  t.equal(rig.client.state, 'waiting')
  Object.assign(platform, { open })
  await rig.advance(100)
  await rig.live()
  t.equal(rig.client.state, 'live')
})

const hangs = (): Promise<never> => new Promise(() => undefined)

for (const method of ['load', 'write', 'close'] as const) {
  void t.test(`SDK client: closing does not wait without end for a storage whose ${method} hangs`, async (t) => {
    const storage = new TestStorage()
    Object.assign(storage, { [method]: hangs })
    const rig = new ClientRig({ storage, closeTimeoutMs: 1_000 })
    if (method === 'load') await settle()
    else await rig.live()
    const sent = rig.client.send('c', 'x').then(
      () => null,
      (error: unknown) => error,
    )
    void rig.client.close()
    void rig.client.close()
    await rig.advance(999)
    t.equal(rig.ended, undefined)
    await rig.advance(1_001)
    t.equal(rig.ended?.code, 'storage_failed')
    t.equal(rig.states.at(-1), 'closed')
    // Else it was on its way, and the server has it.
    if (method === 'load') t.match(await sent, { code: 'storage_failed' })
  })
}

void t.test('SDK client: a storage that was given up while it was read is let go when it answers', async (t) => {
  let answer = (): void => undefined
  let closed = 0
  const rig = new ClientRig({
    closeTimeoutMs: 1_000,
    storage: {
      load: () => new Promise((resolve) => (answer = () => resolve(new Map()))),
      write: () => Promise.resolve(),
      close: () => Promise.resolve(void closed++),
    },
  })
  void rig.client.close()
  await rig.advance(1_000)
  t.equal(rig.ended?.code, 'storage_failed')
  t.equal(closed, 0)
  answer()
  await settle()
  t.equal(closed, 1)
  t.equal(rig.world.connections.length, 0)
})

void t.test('SDK client: a storage that fails is the end, whatever fails in it', async (t) => {
  const unreadable = new TestStorage()
  unreadable.fails = new Error('no permission')
  const rig = new ClientRig({ storage: unreadable })
  await settle()
  t.equal(rig.ended?.code, 'storage_failed')
  t.equal(rig.world.connections.length, 0, 'nothing was connected')
  await t.rejects(rig.client.send('c', 'x'), { code: 'storage_failed' })

  const storage = new TestStorage()
  const later = await new ClientRig({ storage }).live()
  storage.fails = new Error('disk full')
  later.world.now.data(0, [1])
  await settle()
  t.equal(later.ended?.code, 'storage_failed')
  t.equal(later.world.now.acked, undefined)
  t.same(later.handled, [])
})

void t.test('SDK client: a loop is the handler; asking for the next message handles the last', async (t) => {
  const rig = await new ClientRig({}, true).live(0, 4)
  rig.world.now.data(0, [1, 2, 3, 4])
  await rig.advance(1_000)
  t.equal(rig.client.state, 'catching-up', 'nobody takes them')
  const seen: string[] = []
  for await (const message of rig.client) {
    seen.push(`${message.seq} ${message.attempt}`)
    if (message.seq === 2) break
  }
  await rig.advance(200)
  t.equal(rig.world.now.acked, 1, 'the one that it left with is not handled')
  for await (const message of rig.client) {
    seen.push(`${message.seq} ${message.attempt}`)
    if (message.seq === 3) {
      message.ack()
      break
    }
  }
  t.same(seen, ['1 1', '2 1', '2 2', '3 1'])
  await rig.advance(200)
  t.equal(rig.world.now.acked, 3)
  const rest: number[] = []
  const loop = (async () => {
    for await (const message of rig.client) rest.push(message.seq)
  })()
  await settle()
  t.throws(() => rig.client[Symbol.asyncIterator](), { code: 'bad_option' }, 'one loop at a time')
  await rig.client.close()
  await loop
  t.same(rest, [4])
})

void t.test('SDK client: a loop throws the error that ended the client', async (t) => {
  const rig = await new ClientRig({}, true).live()
  const loop = (async () => {
    for await (const message of rig.client) t.fail(message.key)
  })()
  await settle()
  rig.world.now.bye('revoked')
  await t.rejects(loop, { code: 'revoked' })
  t.throws(() => new ClientRig().client[Symbol.asyncIterator](), { code: 'bad_option' }, 'there is a handler')
})

void t.test('SDK client: a message says what it is', async (t) => {
  let seen: Message | undefined
  const rig = await new ClientRig({ handler: (message) => void (seen = message) }).live()
  rig.world.now.data(0, [1], E1, {
    at: 5,
    expiresAt: 9,
    flags: 3,
    dedupId: 'order-1',
    contentType: 'application/json',
    attributes: [['__proto__', 'x']],
    payload: Buffer.from('{"a":1}'),
  })
  await settle()
  t.match(seen, {
    key: `${LOG}/${E1}/1`,
    log: LOG,
    epoch: E1,
    seq: 1,
    at: 5,
    expiresAt: 9,
    highPriority: true,
    redelivered: true,
    dedupId: 'order-1',
    contentType: 'application/json',
    attempt: 1,
  })
  t.equal(seen?.attributes.get('__proto__'), 'x')
  t.same(seen?.json(), { a: 1 })
})

void t.test('SDK client: parked messages are kept, tried again and forgotten', async (t) => {
  const storage = new TestStorage()
  const options = {
    storage,
    poison: 'park' as const,
    retry: { attempts: 1 },
    handler: (message: Message) => Promise.reject(new Error(`not ${message.seq}`)),
  }
  const rig = await new ClientRig(options).live()
  rig.world.now.data(0, [1, 2])
  await settle()
  t.same(
    (await rig.client.parked()).map(({ message, error }) => [message.seq, message.text(), error]),
    [
      [1, 'm1', 'not 1'],
      [2, 'm2', 'not 2'],
    ],
  )
  await rig.client.close()
  const next = await new ClientRig(options).live(2)
  const [first, second] = (await next.client.parked()).map(({ message }) => message.key)
  await t.rejects(next.client.retryParked(first ?? ''), /not 1/)
  await next.client.retryParked(first ?? '', (message) => t.equal(message.attempt, 2))
  t.ok(await next.client.removeParked(second ?? ''))
  t.notOk(await next.client.removeParked(second ?? ''))
  t.same(await next.client.parked(), [])
  await next.client.close()
  const last = await new ClientRig(options).live(2)
  t.same(await last.client.parked(), [])
})

void t.test('SDK client: listeners come and go; one that throws disturbs nobody', async (t) => {
  const uncaught: unknown[] = []
  const hub = new EventHub((error) => uncaught.push(error))
  const seen: number[] = []
  hub.on('gap', () => {
    throw new Error('of the application')
  })
  const off = hub.on('gap', ({ from }) => seen.push(from))
  const event = { log: LOG, epoch: E1, from: 1, to: 2, reason: 'overflow' as const }
  hub.emit('gap', event)
  off()
  hub.emit('gap', event)
  t.same(seen, [1])
  t.equal(uncaught.length, 2)
  const { client } = new ClientRig()
  const on = (...args: readonly unknown[]): unknown => Reflect.apply(client.on.bind(client), null, args)
  t.throws(() => on('nothing', () => undefined), { code: 'bad_option' })
  t.throws(() => on('gap', 'no function'), { code: 'bad_option' })
})

void t.test('SDK client: a memory storage goes from one client to the next', async (t) => {
  const storage = memoryStorage()
  const first = await new ClientRig({ storage }).live()
  first.world.now.data(0, [1, 2])
  await settle()
  await first.client.close()
  const second = new ClientRig({ storage })
  await settle()
  t.same(second.world.now.open().hello?.cursors.get(LOG), [E1, 2])
})

void t.test('SDK client: ready when it is live; told when it never will be', async (t) => {
  const rig = new ClientRig()
  const ready = rig.client.ready()
  await rig.live(0, 1)
  let done = false
  void ready.then(() => (done = true))
  await settle()
  t.notOk(done, 'something waits')
  rig.world.now.data(0, [1])
  await ready
  await rig.client.ready()
  await rig.client.close()
  await t.rejects(rig.client.ready(), { code: 'closed' })

  const refused = new ClientRig()
  const never = t.rejects(refused.client.ready(), { code: 'unauthorized' })
  await settle()
  refused.world.now.open().accept(4)
  await never
  await t.rejects(refused.client.ready(), { code: 'unauthorized' })
  t.equal(refused.client.lastError?.code, 'unauthorized')

  const patient = new ClientRig()
  await t.rejects(patient.client.ready(AbortSignal.abort(new Error('enough'))), /enough/)
  const abort = new AbortController()
  const waiting = t.rejects(patient.client.ready(abort.signal), /enough/)
  abort.abort(new Error('enough'))
  await waiting
})

void t.test('SDK client: woken, it does not wait any longer, and asks a connection whether it stands', async (t) => {
  const rig = await new ClientRig().live()
  t.equal(rig.client.lastError, null)
  rig.client.wake()
  await settle()
  t.equal(rig.world.now.count('pingreq'), 1)
  rig.world.now.cut()
  await settle()
  t.equal(rig.client.state, 'waiting')
  t.equal(rig.client.lastError?.code, 'connection_lost')
  rig.client.wake()
  t.equal(rig.client.state, 'connecting')
  t.equal(rig.world.connections.length, 2)
  await rig.client.close()
  rig.client.wake()
  t.equal(rig.client.state, 'closed')
  t.equal(rig.client.lastError, null, 'it was closed')
})
