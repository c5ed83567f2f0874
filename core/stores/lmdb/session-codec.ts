// The stored forms of ordinary pub/sub: session records, subscriptions, queued and other messages. Each begins with a u8
// format.

import type { OrdinaryMessage } from '../../model/ordinary-message.js'
import type { QueuedMessage, StoredSubscription } from '../../ports/session-store.js'
import { ByteReader, type ByteWriter } from './bytes.js'

const FORMAT = 1
const RETAIN = 4
const RELEASED = 8

/** What changes in a session with every message. */
export interface SessionMarks {
  readonly number: number
  usedAt: number
  next: number
  count: number
  bytes: number
  sent: number
}

export function encodeMarks(out: ByteWriter, marks: SessionMarks): Buffer {
  out.u8(FORMAT)
  out.u48(marks.number)
  out.u48(marks.usedAt)
  out.u48(marks.next)
  out.u48(marks.count)
  out.u48(marks.bytes)
  out.u48(marks.sent)
  return out.copy()
}

export function decodeMarks(bytes: Buffer): SessionMarks {
  const input = read(bytes)
  return {
    number: input.u48(),
    usedAt: input.u48(),
    next: input.u48(),
    count: input.u48(),
    bytes: input.u48(),
    sent: input.u48(),
  }
}

export function encodeSubscription(out: ByteWriter, { filter, qos, options = '' }: StoredSubscription): Buffer {
  out.u8(FORMAT)
  out.u8(qos)
  out.text(filter)
  out.text(options)
  return out.copy()
}

export function decodeSubscription(bytes: Buffer): StoredSubscription {
  const input = read(bytes)
  const qos = asQos(input.u8())
  const filter = input.text()
  const options = input.text()
  return options === '' ? { filter, qos } : { filter, qos, options }
}

export function encodeMessage(out: ByteWriter, message: OrdinaryMessage, released = false): Buffer {
  out.u8(FORMAT)
  out.u8(message.qos | (message.retain ? RETAIN : 0) | (released ? RELEASED : 0))
  out.text(message.topic)
  out.bytes(message.payload)
  return out.copy()
}

/** `bytes` must not change afterwards: the payload is a view of it. */
export function decodeMessage(bytes: Buffer): OrdinaryMessage & { readonly released: boolean } {
  const input = read(bytes)
  const flags = input.u8()
  return {
    qos: asQos(flags & 3),
    retain: (flags & RETAIN) !== 0,
    released: (flags & RELEASED) !== 0,
    topic: input.text(),
    payload: input.rest(),
  }
}

export function decodeQueued(number: number, bytes: Buffer): QueuedMessage {
  const { qos, ...message } = decodeMessage(bytes)
  return { number, ...message, qos: qos === 2 ? 2 : 1 }
}

const asQos = (value: number): 0 | 1 | 2 => (value === 2 ? 2 : value === 1 ? 1 : 0)

function read(bytes: Buffer): ByteReader {
  const input = new ByteReader(bytes)
  const format = input.u8()
  if (format !== FORMAT) throw new RangeError(`a record of ordinary pub/sub has the unknown format ${format}`)
  return input
}
