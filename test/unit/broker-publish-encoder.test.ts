import * as fc from 'fast-check'
import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import t from 'tap'
import { PublishEncoder } from '../../broker/publish-encoder.js'
import type { StoredMessage } from '../../core/model/message.js'

function message(seq: number, payload: Uint8Array): StoredMessage {
  return {
    seq,
    at: 0,
    expiresAt: null,
    priority: 'normal',
    dedupId: null,
    contentType: 'text/plain',
    attributes: null,
    payload,
  }
}

/** The one PUBLISH that `bytes` are. */
function parse(bytes: Buffer): IPublishPacket {
  const parser = mqttPacket.parser()
  const packets: IPublishPacket[] = []
  parser.on('packet', (packet) => {
    if (packet.cmd === 'publish') packets.push(packet)
  })
  const left = parser.parse(bytes)
  const [packet, ...more] = packets
  if (left > 0 || packet === undefined || more.length > 0) throw new Error('not exactly one PUBLISH')
  return packet
}

void t.test('publish encoder: every packet is read back as what it was made of', async () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(16_366, 16_367, 16_368, 70_000, 2_097_200))
  fc.assert(
    fc.property(
      size,
      fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      fc.integer({ min: 0x8000, max: 0xffff }),
      fc.boolean(),
      fc.boolean(),
      fc.stringMatching(/^[A-Za-z0-9._:@-]{1,128}$/),
      (length, seq, packetId, redelivered, withSeq, device) => {
        const encoder = new PublishEncoder(device)
        encoder.mode = withSeq ? 'plain-seq' : 'plain'
        const payload = Buffer.alloc(length, 'x')
        const packet = parse(encoder.encode(message(seq, payload), packetId, redelivered))
        return (
          packet.topic === (withSeq ? `inbox/${device}/${seq}` : `inbox/${device}`) &&
          packet.qos === 1 &&
          packet.dup === redelivered &&
          !packet.retain &&
          packet.messageId === packetId &&
          payload.equals(Buffer.from(packet.payload))
        )
      },
    ),
    { numRuns: 60 },
  )
})

void t.test('publish encoder: the remaining length is right at its steps', async (t) => {
  const encoder = new PublishEncoder('a')
  for (const length of [116, 117, 16_372, 16_373, 2_097_140, 2_097_141]) {
    t.equal(parse(encoder.encode(message(1, Buffer.alloc(length)), 0x8000, false)).payload.length, length)
  }
})
