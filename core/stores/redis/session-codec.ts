// Messages of ordinary pub/sub in Redis: u8 format, u48 number (0 where there is none), u8 flags, u32 length, topic, payload to
// the end; and subscriptions: the QoS as a digit, then the options if there are any.

import type { OrdinaryMessage } from '../../model/ordinary-message.js'
import type { QueuedMessage, StoredSubscription } from '../../ports/session-store.js'
import { behindAdditions, FORMAT, readableFormat } from './formats.js'

const HEAD = 12
const RETAIN = 4
const RELEASED = 8

function encode(number: number, flags: number, topic: string, payload: Uint8Array): Buffer {
  const length = Buffer.byteLength(topic)
  const out = Buffer.allocUnsafe(HEAD + length + payload.byteLength)
  out.writeUInt8(FORMAT, 0)
  out.writeUIntBE(number, 1, 6)
  out.writeUInt8(flags, 7)
  out.writeUInt32BE(length, 8)
  out.write(topic, HEAD)
  out.set(payload, HEAD + length)
  return out
}

function decode(bytes: Buffer) {
  const start = behindAdditions(bytes, HEAD, readableFormat(bytes[0], 'a message in Redis'))
  const flags = bytes.readUInt8(7)
  const end = start + bytes.readUInt32BE(8)
  return {
    number: bytes.readUIntBE(1, 6),
    qos: qosOf(flags & 3),
    retain: (flags & RETAIN) !== 0,
    released: (flags & RELEASED) !== 0,
    topic: bytes.toString('utf8', start, end),
    payload: bytes.subarray(end),
  }
}

const qosOf = (number: number): 0 | 1 | 2 => (number === 2 ? 2 : number === 1 ? 1 : 0)

export const encodeMessage = ({ topic, payload, qos, retain }: OrdinaryMessage): Buffer =>
  encode(0, qos | (retain ? RETAIN : 0), topic, payload)

export function decodeMessage(bytes: Buffer): OrdinaryMessage {
  const { topic, payload, qos, retain } = decode(bytes)
  return { topic, payload, qos, retain }
}

export const encodeQueued = ({ number, topic, payload, qos, retain, released }: QueuedMessage): Buffer =>
  encode(number, qos | (retain ? RETAIN : 0) | (released ? RELEASED : 0), topic, payload)

export function decodeQueued(bytes: Buffer): QueuedMessage {
  const { number, topic, payload, qos, retain, released } = decode(bytes)
  return { number, topic, payload, qos: qos === 2 ? 2 : 1, retain, released }
}

export const encodeSubscription = ({ qos, options }: Omit<StoredSubscription, 'filter'>): string =>
  `${qos}${options ?? ''}`

export function decodeSubscription(filter: string, text: string): StoredSubscription {
  const qos = qosOf(Number(text.slice(0, 1)))
  return text.length === 1 ? { filter, qos } : { filter, qos, options: text.slice(1) }
}
