// One connection of a random device: what it sends, and what the server may send back.

import { connect } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'
import { WebSocket } from 'ws'
import type { TestServer } from '../server.js'
import { cut } from './bytes.js'
import { anyConnect, anyPacket, goodConnect, type Sender } from './mqtt-input.js'
import type { Random } from './random.js'
import { reset } from './reset.js'
import { CANARY, FUZZ_DEVICES } from './subject.js'
import { within } from './within.js'
import { word } from './words.js'

/** How a case's bytes get to the server and its answers back. */
export interface Line {
  send(bytes: Buffer): void
  /** Says that nothing more comes; or not even that. */
  end(rude: boolean): void
  readonly closed: boolean
}

/** Opens a line; bytes from the server go to `received`. Rejects when there is none. */
export type OpenLine = (received: (bytes: Buffer) => void) => Promise<Line>

export const tcpLine =
  (port: number): OpenLine =>
  (received) =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      const line = {
        closed: false,
        send: (bytes: Buffer): void => void socket.write(bytes),
        end: (rude: boolean): void => void (rude ? reset(socket) : socket.end()),
      }
      socket.on('data', received)
      socket.on('error', reject)
      socket.on('close', () => (line.closed = true))
      socket.once('connect', () => resolve(line))
    })

/** MQTT in binary frames of a WebSocket that is all right. */
export const webSocketLine =
  (port: number): OpenLine =>
  (received) =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ['mqtt'])
      const line = {
        closed: false,
        send: (bytes: Buffer): void => {
          if (socket.readyState === socket.OPEN) socket.send(bytes)
        },
        end: (rude: boolean): void => (rude ? socket.terminate() : socket.close()),
      }
      socket.on('message', (data) => {
        if (Buffer.isBuffer(data)) received(data)
      })
      socket.on('error', reject)
      socket.on('close', () => (line.closed = true))
      socket.once('open', () => resolve(line))
    })

/** What a server may send to a device: by [MQTT-2.2.1], without what answers QoS 2 that it never began. */
const FROM_SERVER: ReadonlySet<string> = new Set([
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'pingresp',
])

/** Reads what the server sends, and keeps the first thing that it must not send. */
class Reader {
  fault: string | null = null
  readonly packets: Packet[] = []
  readonly #device: string
  readonly #parser = mqttPacket.parser({ protocolVersion: 4 })

  constructor(device: string) {
    this.#device = device
    this.#parser.on('packet', (packet) => this.#look(packet))
    this.#parser.on('error', (error) => (this.fault ??= `the server’s bytes are no packets: ${error.message}`))
  }

  readonly read = (bytes: Buffer): void => {
    this.#parser.parse(bytes)
  }

  #look(packet: Packet): void {
    this.packets.push(packet)
    const first = this.packets.length === 1
    if (!FROM_SERVER.has(packet.cmd)) this.fault ??= `the server sent ${packet.cmd}`
    if (first !== (packet.cmd === 'connack'))
      this.fault ??= `packet ${this.packets.length} of the server is ${packet.cmd}`
    if (packet.cmd !== 'publish') return
    const [kind = '', owner = ''] = packet.topic.split('/')
    const foreign = ['inbox', 'stream', 'uplink'].includes(kind) && owner !== this.#device
    if (foreign || packet.topic.startsWith('$')) this.fault ??= `the server sent ${packet.topic} to ${this.#device}`
  }
}

/** What the tokens of the devices grant. Few topics to publish to: what is retained is kept. */
const ORDINARY_TOPICS = ['fuzz/a', 'fuzz/b', 'fuzz/c/d'] as const
export const GRANTS = { publish: ORDINARY_TOPICS, subscribe: ['#'] }

/** Ends all sessions and takes away what is retained, so that memory can be compared. */
export async function tidyUp(open: OpenLine, token: (device: string) => Promise<string>): Promise<void> {
  for (const device of FUZZ_DEVICES) {
    const reader = new Reader(device)
    const line = await open(reader.read)
    line.send(goodConnect({ device, token: await token(device), topics: [] }, true))
    for (const topic of ORDINARY_TOPICS) {
      line.send(mqttPacket.generate({ cmd: 'publish', topic, payload: '', qos: 0, retain: true, dup: false }))
    }
    line.send(mqttPacket.generate({ cmd: 'pingreq' }))
    if (!(await within(10_000, () => reader.packets.some(({ cmd }) => cmd === 'pingresp'))))
      throw new Error(`${device} is not answered`)
    line.send(mqttPacket.generate({ cmd: 'disconnect' }))
    line.end(false)
    await within(5_000, () => line.closed)
  }
}

export function topicsOf(device: string): readonly string[] {
  return [
    `inbox/${device}`,
    `inbox/${device}/+`,
    `stream/${device}`,
    `stream/${device}/hello`,
    `stream/${device}/ack`,
    `stream/${device}/uplink`,
    `uplink/${device}/a`,
    `uplink/${device}/a/b`,
    `inbox/${CANARY}`,
    `inbox/${CANARY}/+`,
    `uplink/${CANARY}/a`,
    ...ORDINARY_TOPICS,
    'fuzz/+',
    'fuzz/#',
    '#',
    '+/+',
    '$SYS/#',
  ]
}

export interface MqttCaseOptions {
  readonly server: TestServer
  readonly open: OpenLine
  /** How many of the cases speak before they are connected. */
  readonly strangers: number
  token(this: void, device: string): Promise<string>
}

/** A case: a stranger's bytes, or a device that connects and then sends packets with faults. */
export async function mqttCase(random: Random, { server, open, strangers, token }: MqttCaseOptions): Promise<void> {
  const device = random.pick(FUZZ_DEVICES)
  const sender: Sender = { device, token: await token(device), topics: topicsOf(device) }
  const reader = new Reader(device)
  const line = await open(reader.read)
  const input: Buffer[] = []
  const stranger = random.chance(strangers)
  if (stranger) input.push(anyConnect(random, sender))
  else input.push(goodConnect(sender, random.chance(0.5), random.pick([0, 1, 60])))
  if (!stranger && random.chance(0.6)) {
    const topic = random.pick([`inbox/${device}`, `inbox/${device}/+`, word(random, sender.topics)])
    input.push(mqttPacket.generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] }))
  }
  for (let left = random.between(stranger ? 0 : 1, 12); left > 0; left--) input.push(anyPacket(random, sender))
  // Something to acknowledge, from time to time.
  const pushed =
    !stranger && random.chance(0.1) ? server.rest('POST', `/v1/devices/${device}/messages`, { payload: 'x' }) : null

  const connected = (): boolean => line.closed || reader.packets.length > 0
  if (!stranger && random.chance(0.5)) {
    line.send(input.shift() ?? Buffer.alloc(0))
    if (!(await within(5_000, connected))) throw new Error('no CONNACK')
  }
  const bytes = random.chance(0.5) ? [Buffer.concat(input)] : input
  for (const piece of bytes.flatMap((each) => cut(each, random))) {
    if (line.closed) break
    line.send(piece)
    if (random.chance(0.05)) await new Promise((resolve) => setImmediate(resolve))
  }
  if (random.chance(0.5)) await within(random.pick([2, 10, 50]), connected)
  await pushed
  line.end(random.chance(0.3))
  if (!(await within(10_000, () => line.closed))) throw new Error('the connection does not end')
  if (reader.fault !== null)
    throw new Error(`${reader.fault}; sent ${Buffer.concat(input).toString('hex').slice(0, 2_000)}`)
}
