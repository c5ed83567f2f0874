// Packets of MQTT 3.1.1 that are right, almost right and wrong: built field by field, so that every field can be another one.

import mqttPacket, { type Packet } from 'mqtt-packet'
import { mutate } from './bytes.js'
import type { Random } from './random.js'
import { word } from './words.js'

/** Who the packets are of. */
export interface Sender {
  readonly device: string
  readonly token: string
  /** Topics and filters that mean something to the server. */
  readonly topics: readonly string[]
}

const TYPES = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const
type TypeName = keyof typeof TYPES

const PACKET_IDS = [0, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xffff]

/** How often a field is not what it should be. */
const WRONG = 0.06

function remainingLength(length: number): Buffer {
  const bytes: number[] = []
  let rest = length
  do {
    const byte = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? byte | 0x80 : byte)
  } while (rest > 0)
  return Buffer.from(bytes)
}

/** A packet whose length is right, unless chance wants it otherwise. */
function packet(type: number, flags: number, body: Buffer, random: Random): Buffer {
  const length = random.chance(WRONG / 3)
    ? random.pick([0, 1, body.length + 1, Math.max(0, body.length - 1), 127, 128, 16_384, 268_435_455])
    : body.length
  const header = random.chance(WRONG / 3) ? Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f]) : remainingLength(length)
  return Buffer.concat([Buffer.from([(type << 4) | flags]), header, body])
}

const uint16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff])

/** A string with its length in front. */
function text(value: string | Buffer, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(value)
  if (random.chance(WRONG / 3)) bytes = mutate(bytes, random) // perhaps no UTF-8 any more
  if (bytes.length > 65_535) bytes = bytes.subarray(0, 65_535)
  return Buffer.concat([uint16(random.chance(WRONG / 3) ? random.below(65_536) : bytes.length), bytes])
}

const packetId = (random: Random): Buffer => uint16(random.chance(0.5) ? random.pick(PACKET_IDS) : random.below(65_536))

const topic = (random: Random, sender: Sender): string => {
  const own = random.chance(0.75) ? random.pick(sender.topics) : word(random, sender.topics)
  return random.chance(0.1) ? `${own}/${word(random)}` : own
}

function connect(random: Random, sender: Sender): Buffer {
  const name = random.chance(WRONG) ? word(random) : 'MQTT'
  const level = random.chance(WRONG) ? random.below(256) : 4
  const will = random.chance(0.2)
  const password = !random.chance(WRONG)
  const username = password ? !random.chance(WRONG) : random.chance(0.5)
  let flags = random.chance(0.5) ? 0x02 : 0
  if (will) flags |= 0x04 | (random.below(3) << 3) | (random.chance(0.3) ? 0x20 : 0)
  if (password) flags |= 0x40
  if (username) flags |= 0x80
  if (random.chance(WRONG)) flags = random.below(256)
  const fields = [
    text(random.chance(WRONG) ? word(random) : sender.device, random),
    ...(will ? [text(topic(random, sender), random), text(random.bytes(random.size(2_000)), random)] : []),
    ...(username ? [text(random.chance(WRONG) ? word(random) : sender.device, random)] : []),
    ...(password ? [text(random.chance(WRONG) ? word(random) : sender.token, random)] : []),
  ]
  const keepAlive = random.pick([0, 1, 60, 65_535])
  const body = Buffer.concat([text(name, random), Buffer.from([level, flags]), uint16(keepAlive), ...fields])
  return packet(TYPES.connect, random.chance(WRONG) ? random.below(16) : 0, body, random)
}

function publish(random: Random, sender: Sender): Buffer {
  const qos = random.chance(WRONG) ? 3 : random.below(3)
  const flags = (random.chance(0.1) ? 8 : 0) | (qos << 1) | (random.chance(0.2) ? 1 : 0)
  const payload = random.bytes(random.chance(0.01) ? random.size(300_000) : random.size(500))
  const id = qos > 0 ? [packetId(random)] : []
  return packet(TYPES.publish, flags, Buffer.concat([text(topic(random, sender), random), ...id, payload]), random)
}

function subscribe(random: Random, sender: Sender): Buffer {
  const count = random.chance(WRONG) ? random.pick([0, 101, 500]) : random.between(1, 4)
  const filters = Array.from({ length: count }, () =>
    Buffer.concat([
      text(topic(random, sender), random),
      Buffer.from([random.chance(WRONG) ? random.below(256) : random.below(3)]),
    ]),
  )
  const flags = random.chance(WRONG) ? random.below(16) : 2
  return packet(TYPES.subscribe, flags, Buffer.concat([packetId(random), ...filters]), random)
}

function unsubscribe(random: Random, sender: Sender): Buffer {
  const count = random.chance(WRONG) ? random.pick([0, 101, 500]) : random.between(1, 4)
  const filters = Array.from({ length: count }, () => text(topic(random, sender), random))
  const flags = random.chance(WRONG) ? random.below(16) : 2
  return packet(TYPES.unsubscribe, flags, Buffer.concat([packetId(random), ...filters]), random)
}

/** PUBACK and its kin, PINGREQ, DISCONNECT; and all that only servers send. */
function short(random: Random, name: TypeName): Buffer {
  const flags = name === 'pubrel' ? 2 : 0
  const bare = name === 'pingreq' || name === 'pingresp' || name === 'disconnect'
  const body = random.chance(WRONG) ? random.bytes(random.below(6)) : bare ? Buffer.alloc(0) : packetId(random)
  return packet(TYPES[name], random.chance(WRONG) ? random.below(16) : flags, body, random)
}

/** What a device sends, and how often; what it must not send is rare. */
const KINDS: ReadonlyArray<readonly [weight: number, name: TypeName]> = [
  [30, 'publish'],
  [20, 'subscribe'],
  [10, 'unsubscribe'],
  [14, 'puback'],
  [4, 'pubrel'],
  [10, 'pingreq'],
  [3, 'pubrec'],
  [3, 'pubcomp'],
  [1, 'connect'],
  [1, 'disconnect'],
  [1, 'connack'],
  [1, 'suback'],
  [1, 'unsuback'],
  [1, 'pingresp'],
]
const ALL_WEIGHTS = KINDS.reduce((sum, [weight]) => sum + weight, 0)

/** Any packet of a device that is connected. */
export function anyPacket(random: Random, sender: Sender): Buffer {
  let left = random.below(ALL_WEIGHTS)
  const [, name] = KINDS.find(([weight]) => (left -= weight) < 0) ?? [0, 'pingreq' as const]
  const made =
    name === 'connect'
      ? connect(random, sender)
      : name === 'publish'
        ? publish(random, sender)
        : name === 'subscribe'
          ? subscribe(random, sender)
          : name === 'unsubscribe'
            ? unsubscribe(random, sender)
            : short(random, name)
  if (random.chance(0.04)) return mutate(made, random)
  return random.chance(0.01) ? Buffer.concat([Buffer.from([random.below(256)]), made]) : made
}

/** What comes before anything else: mostly a CONNECT, with a fault or two. */
export function anyConnect(random: Random, sender: Sender): Buffer {
  const kind = random.fraction()
  if (kind < 0.6) return connect(random, sender)
  if (kind < 0.8) return mutate(goodConnect(sender, true), random)
  if (kind < 0.9) return anyPacket(random, sender)
  return random.bytes(random.between(1, 300))
}

/** A CONNECT without a fault. */
export function goodConnect({ device, token }: Sender, clean: boolean, keepalive = 60): Buffer {
  const made: Packet = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: device,
    clean,
    keepalive,
    username: device,
    password: Buffer.from(token),
  }
  return mqttPacket.generate(made)
}
