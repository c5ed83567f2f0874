// PUBLISH packets (QoS 1) that carry frames. One for a node: its buffers are used again and again, so that a frame of many
// messages costs one allocation, that of its packet.

import type { StoredMessage } from '../../core/model/message.js'
import { writeDataHeader, writeMessage } from '../../protocol/frames/data.js'
import { FRAME_LIMITS } from '../../protocol/frames/frame-limits.js'
import { FrameWriter } from '../../protocol/frames/frame-writer.js'

/** A message on its way out. */
export interface PendingMessage {
  readonly log: string
  readonly epoch: string
  readonly message: StoredMessage
  /** See MESSAGE_FLAGS. */
  readonly flags: number
  /** The last seq of the log that the device was told of before. */
  readonly prev: number
}

/** A packet with a data frame, and how many of the pending messages are in it. */
export interface DataPacket {
  readonly packet: Buffer
  readonly count: number
}

const PUBLISH_QOS_1 = 0x32
/** More than the header of a data frame takes beside the name of its log. */
const HEADER_BYTES = 128
const NOTHING = new Uint8Array(0)

export class FramePackets {
  readonly #head = new FrameWriter(HEADER_BYTES * 2)
  readonly #body = new FrameWriter(64 * 1024)

  /** One frame. The topic's bytes are `stream/{id}`. */
  frame(topic: Buffer, packetId: number, frame: Uint8Array): Buffer {
    return packetOf(topic, packetId, frame, NOTHING)
  }

  /**
   * A data frame of the pending messages from index `from` on: as many as follow each other in one log and epoch, while the
   * frame stays within `maxFrameBytes`; one that is larger travels alone. `end`: the index after the last one that may be in it.
   */
  data(
    topic: Buffer,
    packetId: number,
    pending: readonly PendingMessage[],
    from: number,
    end: number,
    maxFrameBytes: number,
  ): DataPacket {
    const first = pending[from]
    if (first === undefined) throw new RangeError('a data frame has a message')
    const { log, epoch } = first
    const room = maxFrameBytes - HEADER_BYTES - 3 * log.length
    const body = this.#body
    body.cut(0)
    let at = from
    for (const last = Math.min(end, from + FRAME_LIMITS.messages); at < last; at++) {
      const next = pending[at]
      if (next === undefined || next.epoch !== epoch || next.log !== log) break
      const before = body.size
      writeMessage(body, next.message, next.flags)
      if (body.size > room && at > from) {
        body.cut(before)
        break
      }
    }
    const head = this.#head
    head.cut(0)
    writeDataHeader(head, first, at - from)
    return { packet: packetOf(topic, packetId, head.view(), body.view()), count: at - from }
  }
}

function packetOf(topic: Buffer, packetId: number, head: Uint8Array, body: Uint8Array): Buffer {
  const remaining = 2 + topic.length + 2 + head.length + body.length
  const lengthBytes = remaining < 0x80 ? 1 : remaining < 0x4000 ? 2 : remaining < 0x20_0000 ? 3 : 4
  const packet = Buffer.allocUnsafe(1 + lengthBytes + remaining)
  packet[0] = PUBLISH_QOS_1
  let at = 1
  for (let rest = remaining, i = 1; i <= lengthBytes; i++, rest >>>= 7) {
    packet[at++] = (rest & 0x7f) | (i < lengthBytes ? 0x80 : 0)
  }
  at = packet.writeUInt16BE(topic.length, at)
  packet.set(topic, at)
  at = packet.writeUInt16BE(packetId, at + topic.length)
  packet.set(head, at)
  packet.set(body, at + head.length)
  return packet
}
