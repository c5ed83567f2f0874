// The parsed packets that the broker looks at itself, and the checks that something is one.

export interface SubscribePacket {
  readonly cmd: 'subscribe'
  readonly messageId: number
  readonly subscriptions: ReadonlyArray<{ readonly topic: string; readonly qos: 0 | 1 | 2 }>
}

export interface UnsubscribePacket {
  readonly cmd: 'unsubscribe'
  readonly messageId: number
  readonly unsubscriptions: readonly string[]
}

export interface PublishPacket {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly dup: boolean
  /** 0 for QoS 0. */
  readonly messageId: number
}

/** PUBREC or PUBCOMP. */
export interface HandshakePacket {
  readonly cmd: 'handshake'
  readonly messageId: number
}

/** Any other packet, by its name. */
export interface OtherPacket {
  readonly cmd: 'other'
  readonly name: string
}

export type DevicePacket = SubscribePacket | UnsubscribePacket | PublishPacket | HandshakePacket | OtherPacket

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

const isQos = (value: unknown): value is 0 | 1 | 2 => value === 0 || value === 1 || value === 2

function isSubscription(value: unknown): value is { topic: string; qos: 0 | 1 | 2 } {
  return isObject(value) && typeof value['topic'] === 'string' && isQos(value['qos'])
}

function asPublish({ topic, payload, qos, retain, dup, messageId = 0 }: Record<string, unknown>): PublishPacket | null {
  if (typeof topic !== 'string' || !Buffer.isBuffer(payload) || typeof messageId !== 'number') return null
  if (!isQos(qos)) return null
  return { cmd: 'publish', topic, payload, qos, retain: retain === true, dup: dup === true, messageId }
}

/** What mqtt-packet's parser made. Null: not of the form that we know, which its versions would have to change for. */
export function asDevicePacket(packet: unknown): DevicePacket | null {
  if (!isObject(packet) || typeof packet['cmd'] !== 'string') return null
  const { cmd, messageId, subscriptions, unsubscriptions } = packet
  switch (cmd) {
    case 'subscribe':
      return typeof messageId === 'number' && Array.isArray(subscriptions) && subscriptions.every(isSubscription)
        ? { cmd, messageId, subscriptions }
        : null
    case 'unsubscribe':
      return typeof messageId === 'number' &&
        Array.isArray(unsubscriptions) &&
        unsubscriptions.every((filter) => typeof filter === 'string')
        ? { cmd, messageId, unsubscriptions }
        : null
    case 'publish':
      return asPublish(packet)
    case 'pubrec':
    case 'pubcomp':
      return typeof messageId === 'number' ? { cmd: 'handshake', messageId } : null
    default:
      return { cmd: 'other', name: cmd }
  }
}
