// A device that speaks bytes: for what no MQTT library would send, and for PUBACKs when the test wants them.

import { connect, type Socket } from 'node:net'
import mqttPacket, { type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import { until } from './node.js'

export class RawClient {
  readonly socket: Socket
  readonly packets: Packet[] = []
  closed = false
  /** Told of each packet as it comes. */
  onPacket: (packet: Packet) => void = () => {}

  private constructor(socket: Socket) {
    this.socket = socket
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => {
      this.packets.push(packet)
      this.onPacket(packet)
    })
    socket.on('data', (chunk) => parser.parse(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
    })
  }

  static async to(port: number): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket)
  }

  /** A device on a socket that is there already: with TLS, or behind a header. */
  static on(socket: Socket): RawClient {
    return new RawClient(socket)
  }

  /** Connects as `device` and waits for the CONNACK. */
  static async as(
    port: number,
    device: string,
    token: string,
    options: Partial<IConnectPacket> = {},
  ): Promise<RawClient> {
    const client = await RawClient.to(port)
    client.send(connectPacket(device, token, options))
    await client.next('connack')
    return client
  }

  send(...packets: Array<Packet | Buffer>): void {
    const bytes = packets.map((packet) => (Buffer.isBuffer(packet) ? packet : mqttPacket.generate(packet)))
    this.socket.write(Buffer.concat(bytes))
  }

  /** The `n`th packet (from 1) of a kind that came, waited for. */
  async next(cmd: Packet['cmd'], n = 1): Promise<Packet> {
    let found: Packet | undefined
    await until(`${cmd} ${n}, got ${this.packets.map((packet) => packet.cmd).join()}`, () => {
      found = this.packets.filter((packet) => packet.cmd === cmd)[n - 1]
      return found !== undefined || this.closed
    })
    if (found === undefined) throw new Error(`closed before ${cmd} ${n}`)
    return found
  }

  get publishes(): IPublishPacket[] {
    return this.packets.filter((packet) => packet.cmd === 'publish')
  }

  /** Payloads as text, in the order in which they came. */
  get texts(): string[] {
    return this.publishes.map((packet) => packet.payload.toString())
  }

  async subscribe(filter: string, messageId = 1, qos: 0 | 1 | 2 = 1): Promise<Packet> {
    const before = this.packets.filter((packet) => packet.cmd === 'suback').length
    this.send({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] })
    return this.next('suback', before + 1)
  }

  ack(...packets: IPublishPacket[]): void {
    this.send(...packets.map((packet): Packet => ({ cmd: 'puback', messageId: packet.messageId ?? 0 })))
  }

  async end(): Promise<void> {
    this.socket.destroy()
    await until('the own socket to close', () => this.closed)
  }

  async untilClosed(ms = 5_000): Promise<void> {
    await until('the broker to close the connection', () => this.closed, ms)
  }
}

export function connectPacket(device: string, token: string | null, options: Partial<IConnectPacket> = {}): Packet {
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: device,
    clean: true,
    keepalive: 60,
    username: device,
    ...(token === null ? {} : { password: Buffer.from(token) }),
    ...options,
  }
}
