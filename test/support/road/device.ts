// A device on a plain socket that comes back by itself whenever its connection ends, and tells the ledger all that it sees.

import { connect, type Socket } from 'node:net'
import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import type { ConnectionNotes } from './ledger.js'
import { readMark, seqOf } from './payload.js'
import { until } from './wait.js'

/** Who is told what a device sees. */
export interface DeviceWatch {
  /** `localPort`: the device's end of the connection. */
  connected(device: string, localPort: number): ConnectionNotes
}

export interface RoadDeviceOptions {
  readonly device: string
  readonly token: string
  readonly port: () => number
  readonly ledger: DeviceWatch
  readonly clean?: boolean
  /** `inbox/{id}/+`, which names the seqs, unless given. */
  readonly filter?: string
  /** How long it takes to handle what came in one read; null: it never acknowledges. Default 0. */
  readonly ackDelayMs?: number | null
  /** Its first connection reads nothing after CONNACK, until `resume`. */
  readonly stallsFirst?: boolean
  /** False: a connection that ends is not replaced. */
  readonly returns?: boolean
  /** It pings, and ends a connection on which it heard nothing for so long; one that is not accepted gets twice as long. Default: never. */
  readonly livenessMs?: number
  /** The longest wait before it connects again; longer when that fails again and again. Default: 100, always. */
  readonly retryMs?: number
  /** Called for every message: how long it was on the road. */
  readonly onLatency?: (ms: number) => void
}

export class RoadDevice {
  readonly device: string
  readonly #options: RoadDeviceOptions
  #socket: Socket | null = null
  #running = false
  #retry: NodeJS.Timeout | undefined
  #closed: Promise<void> = Promise.resolve()
  /** Connections in a row that were not accepted. */
  #failures = 0
  /** CONNACK 0 and SUBACK have come, and the connection has not ended since. */
  ready = false
  /** Connections that were accepted. */
  connections = 0
  /** Connections that ended after they were accepted, and when the last one did. */
  ends = 0
  endedAt = 0
  /** When it was `ready` last. */
  readyAt = 0
  /** CONNACK codes other than 0, and how often. */
  readonly refusals = new Map<number, number>()
  received = 0
  bytes = 0

  constructor(options: RoadDeviceOptions) {
    this.#options = options
    this.device = options.device
  }

  start(): this {
    this.#running = true
    this.#connect()
    return this
  }

  async untilReady(): Promise<this> {
    await until(`${this.device} to be connected`, () => this.ready)
    return this
  }

  /** Says DISCONNECT, unless `rude`, and stays away. */
  async stop(rude = false): Promise<void> {
    this.#running = false
    clearTimeout(this.#retry)
    if (rude) this.#socket?.destroy()
    else this.#socket?.end(mqttPacket.generate({ cmd: 'disconnect' }))
    this.#socket?.resume()
    await this.#closed
  }

  /** Stops reading: what the server sends stays in the buffers of the two kernels, then in the server's. */
  stall(): void {
    this.#socket?.pause()
  }

  resume(): void {
    this.#socket?.resume()
  }

  /** Reads what the kernel has, at most one buffer of it, and stalls again. */
  readOnce(): void {
    const socket = this.#socket
    socket?.once('data', () => socket.pause())
    socket?.resume()
  }

  send(packet: Packet): void {
    this.#socket?.write(mqttPacket.generate(packet))
  }

  #connect(): void {
    const { device, token, port, ledger, clean = true } = this.#options
    const socket = connect({ host: '127.0.0.1', port: port(), noDelay: true })
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    let notes: ConnectionNotes | null = null
    let chunk: IPublishPacket[] = []
    this.#socket = socket
    socket.once('connect', () => {
      const packet: Packet = {
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion: 4,
        clientId: device,
        username: device,
        password: Buffer.from(token),
        clean,
        keepalive: 60,
      }
      socket.write(mqttPacket.generate(packet))
    })
    parser.on('packet', (packet) => {
      if (packet.cmd === 'publish') chunk.push(packet)
      else if (packet.cmd === 'suback') {
        this.ready = packet.granted[0] === 1
        this.readyAt = performance.now()
        this.#failures = 0
      } else if (packet.cmd === 'connack' && packet.returnCode === 0) {
        this.connections++
        notes = ledger.connected(device, socket.localPort ?? 0)
        const topic = this.#options.filter ?? `inbox/${device}/+`
        this.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] })
        if (this.#options.stallsFirst === true && this.connections === 1) this.stall()
      } else if (packet.cmd === 'connack') {
        const code = packet.returnCode ?? -1
        this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
      }
    })
    let heardAt = performance.now()
    const liveness =
      this.#options.livenessMs === undefined
        ? undefined
        : setInterval(() => {
            const patience = (this.#options.livenessMs ?? 0) * (this.ready ? 1 : 2)
            if (performance.now() - heardAt > patience) socket.destroy()
            else if (notes !== null) socket.write(mqttPacket.generate({ cmd: 'pingreq' }))
          }, this.#options.livenessMs / 3)
    socket.on('data', (data) => {
      heardAt = performance.now()
      chunk = []
      parser.parse(data)
      if (notes !== null && chunk.length > 0) this.#take(socket, notes, chunk)
    })
    socket.on('error', () => {}) // 'close' follows
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        clearInterval(liveness)
        this.ready = false
        notes?.ended?.()
        if (notes !== null) {
          this.ends++
          this.endedAt = performance.now()
        }
        if (this.#running && this.#options.returns !== false)
          this.#retry = setTimeout(() => this.#connect(), this.#retryMs())
        resolve()
      })
    })
  }

  #retryMs(): number {
    const { retryMs } = this.#options
    const most = retryMs === undefined ? 100 : retryMs * 2 ** Math.min(this.#failures++, 4)
    return (0.3 + Math.random() * 0.7) * most
  }

  #take(socket: Socket, notes: ConnectionNotes, packets: readonly IPublishPacket[]): void {
    const { ackDelayMs = 0, onLatency } = this.#options
    const numbers = packets.map(({ topic, payload, dup }) => {
      const { number, at } = readMark(payload)
      notes.arrived(number, seqOf(topic), dup, at)
      this.received++
      this.bytes += payload.length
      onLatency?.(performance.now() - at)
      return number
    })
    const acknowledge = (): void => {
      if (socket.destroyed || !socket.writable) return
      for (const number of numbers) notes.acked(number)
      const acks = packets.map(({ messageId = 0 }) => mqttPacket.generate({ cmd: 'puback', messageId }))
      socket.write(Buffer.concat(acks))
    }
    if (ackDelayMs === 0) acknowledge()
    else if (ackDelayMs !== null) setTimeout(acknowledge, ackDelayMs)
  }
}
