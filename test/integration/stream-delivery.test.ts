import mqtt from 'mqtt'
import t from 'tap'
import { encodeAck } from '../../protocol/frames/ack.js'
import { MESSAGE_FLAGS } from '../../protocol/frames/frame-types.js'
import { encodeHello } from '../../protocol/frames/hello.js'
import { decodeServerFrame } from '../../protocol/frames/server-frames.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { StreamDevice } from '../support/stream/stream-device.js'

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const texts = (from: number, to: number): string[] => numbers(from, to).map(String)
const cursor = async (node: TestNode, device: string): Promise<number> =>
  (await node.mailbox.info(device))?.cursor ?? -1

void t.test('stream delivery: backlog, then live, in order, each frame following the last', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 300))
  const device = await StreamDevice.open(node, 'p1', { acks: true })
  await device.has(300)
  for (let i = 301; i <= 350; i++) await node.push('p1', String(i))
  await device.has(350)
  t.strictSame(device.seqs, numbers(1, 350))
  t.strictSame(
    device.messages.map(({ text }) => text),
    texts(1, 350),
  )
  t.strictSame(device.faults, [])
  t.equal(device.words[0], 'welcome 0/300')
  await until('the cursor', async () => (await cursor(node, 'p1')) === 350)
  t.ok(device.frames.length < 150, `${device.frames.length} frames: the backlog came in large ones`)
  t.equal(node.counters.framesSent, device.frames.length)
  await device.raw.end()
})

void t.test('stream delivery: MQTT.js can speak it', async (t) => {
  const node = await startNode(t)
  await node.push('p1', 'one', 'two')
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${node.mqtt}`, {
    clientId: 'p1',
    username: 'p1',
    password: await node.token('p1'),
    protocolVersion: 4,
  })
  const got: string[] = []
  client.on('message', (topic, payload) => {
    const frame = decodeServerFrame(payload)
    got.push(`${topic} ${frame.t}`)
    if (frame.t !== 'data') return
    for (const message of frame.messages) got.push(Buffer.from(message.payload).toString())
    const last = frame.messages.at(-1)?.seq ?? 0
    client.publish('stream/p1/ack', Buffer.from(encodeAck(new Map([[frame.log, [frame.epoch, last]]]))))
  })
  t.match(await client.subscribeAsync('stream/p1', { qos: 2 }), [{ qos: 1 }])
  const hello = encodeHello({ cursors: new Map(), window: 10, maxFrameBytes: 16_384, sdk: 'by hand' })
  await client.publishAsync('stream/p1/hello', Buffer.from(hello), { qos: 1 })
  await until('two messages', () => got.includes('two'))
  t.strictSame(got, ['stream/p1 welcome', 'stream/p1 data', 'one', 'two'])
  await until('the cursor', async () => (await cursor(node, 'p1')) === 2)
  await client.endAsync()
})

void t.test('stream delivery: PUBACK says received, ack says handled', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 4))
  const state = async (seq: number): Promise<string> => {
    const found = await node.mailbox.state('p1', seq, null)
    return found.kind === 'known' ? found.state : found.kind
  }
  const device = await StreamDevice.open(node, 'p1', { receives: false })
  await device.has(4)
  await until('sent', async () => (await state(4)) === 'sent')
  device.raw.ack(...device.raw.publishes)
  await until('received', async () => (await state(4)) === 'received')
  t.equal(await cursor(node, 'p1'), 0, 'received is not handled')
  device.ack(device.epoch, 2)
  await until('handled', async () => (await state(2)) === 'handled')
  t.strictSame(await Promise.all([1, 2, 3, 4].map(state)), ['handled', 'handled', 'received', 'received'])
  await device.raw.end()
})

void t.test('stream delivery: what was not acknowledged comes again, marked, and only that', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 10))
  const first = await StreamDevice.open(node, 'p1')
  await first.has(10)
  first.ack(first.epoch, 4)
  await until('the cursor', async () => (await cursor(node, 'p1')) === 4)
  await first.raw.end()
  const second = await StreamDevice.open(node, 'p1', { position: [first.epoch, 5] })
  await node.push('p1', '11')
  await second.has(6)
  t.strictSame(second.seqs, numbers(6, 11), 'from the position of the hello')
  t.equal(second.words[0]?.slice(0, 9), 'welcome 5')
  t.strictSame(
    second.messages.map(({ flags }) => (flags & MESSAGE_FLAGS.redelivered) !== 0),
    [true, true, true, true, true, false],
  )
  t.strictSame([second.faults, second.gaps], [[], []])
  await until('the hello counts as an ack', async () => (await cursor(node, 'p1')) === 5)
  await second.raw.end()
})

void t.test('stream delivery: high priority is a flag and changes no order', async (t) => {
  const node = await startNode(t)
  const message = { contentType: 'text/plain', attributes: null, dedupId: null, ttl: null, device: 'p1' }
  await node.mailbox.append([
    { ...message, payload: Buffer.from('a'), priority: 'normal' },
    {
      ...message,
      payload: Buffer.from('b'),
      priority: 'high',
      dedupId: 'x',
      attributes: [['__proto__', '1']],
      ttl: 60,
    },
  ])
  const device = await StreamDevice.open(node, 'p1')
  await device.has(2)
  t.strictSame(
    device.messages.map(({ seq, flags }) => [seq, flags]),
    [
      [1, 0],
      [2, MESSAGE_FLAGS.highPriority],
    ],
  )
  const frame = device.frames.find((each) => each.t === 'data')
  const second = frame?.t === 'data' ? frame.messages[1] : undefined
  t.match(second, { dedupId: 'x', contentType: 'text/plain', attributes: [['__proto__', '1']] })
  t.equal((second?.expiresAt ?? 0) - (second?.at ?? 0), 60_000)
  await device.raw.end()
})

void t.test('stream delivery: exceptions are steps, overflow is told', async (t) => {
  const node = await startNode(t, { inboxMax: 5, overflow: 'drop-oldest' })
  await node.push('p1', ...texts(1, 5))
  await node.mailbox.cancel('p1', 2, null)
  await node.push('p1', ...texts(6, 8))
  const device = await StreamDevice.open(node, 'p1')
  await device.has(5)
  t.strictSame(device.words.slice(0, 2), ['welcome 3/8', 'gap 1-1 overflow'])
  t.strictSame(device.gaps, ['1-1 overflow', '3-3 overflow'])
  t.strictSame(device.seqs, numbers(4, 8))
  t.strictSame(device.faults, [])
  await device.raw.end()
})

void t.test('stream delivery: a gap in the middle of delivery stands between the messages', async (t) => {
  const node = await startNode(t, { inboxMax: 4, overflow: 'drop-oldest', courier: { pageMessages: 1 } })
  await node.push('p1', ...texts(1, 4))
  const device = await StreamDevice.open(node, 'p1', { window: 1 })
  await device.has(1)
  await node.push('p1', ...texts(5, 7))
  for (const seq of [1, 4, 5]) {
    device.ack(device.epoch, seq)
    await device.has(device.seqs.length + 1)
  }
  t.strictSame(device.words, ['welcome 0/4', 'data 0>1', 'gap 2-3 overflow', 'data 3>4', 'data 4>5', 'data 5>6'])
  t.strictSame(device.faults, [])
  await device.raw.end()
})

void t.test('stream delivery: what another client handled is told', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 6))
  const first = await StreamDevice.open(node, 'p1', { window: 2 })
  await first.has(2)
  first.ack(first.epoch, 2)
  await until('the cursor', async () => (await cursor(node, 'p1')) === 2)
  const { epoch } = first
  await first.raw.end()
  const other = await StreamDevice.open(node, 'p1', { acks: true })
  await other.has(4)
  t.strictSame(other.gaps, ['1-2 handled-elsewhere'], 'a client that remembers nothing')
  await until('the cursor', async () => (await cursor(node, 'p1')) === 6)
  await other.raw.end()
  const again = await (await StreamDevice.open(node, 'p1', { position: [epoch, 2] })).welcomed()
  await node.push('p1', '7')
  await again.has(1)
  t.strictSame(again.words, ['welcome 6/6', 'gap 3-6 handled-elsewhere', 'data 6>7'])
  t.strictSame(again.lastGap?.epoch, epoch)
  await again.raw.end()
})

void t.test('stream delivery: a position that the store does not know is told as a reset', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 3))
  const { epoch } = await (await StreamDevice.open(node, 'p1')).welcomed()
  for (const [position, words] of [
    [
      ['unknownAAAA', 2],
      ['welcome 0/3', 'reset 0/3'],
    ],
    [
      [epoch, 9],
      ['welcome 3/3', 'reset 3/3'],
    ],
  ] as const) {
    const device = await StreamDevice.open(node, 'p1', { position: [position[0], position[1]] })
    await until('a reset', () => device.words.length >= 2)
    t.strictSame(device.words.slice(0, 2), words)
    await device.raw.end()
  }
})

void t.test('stream delivery: deleted and made again, the device is told and gets everything new', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 3))
  const first = await StreamDevice.open(node, 'p1', { acks: true })
  await first.has(3)
  const { epoch } = first
  await first.raw.end()
  await node.mailbox.purge('p1')
  await node.push('p1', 'new')
  const second = await StreamDevice.open(node, 'p1', { position: [epoch, 3] })
  await second.has(1)
  t.strictSame(second.words, ['welcome 0/1', 'reset 0/1', 'data 0>1'])
  t.strictSame(second.messages[0]?.text, 'new')
  await second.raw.end()
})

void t.test('stream delivery: the window is what the device asks for, up to the limit', async (t) => {
  const node = await startNode(t, { courier: { windowMax: 100 } })
  for (const [asked, granted] of [
    [1, 1],
    [7, 7],
    [90, 90],
    [1_000_000, 100],
  ] as const) {
    const id = `w${asked}`
    await node.push(id, ...texts(1, 200))
    const device = await StreamDevice.open(node, id, { window: asked })
    await device.has(granted)
    await node.push(id, 'more')
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(device.seqs.length, granted, `${asked} asked for: nothing more without an ack`)
    device.ack(device.epoch, 1)
    await device.has(granted + 1)
    await device.raw.end()
  }
})

void t.test(
  'stream delivery: frames keep to the size that the device takes; a larger message travels alone',
  async (t) => {
    const node = await startNode(t)
    const sizes = [3_000, 9_000, 5_000, 40_000, 100, 100, 70_000, 100]
    await node.push('p1', ...sizes.map((size) => Buffer.alloc(size, 'x')))
    const small = await StreamDevice.open(node, 'p1', { maxFrameBytes: 16_384 })
    await small.has(8)
    t.strictSame(
      small.words.slice(1),
      ['data 0>1,2', 'data 2>3', 'data 3>4', 'data 4>5,6', 'data 6>7', 'data 7>8'],
      'as many as fit',
    )
    small.frames.forEach((frame, i) => {
      if (frame.t === 'data' && frame.messages.length > 1) t.ok((small.sizes[i] ?? 0) <= 16_384)
    })
    await small.raw.end()
    const large = await StreamDevice.open(node, 'p1', { maxFrameBytes: 1_000_000 })
    await large.has(8)
    t.strictSame(
      large.words.slice(1),
      ['data 0>1,2,3,4,5,6', 'data 6>7', 'data 7>8'],
      'the server makes none over 64 KiB',
    )
    t.strictSame([...small.faults, ...large.faults], [])
    await large.raw.end()
  },
)

void t.test('stream delivery: messages of one turn share a frame', async (t) => {
  const node = await startNode(t)
  const device = await (await StreamDevice.open(node, 'p1')).welcomed()
  await node.push('p1', ...texts(1, 20))
  await device.has(20)
  t.strictSame(device.words, ['welcome 0/0', `data 0>${texts(1, 20).join()}`])
  await device.raw.end()
})

void t.test('stream delivery: acks of other logs and epochs are ignored and counted', async (t) => {
  const node = await startNode(t)
  await node.push('p1', 'a')
  const device = await StreamDevice.open(node, 'p1')
  await device.has(1)
  device.control(
    'ack',
    encodeAck(
      new Map([
        ['g:berlin', [device.epoch, 1]],
        ['d:p2', [device.epoch, 1]],
      ]),
    ),
  )
  device.ack('unknownAAAA', 1)
  await until('the counters', () => {
    const { acksOfUnknownLogs, acksOfUnknownEpochs } = node.courierCounters
    return acksOfUnknownLogs === 2 && acksOfUnknownEpochs === 1
  })
  t.equal(await cursor(node, 'p1'), 0)
  t.notOk(device.raw.closed)
  await device.raw.end()
})

void t.test('stream delivery: control frames with QoS 1 are acknowledged, in their order', async (t) => {
  const node = await startNode(t)
  const device = await StreamDevice.connect(node, 'p1')
  device.subscribe()
  device.hello()
  await device.welcomed()
  device.ack(device.epoch, 0, 1)
  device.ack(device.epoch, 0, 1)
  await until('three PUBACKs', () => device.raw.packets.filter(({ cmd }) => cmd === 'puback').length === 3)
  t.strictSame(
    device.raw.packets.flatMap((packet) => (packet.cmd === 'puback' ? [packet.messageId] : [])),
    [11, 12, 13],
  )
  await device.raw.end()
})

void t.test('stream delivery: acks that make room are not counted as publishes of the device', async (t) => {
  const node = await startNode(t, { broker: { limits: { publishesPerDevice: { perSecond: 1, burst: 20 } } } })
  await node.push('p1', ...texts(1, 500))
  const device = await StreamDevice.open(node, 'p1', { window: 1, acks: true })
  await device.has(500)
  t.equal(node.counters.throttled.publishes, 0)
  for (let i = 0; i < 30; i++) device.ack(device.epoch, 1)
  await until('the others to wait', () => node.counters.throttled.publishes > 0)
  await device.raw.end()
})

void t.test('stream delivery: a kept subscription goes on after its hello', async (t) => {
  const node = await startNode(t)
  const first = await StreamDevice.open(node, 'p1', { clean: false })
  await first.welcomed()
  await first.raw.end()
  await node.push('p1', 'a')
  const second = await StreamDevice.connect(node, 'p1', { clean: false })
  t.match(second.raw.packets[0], { cmd: 'connack', sessionPresent: true })
  second.hello()
  await second.has(1)
  t.strictSame(second.words, ['welcome 0/1', 'data 0>1'])
  await second.raw.end()
})

void t.test('stream delivery: UNSUBSCRIBE pauses, SUBSCRIBE goes on without another hello', async (t) => {
  const node = await startNode(t)
  const device = await (await StreamDevice.open(node, 'p1')).welcomed()
  device.raw.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['stream/p1'] })
  await device.raw.next('unsuback')
  await node.push('p1', 'a')
  const suback = await device.raw.subscribe('inbox/p1')
  t.match(suback, { granted: [0x80] }, 'plain mode is another family')
  t.strictSame(device.seqs, [])
  device.subscribe()
  await device.has(1)
  t.strictSame(device.words, ['welcome 0/0', 'data 0>1'])
  await device.raw.end()
})
