import t from 'tap'
import { ClientRig } from '../support/sdk/client-rig.js'
import { settle, TestStorage } from '../support/sdk/handling-rig.js'

/** What became of a promise. */
function outcome(promise: Promise<unknown>): Promise<string> {
  const settled = promise.then(
    () => 'stored',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  )
  return settle().then(() => Promise.race([settled, settle().then(() => 'waits')]))
}

const ids = (rig: ClientRig): readonly string[] => rig.world.now.uplinks.map(({ id }) => id)

void t.test('SDK uplink: it is stored when the server confirms it', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.answers = false
  const sent = rig.client.send('readings/door', { open: true }, { id: 'r-1' })
  t.equal(await outcome(sent), 'waits')
  t.match(rig.world.now.packets.at(-1), { cmd: 'publish', topic: 'stream/phone-1/uplink', qos: 1 })
  t.match(rig.world.now.uplinks, [{ channel: 'readings/door', id: 'r-1', contentType: 'application/json' }])
  t.equal(Buffer.from(rig.world.now.uplinks[0]?.payload ?? []).toString(), '{"open":true}')
  t.equal(rig.client.uplinkWaiting, 1)
  const packet = rig.world.now.packets.at(-1)
  rig.world.now.confirm(packet?.cmd === 'publish' ? packet.messageId : 0)
  t.equal(await outcome(sent), 'stored')
  t.equal(rig.client.uplinkWaiting, 0)
})

void t.test(
  'SDK uplink: what is sent offline goes in order when the device is online, also after a restart',
  async (t) => {
    const storage = new TestStorage()
    const rig = new ClientRig({ storage })
    const sent = ['a', 'b', 'c'].map((id) => rig.client.send('c', new Uint8Array(3), { id }))
    t.same(await Promise.all(sent.map(outcome)), ['waits', 'waits', 'waits'])
    await rig.client.close()
    t.same(await Promise.all(sent.map(outcome)), ['closed', 'closed', 'closed'])

    const next = new ClientRig({ storage })
    void next.client.send('c', 'text', { id: 'd' })
    await next.live()
    t.same(ids(next), ['a', 'b', 'c', 'd'])
    await settle()
    t.equal(next.client.uplinkWaiting, 0)
    await next.client.close()
    const last = await new ClientRig({ storage }).live()
    t.same(ids(last), [], 'what was stored is forgotten')
  },
)

void t.test('SDK uplink: what was not confirmed is sent again with the same id, with 16 in flight', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.answers = false
  for (let i = 0; i < 20; i++) rig.client.send('c', 'x', { id: `u${i}` }).catch(() => undefined)
  await settle()
  t.equal(ids(rig).length, 16)
  rig.world.now.cut()
  await rig.reconnects()
  await rig.live()
  await settle()
  t.same(
    ids(rig),
    Array.from({ length: 20 }, (_, i) => `u${i}`),
  )
})

void t.test('SDK uplink: one that brings the connection down again and again is not sent at once', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.answers = false
  void rig.client.send('c', 'x').catch(() => undefined)
  const waits: number[] = []
  for (let i = 0; i < 5; i++) {
    await settle()
    const before = rig.world.clock.now()
    while (rig.world.now.uplinks.length === 0) await rig.advance(100)
    waits.push(Math.round((rig.world.clock.now() - before) / 1_000))
    rig.world.now.cut()
    await rig.reconnects()
    rig.world.now.answers = false
    rig.world.now.open().accept().welcome()
  }
  t.same(waits, [0, 0, 1, 2, 4])
})

void t.test('SDK uplink: the queue is bounded, by count and bytes', async (t) => {
  const rejects = new ClientRig({ uplink: { max: 2, maxBytes: 100, maxPayloadBytes: 60 } })
  const sent = [1, 2, 3].map((n) => rejects.client.send('c', new Uint8Array(n)))
  t.same(await Promise.all(sent.map(outcome)), ['waits', 'waits', 'uplink_full'])
  const bytes = new ClientRig({ uplink: { maxBytes: 100, maxPayloadBytes: 60 } })
  const large = [60, 41].map((n) => bytes.client.send('c', new Uint8Array(n)))
  t.same(await Promise.all(large.map(outcome)), ['waits', 'uplink_full'])
  t.equal(await outcome(bytes.client.send('c', new Uint8Array(61))), 'payload_too_large')

  const drops = new ClientRig({ uplink: { max: 2, overflow: 'drop-oldest' } })
  const kept = ['a', 'b', 'c'].map((id) => drops.client.send('c', 'x', { id }))
  t.same(await Promise.all(kept.map(outcome)), ['uplink_dropped', 'waits', 'waits'])
  t.equal(drops.errors[0]?.code, 'uplink_dropped')
  await drops.live()
  drops.world.now.answers = false
  const flying = await new ClientRig({ uplink: { max: 1, overflow: 'drop-oldest' } }).live()
  flying.world.now.answers = false
  const first = flying.client.send('c', 'x')
  t.equal(await outcome(flying.client.send('c', 'y')), 'uplink_full', 'what is on its way is not dropped')
  t.equal(await outcome(first), 'waits')
})

void t.test('SDK uplink: the same id is the same uplink', async (t) => {
  const rig = new ClientRig()
  const both = [rig.client.send('c', 'x', { id: 'a' }), rig.client.send('c', 'x', { id: 'a' })]
  await settle()
  t.equal(rig.client.uplinkWaiting, 1)
  await rig.live()
  t.same(await Promise.all(both.map(outcome)), ['stored', 'stored'])
  t.same(ids(rig), ['a'])
  await rig.client.send('c', 'x')
  await rig.client.send('c', 'x')
  t.equal(new Set(ids(rig)).size, 3, 'without one they are different')
})

void t.test('SDK uplink: a signal takes back what has not left', async (t) => {
  const rig = new ClientRig()
  const abort = new AbortController()
  const sent = rig.client.send('c', 'x', { signal: abort.signal })
  await settle()
  abort.abort(new Error('changed my mind'))
  await t.rejects(sent, /changed my mind/)
  t.equal(rig.client.uplinkWaiting, 0)
  await t.rejects(rig.client.send('c', 'x', { signal: AbortSignal.abort(new Error('before')) }), /before/)
  await rig.live()
  rig.world.now.answers = false
  const second = new AbortController()
  const left = rig.client.send('c', 'x', { signal: second.signal })
  await settle()
  second.abort(new Error('too late'))
  await t.rejects(left, /too late/)
  t.equal(rig.client.uplinkWaiting, 1, 'what is on its way stays until it is confirmed')
})

void t.test('SDK uplink: each wrong argument is refused by its name', async (t) => {
  const rig = new ClientRig()
  const send = (...args: readonly unknown[]): Promise<unknown> =>
    Reflect.apply(rig.client.send.bind(rig.client), null, args)
  for (const channel of ['', '/a', 'a/+', '#', 'a\0', 'x'.repeat(1_025), 7, undefined]) {
    await t.rejects(send(channel, 'x'), { code: 'bad_option', message: /channel/ }, JSON.stringify(channel))
  }
  for (const id of ['', 'x'.repeat(257), 7, null]) {
    await t.rejects(send('c', 'x', { id }), { code: 'bad_option', message: /id/ }, JSON.stringify(id))
  }
  for (const contentType of ['', 'x'.repeat(256), 7]) {
    await t.rejects(send('c', 'x', { contentType }), { code: 'bad_option', message: /contentType/ })
  }
  const circle: { self?: unknown } = {}
  circle.self = circle
  for (const payload of [undefined, () => undefined, 7n, circle]) {
    await t.rejects(send('c', payload), { code: 'bad_option', message: /payload/ })
  }
  t.equal(rig.client.uplinkWaiting, 0)
})

void t.test('SDK uplink: a storage that fails ends the client, and the promise', async (t) => {
  const storage = new TestStorage()
  const rig = await new ClientRig({ storage }).live()
  rig.world.now.answers = false
  storage.fails = new Error('disk full')
  t.equal(await outcome(rig.client.send('c', 'x')), 'storage_failed')
  t.equal(rig.ended?.code, 'storage_failed')
})

void t.test('SDK uplink: one over which the server ends the connection for good is given up', async (t) => {
  const storage = new TestStorage()
  const rig = await new ClientRig({ storage }).live()
  rig.world.now.answers = false
  const sent = ['a', 'b'].map((id) => rig.client.send('c', 'x', { id }))
  await settle()
  rig.world.now.bye('protocol_error')
  t.same(await Promise.all(sent.map(outcome)), ['uplink_refused', 'protocol_error'])
  const next = await new ClientRig({ storage }).live()
  t.same(ids(next), ['b'])
})
