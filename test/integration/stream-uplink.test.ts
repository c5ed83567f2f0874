import t from 'tap'
import { encodeUplink } from '../../protocol/frames/uplink.js'
import { startNode, until, type TestNode } from '../support/broker/node.js'
import { StreamDevice } from '../support/stream/stream-device.js'

const text = (payload: Uint8Array): string => Buffer.from(payload).toString()
const frame = (id: string, payload: string | Uint8Array = id): Uint8Array =>
  encodeUplink({ channel: 'sensors/a', id, contentType: 'text/plain', payload: Buffer.from(payload) })

async function stored(node: TestNode): Promise<string[]> {
  const page = await node.store.uplink.read({ after: null, limit: 1_000, maxBytes: 1 << 30 })
  return (page?.uplinks ?? []).map((each) => `${each.device} ${each.channel} ${each.contentType} ${text(each.payload)}`)
}

/** Packet ids of the PUBACKs that came. */
const pubacks = (device: StreamDevice): number[] =>
  device.raw.packets.flatMap((packet) => (packet.cmd === 'puback' ? [packet.messageId ?? 0] : []))

void t.test('stream uplink: a frame is stored once by its id, and acknowledged each time', async (t) => {
  const node = await startNode(t)
  const device = await (await StreamDevice.open(node, 'p1')).welcomed()
  const before = pubacks(device).length
  for (const id of ['a', 'b', 'a', 'c', 'a']) device.control('uplink', frame(id))
  await until('five PUBACKs', () => pubacks(device).length === before + 5)
  const expected = ['a', 'b', 'c'].map((id) => `p1 sensors/a text/plain ${id}`)
  t.strictSame(await stored(node), expected)
  await device.raw.end()
  const again = await StreamDevice.connect(node, 'p1')
  again.control('uplink', frame('b'))
  await until('the PUBACK', () => pubacks(again).length === 1)
  t.strictSame(await stored(node), expected, 'on another connection too, and without a subscription')
  await again.raw.end()
})

void t.test('stream uplink: PUBACK only after it is stored', async (t) => {
  let release = (): void => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const node = await startNode(t, {
    wrapUplink: (uplink) => ({
      append: async (items) => {
        await held
        return uplink.append(items)
      },
    }),
  })
  const device = await (await StreamDevice.open(node, 'p1')).welcomed()
  const before = pubacks(device).length
  const id = device.control('uplink', frame('a'))
  await node.push('p1', 'meanwhile')
  await device.has(1)
  t.equal(pubacks(device).length, before)
  t.strictSame(await stored(node), [])
  release()
  await until('the PUBACK', () => pubacks(device).includes(id))
  t.equal((await stored(node)).length, 1)
  await device.raw.end()
})

void t.test('stream uplink: the same id with another body ends the connection', async (t) => {
  const node = await startNode(t)
  const device = await (await StreamDevice.open(node, 'p1')).welcomed()
  device.control('uplink', frame('a', 'one'))
  device.control('uplink', frame('a', 'two'))
  t.match(await device.bye(), { code: 'protocol_error' })
  t.equal((await stored(node)).length, 1)
})

void t.test('stream uplink: QoS 0 is stored when it can be', async (t) => {
  const node = await startNode(t)
  const device = await StreamDevice.connect(node, 'p1')
  device.control('uplink', frame('a'), 0)
  await until('it is stored', async () => (await stored(node)).length === 1)
  await device.raw.end()
})

void t.test('stream uplink: a payload of the largest size fits, one byte more does not', async (t) => {
  const node = await startNode(t, { broker: { limits: { maxPayloadBytes: 1_000 } } })
  const device = await (await StreamDevice.open(node, 'p1')).welcomed()
  device.control('uplink', frame('a', Buffer.alloc(1_000, 'x')))
  await until('it is stored', async () => (await stored(node)).length === 1)
  device.control('uplink', frame('b', Buffer.alloc(1_001, 'x')))
  t.match(await device.bye(), { code: 'protocol_error' })
  t.match(node.counters.publishesDenied, { too_large: 1 })
})
