// A device on a plain socket that publishes 1, 2, 3 … to its uplink with QoS 1, some at a time, and does what MQTT asks of it
// when its connection ends: it comes back and sends again what was not acknowledged, in order, with DUP and the same packet
// ids [MQTT-4.4.0-1].

import { connect, type Socket } from 'node:net'
import mqttPacket, { type IConnectPacket, type Packet } from 'mqtt-packet'
import { until } from './wait.js'

export interface UplinkDeviceOptions {
  readonly device: string
  readonly token: string
  readonly port: () => number
  /** Unacknowledged at a time. */
  readonly window: number
  /** The number is padded to so many bytes. Default: it is not. */
  readonly payloadBytes?: number
  /** Also with QoS 0: every so manieth, beside the numbered ones. 0: none. */
  readonly tossEvery?: number
  readonly will?: IConnectPacket['will']
  /** Called for each PUBACK, before anything else happens. */
  readonly onAck?: (number: number) => void
}

export class UplinkDevice {
  readonly device: string
  readonly #options: UplinkDeviceOptions
  #socket: Socket | null = null
  #running = false
  #retry: NodeJS.Timeout | undefined
  /** By packet id, in the order in which they were sent. */
  readonly #unacked = new Map<number, number>()
  #next = 1
  ready = false
  /** Numbers whose PUBACK came, in the order in which it did. */
  readonly acked: number[] = []
  /** Numbers that were sent more than once. */
  readonly repeated = new Set<number>()
  /** Connections that were accepted. */
  connections = 0
  /** PUBACKs that were not for the oldest packet under way. */
  outOfOrder = 0

  constructor(options: UplinkDeviceOptions) {
    this.#options = options
    this.device = options.device
  }

  /** The highest number that was sent. */
  get sent(): number {
    return this.#next - 1
  }

  start(): this {
    this.#running = true
    this.#connect()
    return this
  }

  /** Sends nothing new, and comes back until everything is acknowledged. */
  async finish(): Promise<void> {
    this.#running = false
    await until(`all of ${this.device} to be acknowledged`, () => this.#unacked.size === 0)
    clearTimeout(this.#retry)
    this.#socket?.end(mqttPacket.generate({ cmd: 'disconnect' }))
  }

  #connect(): void {
    const socket = connect({ host: '127.0.0.1', port: this.#options.port(), noDelay: true })
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => this.#took(packet))
    socket.on('connect', () => this.#write(this.#connectPacket()))
    socket.on('data', (chunk) => parser.parse(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.ready = false
      if (this.#running || this.#unacked.size > 0) this.#retry = setTimeout(() => this.#connect(), 20)
    })
    this.#socket = socket
  }

  #connectPacket(): Packet {
    const { device, token, will } = this.#options
    return {
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: device,
      clean: false,
      keepalive: 60,
      username: device,
      password: Buffer.from(token),
      ...(will === undefined ? {} : { will }),
    }
  }

  #took(packet: Packet): void {
    if (packet.cmd === 'connack' && packet.returnCode === 0) {
      this.ready = true
      this.connections++
      for (const [packetId, number] of this.#unacked) {
        this.repeated.add(number)
        this.#publish(packetId, number, true)
      }
      this.#pump()
    } else if (packet.cmd === 'puback') {
      const packetId = packet.messageId ?? 0
      const number = this.#unacked.get(packetId)
      if (number === undefined) return
      this.acked.push(number)
      this.#options.onAck?.(number)
      const [oldest] = this.#unacked.keys()
      if (oldest !== packetId) this.outOfOrder++
      this.#unacked.delete(packetId)
      this.#pump()
    }
  }

  #pump(): void {
    const { window, tossEvery = 0 } = this.#options
    while (this.#running && this.ready && this.#unacked.size < window) {
      const number = this.#next++
      const packetId = ((number - 1) % 60_000) + 1
      this.#unacked.set(packetId, number)
      this.#publish(packetId, number, false)
      if (tossEvery > 0 && number % tossEvery === 0) this.#toss(number)
    }
  }

  #publish(messageId: number, number: number, dup: boolean): void {
    const topic = `uplink/${this.device}/numbers`
    const payload = String(number).padEnd(this.#options.payloadBytes ?? 0)
    this.#write({ cmd: 'publish', topic, qos: 1, messageId, dup, retain: false, payload })
  }

  #toss(number: number): void {
    const topic = `uplink/${this.device}/tossed`
    this.#write({ cmd: 'publish', topic, qos: 0, dup: false, retain: false, payload: String(number) })
  }

  #write(packet: Packet): void {
    this.#socket?.write(mqttPacket.generate(packet))
  }
}
