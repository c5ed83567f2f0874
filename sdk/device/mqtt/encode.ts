// The packets that the client sends, each as one array of bytes.

import { PACKET } from './packets.js'

const UTF8 = new TextEncoder()

function lengthBytes(remaining: number): number {
  if (remaining < 0x80) return 1
  if (remaining < 0x4000) return 2
  return remaining < 0x20_0000 ? 3 : 4
}

/** A packet with room for `remaining` bytes after its fixed header; answers it and where they begin. */
function packet(first: number, remaining: number): { readonly bytes: Uint8Array; readonly at: number } {
  const bytes = new Uint8Array(1 + lengthBytes(remaining) + remaining)
  bytes[0] = first
  let at = 1
  let rest = remaining
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return { bytes, at }
}

function writeUint16(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 8
  bytes[at + 1] = value & 0xff
  return at + 2
}

/** A string or binary with its length in front, [MQTT-1.5.3]. */
function writeField(bytes: Uint8Array, at: number, field: Uint8Array): number {
  const start = writeUint16(bytes, at, field.length)
  bytes.set(field, start)
  return start + field.length
}

export interface ConnectFields {
  readonly clientId: string
  /** Null: no password, and no user name either [MQTT-3.1.2-22]. */
  readonly token: string | null
  /** Seconds; 0 turns the server's check off. */
  readonly keepAliveSeconds: number
}

const PROTOCOL = UTF8.encode('MQTT')
const LEVEL = 4
const CLEAN_SESSION = 0x02
const PASSWORD = 0x40
const USER_NAME = 0x80

/** Clean session: the mailbox is the session, and the SDK subscribes on every connection. */
export function encodeConnect({ clientId, token, keepAliveSeconds }: ConnectFields): Uint8Array {
  const id = UTF8.encode(clientId)
  const password = token === null ? null : UTF8.encode(token)
  const credentials = password === null ? 0 : 2 + id.length + 2 + password.length
  const { bytes, at: start } = packet(PACKET.connect << 4, 2 + PROTOCOL.length + 4 + 2 + id.length + credentials)
  let at = writeField(bytes, start, PROTOCOL)
  bytes[at++] = LEVEL
  bytes[at++] = CLEAN_SESSION | (password === null ? 0 : USER_NAME | PASSWORD)
  at = writeUint16(bytes, at, keepAliveSeconds)
  at = writeField(bytes, at, id)
  if (password !== null) writeField(bytes, writeField(bytes, at, id), password)
  return bytes
}

/** One filter, QoS 1. */
export function encodeSubscribe(filter: string, packetId: number): Uint8Array {
  const name = UTF8.encode(filter)
  const { bytes, at } = packet((PACKET.subscribe << 4) | 0x02, 2 + 2 + name.length + 1)
  bytes[writeField(bytes, writeUint16(bytes, at, packetId), name)] = 1
  return bytes
}

/** QoS 1 with a packet id, QoS 0 without. */
export function encodePublish(topic: string, payload: Uint8Array, packetId: number | null, dup = false): Uint8Array {
  const name = UTF8.encode(topic)
  const idBytes = packetId === null ? 0 : 2
  const flags = packetId === null ? 0 : dup ? 0x0a : 0x02
  const { bytes, at: start } = packet((PACKET.publish << 4) | flags, 2 + name.length + idBytes + payload.length)
  let at = writeField(bytes, start, name)
  if (packetId !== null) at = writeUint16(bytes, at, packetId)
  bytes.set(payload, at)
  return bytes
}

const PUBACK_BYTES = 4

/** The PUBACKs of several packets in one array. */
export function encodePubacks(packetIds: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(packetIds.length * PUBACK_BYTES)
  let at = 0
  for (const id of packetIds) {
    bytes[at++] = PACKET.puback << 4
    bytes[at++] = 2
    at = writeUint16(bytes, at, id)
  }
  return bytes
}

export const encodePingreq = (): Uint8Array => Uint8Array.of(PACKET.pingreq << 4, 0)

export const encodeDisconnect = (): Uint8Array => Uint8Array.of(PACKET.disconnect << 4, 0)

/** Several packets as one array, so that they leave in one segment. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
