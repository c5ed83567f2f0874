import mqttPacket, { type Packet } from 'mqtt-packet'
import t from 'tap'
import { FramePackets, type PendingMessage } from '../../broker/stream/frame-packets.js'
import { decodeServerFrame } from '../../protocol/frames/server-frames.js'

const TOPIC = Buffer.from('stream/p1')

const message = (seq: number, bytes = 10, epoch = 'e1', log = 'd:p1'): PendingMessage => ({
  log,
  epoch,
  message: {
    seq,
    at: 1_767_225_600_000,
    expiresAt: null,
    priority: 'normal',
    dedupId: null,
    contentType: 'text/plain',
    attributes: null,
    payload: new Uint8Array(bytes),
  },
  flags: 0,
  prev: seq - 1,
})

function parse(bytes: Buffer): Packet {
  const packets: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  parser.on('packet', (packet) => packets.push(packet))
  parser.parse(bytes)
  const [packet] = packets
  if (packet === undefined || packets.length !== 1) throw new Error(`${packets.length} packets`)
  return packet
}

/** Every packet that the messages make: the seqs of each, and its size. */
function split(pending: readonly PendingMessage[], maxFrameBytes: number): Array<readonly [string, number]> {
  const packets = new FramePackets()
  const out: Array<readonly [string, number]> = []
  for (let at = 0; at < pending.length;) {
    const { packet, count } = packets.data(TOPIC, 0x8000 + (at & 0x7fff), pending, at, pending.length, maxFrameBytes)
    const parsed = parse(packet)
    if (parsed.cmd !== 'publish') throw new Error(parsed.cmd)
    t.match(parsed, { topic: 'stream/p1', qos: 1, dup: false, retain: false, messageId: 0x8000 + (at & 0x7fff) })
    const frame = decodeServerFrame(Buffer.from(parsed.payload))
    if (frame.t !== 'data') throw new Error(frame.t)
    t.equal(frame.messages.length, count)
    out.push([
      `${frame.log} ${frame.epoch} ${frame.prev}>${frame.messages.map(({ seq }) => seq).join()}`,
      parsed.payload.length,
    ])
    at += count
  }
  return out
}
const words = (pending: readonly PendingMessage[], maxFrameBytes = 65_536): string[] =>
  split(pending, maxFrameBytes).map(([word]) => word)

void t.test('frame packets: a frame never mixes epochs or logs', async (t) => {
  t.strictSame(
    words([message(1), message(2), message(3, 10, 'e2'), message(4, 10, 'e2', 'g:a'), message(5, 10, 'e2', 'g:a')]),
    ['d:p1 e1 0>1,2', 'd:p1 e2 2>3', 'g:a e2 3>4,5'],
  )
})

void t.test('frame packets: within the size, except for one that is larger alone', async (t) => {
  const pending = Array.from({ length: 200 }, (_, i) => message(i + 1, i % 7 === 0 ? 30_000 : i * 13))
  for (const size of [16_384, 20_000, 65_536]) {
    const frames = split(pending, size)
    t.ok(
      frames.every(([word, bytes]) => bytes <= size || !word.includes(',')),
      `${size}`,
    )
    t.equal(frames.flatMap(([word]) => word.split('>')[1]?.split(',') ?? []).length, 200)
  }
})

void t.test('frame packets: lengths of one to four bytes, and more than 65,535 messages', async (t) => {
  for (const bytes of [0, 100, 20_000, 3_000_000]) t.strictSame(words([message(1, bytes)]), ['d:p1 e1 0>1'])
  const many = Array.from({ length: 70_000 }, (_, i) => message(i + 1, 0))
  const frames = words(many, 1 << 30)
  t.strictSame(
    frames.map((word) => word.split(',').length),
    [65_535, 4_465],
  )
})

void t.test('frame packets: a frame as it is', async (t) => {
  const packet = parse(new FramePackets().frame(TOPIC, 0xffff, Buffer.from('hello')))
  t.match(packet, { cmd: 'publish', topic: 'stream/p1', qos: 1, messageId: 0xffff })
  t.equal(packet.cmd === 'publish' ? packet.payload.toString() : '', 'hello')
})
