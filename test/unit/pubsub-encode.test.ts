import * as fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import t from 'tap'
import { encodePuback, encodePublish, encodePubrec, encodePubrel } from '../../broker/pubsub/encode.js'

void t.test('pubsub encode: a PUBLISH is what an MQTT library makes of it', async (t) => {
  const packet = fc.record({
    topic: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => !/[+#\0]/.test(text)),
    size: fc.constantFrom(0, 1, 100, 126, 127, 128, 1_024, 1_025, 16_370, 20_000, 2_100_000),
    qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId: fc.integer({ min: 1, max: 0x7fff }),
  })
  fc.assert(
    fc.property(packet, ({ topic, size, qos, retain, dup, packetId }) => {
      const payload = Buffer.alloc(size, 'p')
      const made = Buffer.concat(encodePublish({ topic, payload }, { qos, retain, dup, packetId }))
      const expected = mqttPacket.generate({
        cmd: 'publish',
        topic,
        payload,
        qos,
        retain,
        dup: dup && qos > 0,
        ...(qos > 0 ? { messageId: packetId } : {}),
      })
      return made.equals(expected)
    }),
    { numRuns: 200 },
  )
  t.same(encodePubrel(0x1234), mqttPacket.generate({ cmd: 'pubrel', messageId: 0x1234 }))
  t.same(encodePuback(0xffff), mqttPacket.generate({ cmd: 'puback', messageId: 0xffff }))
  t.same(encodePubrec(1), mqttPacket.generate({ cmd: 'pubrec', messageId: 1 }))
})
