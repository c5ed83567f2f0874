import t from 'tap'
import { encodeAck } from '../../protocol/frames/ack.js'
import { encodeHello } from '../../protocol/frames/hello.js'
import { encodeUplink } from '../../protocol/frames/uplink.js'
import { vectorFiles } from '../support/frames/vectors.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { StreamDevice } from '../support/stream/stream-device.js'

const ERROR = { t: 'bye', code: 'protocol_error', reconnect: 'never', minMs: 0, maxMs: 0 }
const HELLO = encodeHello({ cursors: new Map(), window: 8, maxFrameBytes: 16_384, sdk: '' })

/** A stream device whose hello was answered. */
async function greeted(node: TestNode, device: string): Promise<StreamDevice> {
  return (await StreamDevice.open(node, device)).welcomed()
}

void t.test('stream refusals: every malformed frame is answered by bye, whatever field is wrong', async (t) => {
  const node = await startNode(t)
  const witness = await greeted(node, 'witness')
  let count = 0
  for (const { frame, direction, invalid } of vectorFiles()) {
    if (direction === 'server') continue
    for (const { name, bytes } of invalid) {
      if (bytes.length > 20_000) continue // one such is enough, below
      const device = await StreamDevice.connect(node, 'p1')
      device.subscribe()
      const topic = frame === 'any' ? 'ack' : frame
      if (topic !== 'hello') device.hello()
      device.control(topic, bytes)
      const bye = await device.bye()
      if (bye?.code !== 'protocol_error') t.fail(`${frame}: ${name}`, { frames: device.words })
      count++
    }
  }
  t.ok(count > 150, `${count} frames`)
  t.equal(node.counters.protocolErrors.bad_frame, count)
  await node.push('witness', 'still there')
  await witness.has(1)
  await witness.raw.end()
})

void t.test('stream refusals: frames of the server are not taken from a device', async (t) => {
  const node = await startNode(t)
  for (const { frame, direction, valid } of vectorFiles()) {
    if (direction !== 'server') continue
    const device = await greeted(node, 'p1')
    device.control('ack', valid[0]?.bytes ?? new Uint8Array())
    t.strictSame(await device.bye(), ERROR, frame)
  }
})

void t.test('stream refusals: a frame on the topic of another one', async (t) => {
  const node = await startNode(t)
  const frames = {
    hello: HELLO,
    ack: encodeAck(new Map([['d:p1', ['e', 1]]])),
    uplink: encodeUplink({ channel: 'a', id: 'b', contentType: null, payload: new Uint8Array() }),
  }
  for (const topic of ['hello', 'ack', 'uplink'] as const) {
    for (const frame of ['hello', 'ack', 'uplink'] as const) {
      if (topic === frame) continue
      const device = await StreamDevice.connect(node, 'p1')
      device.subscribe()
      device.control(topic, frames[frame])
      t.strictSame(await device.bye(), ERROR, `${frame} on ${topic}`)
    }
  }
  t.equal(node.counters.protocolErrors.bad_frame, 6)
})

void t.test('stream refusals: frames that do not belong there', async (t) => {
  const node = await startNode(t)
  const ack = encodeAck(new Map([['d:p1', ['epochAAAAAA', 1]]]))
  const cases: ReadonlyArray<readonly [string, (device: StreamDevice) => void]> = [
    ['a second hello', (d) => (d.subscribe(), d.hello(), d.hello())],
    ['an ack before the hello', (d) => (d.subscribe(), d.control('ack', ack))],
  ]
  for (const [name, act] of cases) {
    const device = await StreamDevice.connect(node, 'p1')
    act(device)
    t.strictSame(await device.bye(), ERROR, name)
  }
  const unsubscribed = await StreamDevice.connect(node, 'p1')
  unsubscribed.hello()
  t.equal(await unsubscribed.bye(), undefined, 'who is not subscribed is sent nothing')
  const plain = await StreamDevice.connect(node, 'p1')
  await plain.raw.subscribe('inbox/p1')
  plain.hello()
  t.equal(await plain.bye(), undefined)
  t.equal(node.counters.protocolErrors.unexpected_frame, 4)
})

void t.test('stream refusals: retained control frames, and QoS 2', async (t) => {
  const node = await startNode(t)
  const retained = await greeted(node, 'p1')
  retained.control('ack', encodeAck(new Map([['d:p1', ['e', 1]]])), 1, { retain: true })
  t.strictSame(await retained.bye(), ERROR)
  const exactly = await greeted(node, 'p1')
  exactly.control('ack', encodeAck(new Map([['d:p1', ['e', 1]]])), 1, { qos: 2 })
  t.strictSame(await exactly.bye(), ERROR)
  t.match(node.counters.publishesDenied, { qos_2: 1 })
})

void t.test('stream refusals: another device’s stream', async (t) => {
  const node = await startNode(t)
  const other = await greeted(node, 'p2')
  await node.push('p2', 'secret')
  for (const topic of [
    'stream/p2/hello',
    'stream/p2/ack',
    'stream/p2/uplink',
    'stream/p2',
    'stream/p1/other',
    'stream/p1',
  ]) {
    const device = await greeted(node, 'p1')
    device.raw.send({
      cmd: 'publish',
      topic,
      qos: 1,
      messageId: 9,
      dup: false,
      retain: false,
      payload: Buffer.from(HELLO),
    })
    t.strictSame(await device.bye(), ERROR, topic)
  }
  t.match(node.counters.publishesDenied, { foreign: 3, reserved: 3 })
  const device = await greeted(node, 'p1')
  for (const filter of ['stream/p2', 'stream/+', 'stream/#', 'stream/p1/+', 'stream/p1/ack', 'stream/p2/ack']) {
    t.match(await device.raw.subscribe(filter, 7), { granted: [0x80] }, filter)
  }
  t.match(await device.raw.subscribe('stream/p1', 7, 0), { granted: [0x80] }, 'QoS 0')
  t.match(await device.raw.subscribe('inbox/p1', 7), { granted: [0x80] }, 'another mode')
  t.notOk(device.raw.closed)
  await other.has(1)
  t.strictSame(device.seqs, [])
  await device.raw.end()
  await other.raw.end()
})

void t.test('stream refusals: no hello in time', async (t) => {
  const node = await startNode(t, { courier: { helloMs: 300, tickMs: 50 } })
  await node.push('p1', 'a')
  const early = performance.now()
  const device = await StreamDevice.connect(node, 'p1')
  device.subscribe()
  t.strictSame(await device.bye(), ERROR)
  t.ok(performance.now() - early >= 300)
  t.strictSame(device.words, ['bye protocol_error'], 'and nothing was sent before it')
  const quiet = await StreamDevice.connect(node, 'p1')
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.notOk(quiet.raw.closed, 'without a subscription there is nothing to wait for')
  await quiet.raw.end()
})

void t.test('stream refusals: a device that leaves out its PUBACKs', async (t) => {
  const node = await startNode(t)
  const device = await StreamDevice.open(node, 'p1', { receives: false, acks: true, window: 1 })
  const done = new AbortController()
  const producing = (async () => {
    while (!done.signal.aborted) {
      await node.push('p1', ...Array.from({ length: 50 }, () => ''))
      await until('acks', async () => done.signal.aborted || ((await node.mailbox.info('p1'))?.pending ?? 0) < 500)
    }
  })()
  const bye = await device.bye()
  done.abort()
  await producing
  t.strictSame(bye, ERROR)
  t.equal(node.counters.protocolErrors.too_many_unreceived, 1)
})

void t.test('stream refusals: an id outside the device pattern has no stream', async (t) => {
  const node = await startNode(t, { broker: { tokens: null } })
  const device = await StreamDevice.connect(node, 'no/mailbox', { token: 'x' })
  t.match(await device.raw.subscribe('stream/no/mailbox'), { granted: [0x80] })
  device.raw.send({
    cmd: 'publish',
    topic: 'stream/no/hello',
    qos: 0,
    dup: false,
    retain: false,
    payload: Buffer.from(HELLO),
  })
  await device.raw.untilClosed()
  t.match(node.counters.publishesDenied, { foreign: 1 })
})
