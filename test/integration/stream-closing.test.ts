import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CLOSE_CODES, type CloseCode } from '../../protocol/codes.js'
import { newGeneration } from '../../core/stores/lmdb/generation.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { StreamDevice } from '../support/stream/stream-device.js'

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const texts = (from: number, to: number): string[] => numbers(from, to).map(String)
const cursor = async (node: TestNode, device: string): Promise<number> =>
  (await node.mailbox.info(device))?.cursor ?? -1

const byeOf = (code: CloseCode): unknown => {
  const { reconnect, minMs, maxMs } = CLOSE_CODES[code]
  return { t: 'bye', code, reconnect, minMs, maxMs }
}

async function greeted(node: TestNode, device: string): Promise<StreamDevice> {
  return (await StreamDevice.open(node, device)).welcomed()
}

void t.test('stream closing: taken over, with nothing lost or repeated to the handler', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 10))
  const first = await StreamDevice.open(node, 'p1')
  await first.has(10)
  first.ack(first.epoch, 6)
  const second = await StreamDevice.open(node, 'p1', { position: [first.epoch, 6] })
  t.strictSame(await first.bye(), byeOf('taken_over'))
  await second.has(4)
  await node.push('p1', '11')
  await second.has(5)
  t.strictSame(second.seqs, numbers(7, 11))
  t.strictSame([first.faults, second.faults, second.gaps], [[], [], []])
  await second.raw.end()
})

void t.test('stream closing: a device that waits for its welcome, or has not said hello, is told too', async (t) => {
  const node = await startNode(t)
  const silent = await StreamDevice.connect(node, 'p1')
  await silent.raw.subscribe('stream/p1')
  const second = await StreamDevice.connect(node, 'p1')
  t.strictSame(await silent.bye(), byeOf('taken_over'))
  await second.raw.end()
})

void t.test('stream closing: draining', async (t) => {
  const node = await startNode(t)
  await node.push('p1', ...texts(1, 5))
  const device = await StreamDevice.open(node, 'p1')
  await device.has(5)
  device.ack(device.epoch, 3)
  await until('the ack to be read', () => node.courierCounters.acked === 3)
  await node.couriers.stop()
  t.strictSame(await device.bye(), byeOf('draining'))
  t.equal(await cursor(node, 'p1'), 3, 'what it had acknowledged is stored first')
})

void t.test('stream closing: the token ends', async (t) => {
  const node = await startNode(t)
  const device = await StreamDevice.open(node, 'p1', { token: await node.token('p1', 1) })
  await device.welcomed()
  t.strictSame(await device.bye(), byeOf('token_expired'))
})

void t.test('stream closing: revoked', async (t) => {
  const node = await startNode(t)
  const device = await greeted(node, 'p1')
  const { claim } = await node.mailbox.purge('p1')
  await node.kick('p1', claim?.claimId ?? '', 'revoked')
  t.strictSame(await device.bye(), byeOf('revoked'))
})

void t.test('stream closing: the log is gone', async (t) => {
  const node = await startNode(t, { courier: { sweepIntervalMs: 50 } })
  const device = await greeted(node, 'p1')
  await node.mailbox.purge('p1')
  t.strictSame(await device.bye(), byeOf('resync'))
})

void t.test('stream closing: a publish that is denied, and a packet that is broken', async (t) => {
  const node = await startNode(t)
  const denied = await greeted(node, 'p1')
  denied.raw.send({ cmd: 'publish', topic: 'a/b', qos: 0, dup: false, retain: false, payload: '' })
  t.strictSame(await denied.bye(), byeOf('protocol_error'))
  const broken = await greeted(node, 'p1')
  broken.raw.send(Buffer.from([0x82, 2, 0, 1]))
  t.strictSame(await broken.bye(), byeOf('protocol_error'))
})

void t.test('stream closing: a device that goes itself, or has unsubscribed, is told nothing', async (t) => {
  const node = await startNode(t)
  const leaving = await greeted(node, 'p1')
  leaving.raw.send({ cmd: 'disconnect' })
  t.equal(await leaving.bye(), undefined)
  const unsubscribed = await greeted(node, 'p1')
  unsubscribed.raw.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['stream/p1'] })
  await unsubscribed.raw.next('unsuback')
  await node.couriers.stop()
  t.equal(await unsubscribed.bye(), undefined)
})

void t.test('stream closing: a slow reader lives and gets everything, one that reads nothing is closed', async (t) => {
  const node = await startNode(t, {
    courier: { bufferLimit: 64 * 1024, fullBufferMs: 700, tickMs: 50, windowMax: 4_000, windowBytes: 64 << 20 },
  })
  const payload = Buffer.alloc(8_000, 'x')
  await node.push('slow', ...Array.from({ length: 400 }, () => payload))
  await node.push('stuck', ...Array.from({ length: 2_000 }, () => payload))
  const slow = await StreamDevice.open(node, 'slow', { acks: true, window: 1_000 })
  const stuck = await StreamDevice.open(node, 'stuck', { window: 4_000 })
  await stuck.welcomed()
  stuck.raw.socket.pause()
  const enough = new AbortController()
  const turns = (async () => {
    while (!enough.signal.aborted) {
      slow.raw.socket.pause()
      await new Promise((resolve) => setTimeout(resolve, 40))
      slow.raw.socket.resume()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })()
  await slow.has(400, 30_000)
  enough.abort()
  await turns
  t.strictSame([slow.seqs, slow.faults], [numbers(1, 400), []])
  await until('the stuck one to be closed', () => node.counters.closes.slow_consumer === 1)
  await slow.raw.end()
  await stuck.raw.end()
})

void t.test(
  'stream closing: an older copy of the data is told as a reset, and no new message is taken for an old one',
  async (t) => {
    const folder = t.testdir({ data: {}, copy: {} })
    const path = join(folder, 'data')
    const first = await startNode(t, { folder: path })
    await first.push('p1', ...texts(1, 5))
    const device = await StreamDevice.open(first, 'p1', { acks: true })
    await device.has(5)
    const { epoch } = device
    await until('the cursor', async () => (await cursor(first, 'p1')) === 5)
    await first.stop()
    cpSync(path, join(folder, 'copy'), { recursive: true, filter: (source) => !source.endsWith('.sock') })

    const second = await startNode(t, { folder: path })
    await second.push('p1', ...texts(6, 9))
    const later = await StreamDevice.open(second, 'p1', { acks: true, position: [epoch, 5] })
    await later.has(4)
    t.strictSame(later.messages.at(-1)?.epoch, epoch, 'a restart alone is no new epoch')
    await until('the cursor', async () => (await cursor(second, 'p1')) === 9)
    await second.stop()

    rmSync(path, { recursive: true })
    cpSync(join(folder, 'copy'), path, { recursive: true })
    await newGeneration(path)
    const third = await startNode(t, { folder: path })
    await third.push('p1', 'new six', 'new seven')
    const again = await StreamDevice.open(third, 'p1', { acks: true, position: [epoch, 9] })
    await again.has(2)
    t.strictSame(again.words.slice(0, 2), ['welcome 5/7', 'reset 5/7'])
    t.strictSame(
      again.messages.map(({ seq, text }) => [seq, text]),
      [
        [6, 'new six'],
        [7, 'new seven'],
      ],
    )
    t.ok(
      again.messages.every((message) => message.epoch !== epoch),
      'in an epoch of their own',
    )
    t.strictSame(again.faults, [])
    await again.raw.end()
  },
)

void t.test('stream closing: a store that cannot answer the hello is waited for', async (t) => {
  let broken = true
  const node = await startNode(t)
  const resume = node.mailbox.resume.bind(node.mailbox)
  node.mailbox.resume = async (request) => {
    if (broken) throw new Error('the store is away')
    return resume(request)
  }
  await node.push('p1', 'a')
  const device = await StreamDevice.open(node, 'p1')
  await until('some tries', () => node.courierCounters.readErrors > 1)
  t.strictSame(device.words, [])
  broken = false
  await device.has(1)
  t.strictSame(device.words, ['welcome 0/1', 'data 0>1'])
  await device.raw.end()
})
