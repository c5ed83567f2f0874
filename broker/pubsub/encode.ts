// The PUBLISH and PUBREL packets that sessions send.

import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'

/** Payloads up to this size are copied into the packet: one buffer is cheaper than two. */
const COPY_MAX = 1_024

/**
 * A PUBLISH as one or two buffers to be written one after another. `packetId` counts for QoS 1 and 2 [MQTT-2.3.1-5]; `dup`
 * is no business of QoS 0 [MQTT-3.3.1-2].
 */
export function encodePublish(
  { topic, payload }: Pick<OrdinaryMessage, 'topic' | 'payload'>,
  { qos, retain, dup, packetId }: { qos: 0 | 1 | 2; retain: boolean; dup: boolean; packetId: number },
): readonly Buffer[] {
  const topicBytes = Buffer.byteLength(topic)
  const remaining = 2 + topicBytes + (qos > 0 ? 2 : 0) + payload.length
  const lengthBytes = remaining < 0x80 ? 1 : remaining < 0x4000 ? 2 : remaining < 0x20_0000 ? 3 : 4
  const copied = payload.length <= COPY_MAX
  const packet = Buffer.allocUnsafe(1 + lengthBytes + remaining - (copied ? 0 : payload.length))
  packet[0] = 0x30 | (dup && qos > 0 ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
  let at = 1
  for (let rest = remaining, i = 1; i <= lengthBytes; i++, rest >>>= 7) {
    packet[at++] = (rest & 0x7f) | (i < lengthBytes ? 0x80 : 0)
  }
  at = packet.writeUInt16BE(topicBytes, at)
  at += packet.write(topic, at)
  if (qos > 0) at = packet.writeUInt16BE(packetId, at)
  if (copied) packet.set(payload, at)
  if (copied || payload.length === 0) return [packet]
  return [packet, Buffer.from(payload.buffer, payload.byteOffset, payload.length)]
}

/** [MQTT-3.6.1-1] */
export const encodePubrel = (packetId: number): Buffer => Buffer.from([0x62, 2, packetId >>> 8, packetId & 0xff])
export const encodePuback = (packetId: number): Buffer => Buffer.from([0x40, 2, packetId >>> 8, packetId & 0xff])
export const encodePubrec = (packetId: number): Buffer => Buffer.from([0x50, 2, packetId >>> 8, packetId & 0xff])
