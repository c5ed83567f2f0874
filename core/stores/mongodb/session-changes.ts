// Changes of ordinary pub/sub as documents of the journal, and what each does to a session. Pure.

import type { OrdinaryMessage } from '../../model/ordinary-message.js'
import { ordinarySize } from '../../model/ordinary-message.js'
import type { QueuedMessage, SessionChange, StoredSession, StoredSubscription } from '../../ports/session-store.js'
import { bytesOf, type Fields, fieldsOf, listOf, numberOf, textOf } from './fields.js'
import { FORMAT, readableFormat } from './formats.js'

/** A session as it is applied up to a number of the journal. */
export interface KeptSession {
  readonly client: string
  /** The change in the journal that made it: names its queue, so that a later session of the client has none of it. */
  readonly life: number
  /** Changes before this number of the journal are in it. */
  applied: number
  readonly subscriptions: Map<string, StoredSubscription>
  readonly received: Set<number>
  usedAt: number
  next: number
  count: number
  bytes: number
  sent: number
}

export const newSession = (client: string, life: number, number: number): KeptSession => ({
  client,
  life,
  applied: number,
  subscriptions: new Map(),
  received: new Set(),
  usedAt: 0,
  next: 1,
  count: 0,
  bytes: 0,
  sent: 0,
})

const qosOf = (value: number): 0 | 1 | 2 => (value === 2 ? 2 : value === 1 ? 1 : 0)

export function messageFields({ topic, payload, qos, retain }: OrdinaryMessage) {
  return { topic, payload, qos, retain }
}

export function readOrdinary(value: unknown): OrdinaryMessage {
  const fields = fieldsOf(value, 'message')
  return {
    topic: textOf(fields, 'topic'),
    payload: bytesOf(fields, 'payload'),
    qos: qosOf(numberOf(fields, 'qos')),
    retain: fields.get('retain') === true,
  }
}

export function readQueued(value: unknown): QueuedMessage {
  const fields = fieldsOf(value, 'message')
  return {
    number: numberOf(fields, 'number'),
    topic: textOf(fields, 'topic'),
    payload: bytesOf(fields, 'payload'),
    qos: numberOf(fields, 'qos') === 2 ? 2 : 1,
    retain: fields.get('retain') === true,
    released: fields.get('released') === true,
  }
}

function readSubscription(value: unknown): StoredSubscription {
  const fields = fieldsOf(value, 'subscription')
  const plain = { filter: textOf(fields, 'filter'), qos: qosOf(numberOf(fields, 'qos')) }
  return fields.has('options') ? { ...plain, options: textOf(fields, 'options') } : plain
}

/** The change again that `write` was given: the journal has it as it is. */
export function readChange(value: unknown): SessionChange {
  const fields = fieldsOf(value, 'change')
  const kind = textOf(fields, 'kind')
  const client = (): string => textOf(fields, 'client')
  switch (kind) {
    case 'subscribe':
      return { kind, client: client(), ...readSubscription(value) }
    case 'unsubscribe':
      return { kind, client: client(), filter: textOf(fields, 'filter') }
    case 'enqueue':
      return { kind, client: client(), message: readQueued(fields.get('message')) }
    case 'release':
      return { kind, client: client(), number: numberOf(fields, 'number'), bytes: numberOf(fields, 'bytes') }
    case 'remove':
      return {
        kind,
        client: client(),
        numbers: listOf(fields, 'numbers').map(Number),
        bytes: numberOf(fields, 'bytes'),
      }
    case 'received':
    case 'forgetReceived':
      return { kind, client: client(), packetId: numberOf(fields, 'packetId') }
    case 'used':
      return { kind, client: client(), at: numberOf(fields, 'at'), sent: numberOf(fields, 'sent') }
    case 'endSession':
    case 'forgetWill':
      return { kind, client: client() }
    case 'retain':
      return { kind, message: readOrdinary(fields.get('message')) }
    case 'will':
      return { kind, client: client(), message: readOrdinary(fields.get('message')) }
    default:
      throw new RangeError(`the journal of sessions has the unknown change ${kind}`)
  }
}

/** What the journal keeps of a change: about so many bytes. */
export function changeWeight(change: SessionChange): number {
  const text = 'client' in change ? change.client.length : 0
  if (change.kind === 'enqueue' || change.kind === 'retain' || change.kind === 'will') {
    return 200 + text + 4 * change.message.topic.length + change.message.payload.byteLength
  }
  if (change.kind === 'subscribe' || change.kind === 'unsubscribe') return 200 + text + 4 * change.filter.length
  return change.kind === 'remove' ? 200 + text + 16 * change.numbers.length : 200 + text
}

/** Changes of one session but `endSession`; the queue's messages are elsewhere. */
export function changeSession(session: KeptSession, change: SessionChange): void {
  switch (change.kind) {
    case 'subscribe': {
      const { filter, qos, options } = change
      session.subscriptions.set(filter, options === undefined ? { filter, qos } : { filter, qos, options })
      break
    }
    case 'unsubscribe':
      session.subscriptions.delete(change.filter)
      break
    case 'enqueue':
      session.next = change.message.number + 1
      session.count++
      session.bytes += ordinarySize(change.message)
      break
    case 'release':
      session.bytes -= change.bytes
      break
    case 'remove':
      session.count -= change.numbers.length
      session.bytes -= change.bytes
      break
    case 'received':
      session.received.add(change.packetId)
      break
    case 'forgetReceived':
      session.received.delete(change.packetId)
      break
    case 'used':
      session.usedAt = change.at
      session.sent = change.sent
      break
    case 'endSession':
    case 'retain':
    case 'will':
    case 'forgetWill':
      break // not of one session
  }
}

export const sessionDocument = (session: KeptSession) => ({
  f: FORMAT,
  life: session.life,
  applied: session.applied,
  subscriptions: [...session.subscriptions.values()].map((each) => ({ ...each })),
  received: [...session.received],
  used: session.usedAt,
  next: session.next,
  count: session.count,
  bytes: session.bytes,
  sent: session.sent,
})

export function readSession(document: unknown): KeptSession {
  const fields: Fields = fieldsOf(document)
  readableFormat(numberOf(fields, 'f'), 'a session')
  const subscriptions = listOf(fields, 'subscriptions').map(readSubscription)
  return {
    client: textOf(fields, '_id'),
    life: numberOf(fields, 'life'),
    applied: numberOf(fields, 'applied'),
    subscriptions: new Map(subscriptions.map((each) => [each.filter, each])),
    received: new Set(listOf(fields, 'received').map(Number)),
    usedAt: numberOf(fields, 'used'),
    next: numberOf(fields, 'next'),
    count: numberOf(fields, 'count'),
    bytes: numberOf(fields, 'bytes'),
    sent: numberOf(fields, 'sent'),
  }
}

export const storedSession = (session: KeptSession): StoredSession => ({
  client: session.client,
  subscriptions: [...session.subscriptions.values()],
  received: [...session.received],
  usedAt: session.usedAt,
  next: session.next,
  count: session.count,
  bytes: session.bytes,
  sent: session.sent,
})
