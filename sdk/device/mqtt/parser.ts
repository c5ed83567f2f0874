// Splits the bytes of a connection into packets. A packet that lies whole in one chunk is read where it is; one that is
// spread over several is put together once, in an array of its final size.

import { PACKET, type IncomingPacket } from './packets.js'

/** What the server sent is not MQTT 3.1.1, or not what a server may send. The connection is of no use any more. */
export class MqttError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MqttError'
  }
}

const EMPTY = new Uint8Array(0)
/** A fixed header has at most this many bytes. */
const HEADER_MAX = 5

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class PacketParser {
  readonly #maxBytes: number
  /** The beginning of a packet whose length is not known yet. */
  #start: Uint8Array = EMPTY
  /** A packet of known length, filled as far as `#filled`. */
  #partial: Uint8Array | null = null
  #filled = 0

  // The last topic: all frames of a device have the same one.
  #topicBytes: Uint8Array = EMPTY
  #topic = ''

  /** `maxBytes`: the largest packet that is taken; a larger one is an error as soon as its length is known. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Calls `each` for every packet that is complete now. Throws MqttError, and what `each` throws. */
  push(chunk: Uint8Array, each: (packet: IncomingPacket) => void): void {
    let bytes = chunk
    if (this.#start.length > 0) {
      bytes = new Uint8Array(this.#start.length + chunk.length)
      bytes.set(this.#start)
      bytes.set(chunk, this.#start.length)
      this.#start = EMPTY
    }
    let at = 0
    while (at < bytes.length) {
      if (this.#partial !== null) {
        const taken = Math.min(this.#partial.length - this.#filled, bytes.length - at)
        this.#partial.set(bytes.subarray(at, at + taken), this.#filled)
        this.#filled += taken
        at += taken
        if (this.#filled < this.#partial.length) return
        const whole = this.#partial
        this.#partial = null
        each(this.#read(whole, 0, whole.length))
        continue
      }
      const header = readHeader(bytes, at)
      if (header === null) {
        this.#start = bytes.slice(at)
        return
      }
      const length = header.bodyAt - at + header.remaining
      if (length > this.#maxBytes) {
        throw new MqttError(`a packet of ${length} bytes is over the limit of ${this.#maxBytes}`)
      }
      if (at + length > bytes.length) {
        this.#partial = new Uint8Array(length)
        this.#filled = 0
      } else {
        each(this.#read(bytes, at, at + length))
        at += length
      }
    }
  }

  #read(bytes: Uint8Array, at: number, end: number): IncomingPacket {
    const first = bytes[at] ?? 0
    let body = at + 1
    while ((bytes[body] ?? 0) >= 0x80) body++
    body++
    const flags = first & 0x0f
    const type = first >>> 4
    if (type === PACKET.publish) return this.#readPublish(bytes, body, end, flags)
    // The flags of all other packets that a server sends are zero [MQTT-2.2.2-1].
    if (flags !== 0) throw new MqttError(`packet type ${type} with flags ${flags}`)
    switch (type) {
      case PACKET.connack: {
        expectLength(type, end - body, 2)
        const present = bytes[body] ?? 0
        if (present > 1) throw new MqttError('CONNACK with reserved flags') // [MQTT-3.2.2.1]
        return { type: 'connack', sessionPresent: present === 1, code: bytes[body + 1] ?? 0 }
      }
      case PACKET.puback:
        expectLength(type, end - body, 2)
        return { type: 'puback', packetId: readPacketId(bytes, body) }
      case PACKET.suback:
        if (end - body < 3) throw new MqttError('SUBACK without a code')
        return { type: 'suback', packetId: readPacketId(bytes, body), codes: Array.from(bytes.subarray(body + 2, end)) }
      case PACKET.pingresp:
        expectLength(type, end - body, 0)
        return { type: 'pingresp' }
      default:
        throw new MqttError(`packet type ${type}, which a server does not send here`)
    }
  }

  #readPublish(bytes: Uint8Array, body: number, end: number, flags: number): IncomingPacket {
    const qos = (flags >>> 1) & 3
    if (qos > 1) throw new MqttError(`PUBLISH with QoS ${qos}; QoS 1 was subscribed`)
    const dup = (flags & 0x08) !== 0
    if (dup && qos === 0) throw new MqttError('PUBLISH with DUP and QoS 0') // [MQTT-3.3.1-2]
    if (end - body < 2) throw new MqttError('PUBLISH that ends in its topic')
    const topicEnd = body + 2 + readUint16(bytes, body)
    const payloadAt = topicEnd + (qos === 0 ? 0 : 2)
    if (payloadAt > end) throw new MqttError('PUBLISH that ends in its header')
    return {
      type: 'publish',
      topic: this.#readTopic(bytes.subarray(body + 2, topicEnd)),
      packetId: qos === 0 ? null : readPacketId(bytes, topicEnd),
      dup,
      payload: bytes.subarray(payloadAt, end),
    }
  }

  #readTopic(bytes: Uint8Array): string {
    if (!sameBytes(bytes, this.#topicBytes)) {
      try {
        this.#topic = UTF8.decode(bytes)
      } catch {
        throw new MqttError('PUBLISH with a topic that is not UTF-8') // [MQTT-1.5.3-1]
      }
      this.#topicBytes = bytes.slice()
    }
    return this.#topic
  }
}

/** Null: more bytes are needed. */
function readHeader(bytes: Uint8Array, at: number): { readonly bodyAt: number; readonly remaining: number } | null {
  let remaining = 0
  let factor = 1
  for (let i = at + 1; i < at + HEADER_MAX; i++) {
    const byte = bytes[i]
    if (byte === undefined) return null
    remaining += (byte & 0x7f) * factor
    if (byte < 0x80) return { bodyAt: i + 1, remaining }
    factor *= 0x80
  }
  throw new MqttError('a remaining length of more than four bytes') // [MQTT-2.2.3]
}

const readUint16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)

function readPacketId(bytes: Uint8Array, at: number): number {
  const id = readUint16(bytes, at)
  if (id === 0) throw new MqttError('a packet id of 0') // [MQTT-2.3.1-1]
  return id
}

function expectLength(type: number, length: number, expected: number): void {
  if (length !== expected) throw new MqttError(`packet type ${type} with ${length} bytes instead of ${expected}`)
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
