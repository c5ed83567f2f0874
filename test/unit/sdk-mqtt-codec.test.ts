import * as fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import t from 'tap'
import {
  encodeConnect,
  encodeDisconnect,
  encodePingreq,
  encodePubacks,
  encodePublish,
  encodeSubscribe,
  join,
} from '../../sdk/device/mqtt/encode.js'
import type { IncomingPacket } from '../../sdk/device/mqtt/packets.js'
import { MqttError, PacketParser } from '../../sdk/device/mqtt/parser.js'

/** What another implementation reads from bytes. */
function readElsewhere(bytes: Uint8Array): readonly mqttPacket.Packet[] {
  const packets: mqttPacket.Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  parser.on('packet', (packet: mqttPacket.Packet) => packets.push(packet))
  parser.on('error', (error: Error) => {
    throw error
  })
  parser.parse(Buffer.from(bytes))
  return packets
}

function parse(chunks: readonly Uint8Array[], maxBytes = 1 << 20): readonly IncomingPacket[] {
  const packets: IncomingPacket[] = []
  const parser = new PacketParser(maxBytes)
  for (const chunk of chunks) parser.push(chunk, (packet) => packets.push(packet))
  return packets
}

const topicText = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((text) => !/[\0+#]/.test(text))
const packetId = fc.integer({ min: 1, max: 0xffff })
const payload = fc.uint8Array({ maxLength: 300 })

void t.test('SDK codec: what it writes is read by another implementation as what was meant', async (t) => {
  fc.assert(
    fc.property(topicText, packetId, payload, fc.boolean(), (topic, id, bytes, dup) => {
      const [atLeastOnce] = readElsewhere(encodePublish(topic, bytes, id, dup))
      const [atMostOnce] = readElsewhere(encodePublish(topic, bytes, null))
      if (atLeastOnce?.cmd !== 'publish' || atMostOnce?.cmd !== 'publish') throw new Error('no publish')
      t.same(
        [atLeastOnce.topic, atLeastOnce.messageId, atLeastOnce.qos, atLeastOnce.dup, atLeastOnce.retain],
        [topic, id, 1, dup, false],
      )
      t.same([atMostOnce.topic, atMostOnce.qos, atMostOnce.dup], [topic, 0, false])
      t.ok(Buffer.from(bytes).equals(Buffer.from(atLeastOnce.payload)))
    }),
    { numRuns: 200 },
  )
  const [connect] = readElsewhere(encodeConnect({ clientId: 'phone-1', token: 'a.b.c', keepAliveSeconds: 60 }))
  t.match(connect, { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: 'phone-1' })
  t.match(connect, { keepalive: 60, username: 'phone-1', password: Buffer.from('a.b.c') })
  const [anonymous] = readElsewhere(encodeConnect({ clientId: 'é', token: null, keepAliveSeconds: 0 }))
  t.match(anonymous, { cmd: 'connect', clientId: 'é', keepalive: 0 })
  t.notOk(anonymous !== undefined && 'username' in anonymous && anonymous.username)
  t.match(readElsewhere(encodeSubscribe('stream/phone-1', 7)), [
    { cmd: 'subscribe', messageId: 7, subscriptions: [{ topic: 'stream/phone-1', qos: 1 }] },
  ])
  t.match(readElsewhere(encodePubacks([1, 0x8000, 0xffff])), [
    { cmd: 'puback', messageId: 1 },
    { cmd: 'puback', messageId: 0x8000 },
    { cmd: 'puback', messageId: 0xffff },
  ])
  t.match(readElsewhere(join([encodePingreq(), encodeDisconnect()])), [{ cmd: 'pingreq' }, { cmd: 'disconnect' }])
})

const packet: fc.Arbitrary<mqttPacket.Packet> = fc.oneof(
  fc.record({
    cmd: fc.constant('publish' as const),
    topic: topicText,
    payload: fc
      .oneof(payload, fc.uint8Array({ minLength: 16_000, maxLength: 17_000 }))
      .map((bytes) => Buffer.from(bytes)),
    qos: fc.constant(1 as const),
    dup: fc.boolean(),
    retain: fc.constant(false),
    messageId: packetId,
  }),
  fc.record({ cmd: fc.constant('puback' as const), messageId: packetId }),
  fc.record({
    cmd: fc.constant('suback' as const),
    messageId: packetId,
    granted: fc.array(fc.constantFrom(0, 1, 2, 0x80), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    cmd: fc.constant('connack' as const),
    returnCode: fc.integer({ min: 0, max: 5 }),
    sessionPresent: fc.boolean(),
  }),
  fc.constant({ cmd: 'pingresp' as const }),
)

function expected(from: mqttPacket.Packet): unknown {
  if (from.cmd === 'publish') {
    return { type: 'publish', topic: from.topic, packetId: from.messageId, dup: from.dup, payload: from.payload }
  }
  if (from.cmd === 'puback') return { type: 'puback', packetId: from.messageId }
  if (from.cmd === 'suback') return { type: 'suback', packetId: from.messageId, codes: from.granted }
  if (from.cmd === 'connack') return { type: 'connack', sessionPresent: from.sessionPresent, code: from.returnCode }
  return { type: from.cmd }
}

void t.test('SDK codec: it reads packets however the bytes are cut', async (t) => {
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 8 }), fc.array(fc.nat(40_000), { maxLength: 12 }), (packets, cuts) => {
      const bytes = Buffer.concat(packets.map((each) => mqttPacket.generate(each)))
      const at = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
      const read = parse(chunks).map((each) =>
        each.type === 'publish' ? { ...each, payload: Buffer.from(each.payload) } : each,
      )
      t.same(read, packets.map(expected))
    }),
    { numRuns: 200 },
  )
  const packets = [mqttPacket.generate({ cmd: 'puback', messageId: 300 }), encodePublish('t', new Uint8Array(200), 9)]
  const single = Array.from(Buffer.concat(packets), (byte) => Uint8Array.of(byte))
  t.match(parse(single), [
    { type: 'puback', packetId: 300 },
    { type: 'publish', topic: 't', packetId: 9 },
  ])
})

void t.test('SDK codec: what is no packet of a server is refused by a named error', async (t) => {
  const bad: Readonly<Record<string, readonly number[]>> = {
    'packet type 0': [0x00, 0],
    'packet type 15': [0xf0, 0],
    CONNECT: [0x10, 0],
    PUBREC: [0x50, 2, 0, 1],
    PINGREQ: [0xc0, 0],
    'PUBACK with flags': [0x42, 2, 0, 1],
    'PUBACK of one byte': [0x40, 1, 0],
    'PUBACK of three bytes': [0x40, 3, 0, 1, 0],
    'PUBACK with id 0': [0x40, 2, 0, 0],
    'CONNACK of one byte': [0x20, 1, 0],
    'CONNACK with reserved flags': [0x20, 2, 2, 0],
    'SUBACK without a code': [0x90, 2, 0, 1],
    'SUBACK with id 0': [0x90, 3, 0, 0, 1],
    'PINGRESP with a body': [0xd0, 1, 0],
    'PUBLISH with QoS 2': [0x34, 5, 0, 1, 0x61, 0, 1],
    'PUBLISH with QoS 3': [0x36, 5, 0, 1, 0x61, 0, 1],
    'PUBLISH with DUP and QoS 0': [0x38, 3, 0, 1, 0x61],
    'PUBLISH of one byte': [0x30, 1, 0],
    'PUBLISH that ends in its topic': [0x30, 3, 0, 9, 0x61],
    'PUBLISH that ends before its id': [0x32, 4, 0, 1, 0x61, 0],
    'PUBLISH with id 0': [0x32, 5, 0, 1, 0x61, 0, 0],
    'PUBLISH with a topic that is not UTF-8': [0x30, 3, 0, 1, 0xff],
    'a length of five bytes': [0x30, 0xff, 0xff, 0xff, 0xff, 0x01],
    'a packet over the limit': [0x30, 0x80, 0x80, 0x80, 0x01],
  }
  for (const [what, bytes] of Object.entries(bad)) {
    t.throws(() => parse([Uint8Array.from(bytes)]), MqttError, what)
  }
})

void t.test('SDK codec: no bytes do anything but give packets, ask for more, or be refused', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        parse([bytes])
      } catch (error) {
        t.ok(error instanceof MqttError)
      }
    }),
    { numRuns: 3_000 },
  )
})
