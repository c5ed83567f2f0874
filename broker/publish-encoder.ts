import type { StoredMessage } from '../core/model/message.js'
import { inboxTopic } from '../protocol/topics.js'

/** The plain modes: payload only, or with the seq as last topic level. */
export type PlainMode = 'plain' | 'plain-seq'

const PUBLISH_QOS_1 = 0x32
const DUP = 0x08

/**
 * Builds the PUBLISH packets (QoS 1) of one device, each as one buffer. The topic's bytes are made once: the topic is what
 * all messages of a device have in common.
 */
export class PublishEncoder {
  /** `inbox/{id}` as bytes; a device id is ASCII. */
  readonly #topic: Buffer
  mode: PlainMode = 'plain'

  constructor(device: string) {
    this.#topic = Buffer.from(inboxTopic(device), 'latin1')
  }

  /** The whole packet. DUP is set for what an earlier connection may have seen [MQTT-3.3.1-1]. */
  encode(message: StoredMessage, packetId: number, redelivered: boolean): Buffer {
    const topic = this.#topic
    const suffix = this.mode === 'plain-seq' ? `/${message.seq}` : ''
    const topicLength = topic.length + suffix.length
    const remaining = 2 + topicLength + 2 + message.payload.length
    const packet = Buffer.allocUnsafe(1 + lengthBytes(remaining) + remaining)
    packet[0] = redelivered ? PUBLISH_QOS_1 | DUP : PUBLISH_QOS_1
    let at = 1
    let rest = remaining
    while (rest >= 0x80) {
      packet[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    packet[at++] = rest
    packet[at++] = topicLength >>> 8
    packet[at++] = topicLength & 0xff
    packet.set(topic, at)
    at += topic.length
    if (suffix !== '') at += packet.write(suffix, at, 'latin1')
    packet[at++] = packetId >>> 8
    packet[at++] = packetId & 0xff
    packet.set(message.payload, at)
    return packet
  }
}

function lengthBytes(remaining: number): number {
  if (remaining < 0x80) return 1
  if (remaining < 0x4000) return 2
  return remaining < 0x20_0000 ? 3 : 4
}
