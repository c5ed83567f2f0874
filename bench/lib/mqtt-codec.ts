// As much MQTT 3.1.1 as a load generator needs, encoded by hand because the driver shares the machine with the server that
// it measures.

export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const SUBACK = 9
export const DISCONNECT = Buffer.from([0xe0, 0])

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function remainingLength(length: number): Buffer {
  const bytes: number[] = []
  let rest = length
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low | 128 : low)
  } while (rest > 0)
  return Buffer.from(bytes)
}

const packet = (head: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([head]), remainingLength(body.length), body])

export interface ConnectOptions {
  readonly clientId: string
  readonly username: string | null
  readonly password: string | null
  readonly clean: boolean
  /** Seconds; 0 = none. */
  readonly keepAlive: number
}

/** CONNECT, protocol level 4. */
export function encodeConnect(options: ConnectOptions): Buffer {
  const { username, password } = options
  const flags = (options.clean ? 2 : 0) | (username === null ? 0 : 0x80) | (password === null ? 0 : 0x40)
  return packet(
    0x10,
    Buffer.concat([
      text('MQTT'),
      Buffer.from([4, flags, options.keepAlive >> 8, options.keepAlive & 255]),
      text(options.clientId),
      ...(username === null ? [] : [text(username)]),
      ...(password === null ? [] : [text(password)]),
    ]),
  )
}

/** SUBSCRIBE to one filter. */
export const encodeSubscribe = (packetId: number, filter: string, qos: number): Buffer =>
  packet(0x82, Buffer.concat([Buffer.from([packetId >> 8, packetId & 255]), text(filter), Buffer.from([qos])]))

/** The start of a QoS 1 PUBLISH, up to the topic's end; the packet id and the payload follow. */
export const encodePublishHead = (topic: string, payloadBytes: number): Buffer => {
  const name = text(topic)
  return Buffer.concat([Buffer.from([0x32]), remainingLength(name.length + 2 + payloadBytes), name])
}

/** A whole PUBLISH with QoS 0. */
export const encodePublish = (topic: string, payload: Uint8Array): Buffer =>
  packet(0x30, Buffer.concat([text(topic), payload]))

/** PUBACKs are the same four bytes every time, so each is made once. Never written to after that. */
const pubacks: Array<Buffer | undefined> = []
export function encodePuback(packetId: number): Buffer {
  const known = pubacks[packetId]
  if (known !== undefined) return known
  const made = Buffer.from([0x40, 2, packetId >> 8, packetId & 255])
  pubacks[packetId] = made
  return made
}

/** Called for each whole packet: the first byte, and where its body lies in `bytes` (valid during the call only). */
export type PacketHandler = (head: number, bytes: Uint8Array, from: number, to: number) => void

/** Cuts a byte stream into packets; keeps a part of a packet until the rest arrives. */
export class PacketReader {
  #rest: Uint8Array | null = null
  readonly #onPacket: PacketHandler

  constructor(onPacket: PacketHandler) {
    this.#onPacket = onPacket
  }

  /** Takes `bytes[0..length)`, which the caller may overwrite afterwards. Throws on a malformed length. */
  push(bytes: Uint8Array, length: number): void {
    let input = bytes
    let end = length
    if (this.#rest !== null) {
      input = Buffer.concat([this.#rest, bytes.subarray(0, length)])
      end = input.length
      this.#rest = null
    }
    let at = 0
    while (at + 2 <= end) {
      let size = 0
      let shift = 1
      let cursor = at + 1
      let byte = 128
      while (byte >= 128 && cursor < end) {
        if (cursor > at + 4) throw new Error('malformed remaining length')
        byte = input[cursor++] ?? 0
        size += (byte & 127) * shift
        shift *= 128
      }
      if (byte >= 128 || cursor + size > end) break
      this.#onPacket(input[at] ?? 0, input, cursor, cursor + size)
      at = cursor + size
    }
    if (at < end) this.#rest = Buffer.from(input.subarray(at, end)) // a copy
  }
}
