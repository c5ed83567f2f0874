// Producers over MQTT: QoS 1 publishers, each with a window of unacknowledged messages and a share of the devices of its
// own, so that the messages of one device come from one connection in order.
import { connect, type Socket } from 'node:net'
import { deviceMark, mark, MARK_BYTES, nowMicros, timeMark } from './marks.js'
import {
  CONNACK,
  DISCONNECT,
  PUBACK,
  PacketReader,
  encodeConnect,
  encodePublishHead,
  type ConnectOptions,
} from './mqtt-codec.js'
import type { ProducerOptions, ProducerRun } from './producer.js'
import { Share } from './producer.js'
import { signDeviceToken } from './tokens.js'

class Publisher {
  readonly #options: ProducerOptions
  readonly #run: ProducerRun
  readonly #share: Share
  readonly #index: number
  readonly #heads: Map<number, { head: Buffer; mark: string }> = new Map()
  readonly #inFlight = new Map<number, { device: number; number: number }>()
  readonly #filler: string
  #packetId = 0
  #socket: Socket | null = null
  #done: ((error: Error | null) => void) | null = null

  constructor(options: ProducerOptions, run: ProducerRun, index: number) {
    this.#options = options
    this.#run = run
    this.#index = index
    this.#share = new Share(options, index)
    this.#filler = 'x'.repeat(Math.max(0, options.payloadBytes - MARK_BYTES))
    for (const device of this.#share.devices) {
      const head = encodePublishHead(
        `${options.topicPrefix}${options.idPrefix}${device}${options.topicSuffix}`,
        options.payloadBytes,
      )
      this.#heads.set(device, { head, mark: deviceMark(device) })
    }
  }

  connect(): Promise<void> {
    const who = this.#identity()
    return new Promise((resolve, reject) => {
      const socket = connect({ host: this.#options.host, port: this.#options.port, noDelay: true })
      this.#socket = socket
      const reader = new PacketReader((head, bytes, from) => {
        if (head >> 4 === CONNACK) {
          if (bytes[from + 1] === 0) resolve()
          else reject(new Error(`publisher refused with CONNACK ${bytes[from + 1]}`))
        } else if (head >> 4 === PUBACK) {
          this.#inFlight.delete(((bytes[from] ?? 0) << 8) | (bytes[from + 1] ?? 0))
          this.#run.accepted(1)
        }
      })
      socket.on('data', (data) => {
        reader.push(data, data.length)
        this.#pump()
      })
      socket.once('connect', () => socket.write(encodeConnect({ ...who, clean: true, keepAlive: 0 })))
      socket.once('error', reject)
      socket.once('close', () => this.#closed(reject))
    })
  }

  #identity(): Pick<ConnectOptions, 'clientId' | 'username' | 'password'> {
    const { idPrefix, tokenSecret } = this.#options
    if (tokenSecret === null) {
      return { clientId: `bench-publisher-${process.pid}-${this.#index}`, username: null, password: null }
    }
    const [device, ...others] = this.#share.devices
    if (device === undefined || others.length > 0) throw new RangeError('a device needs a connection of its own')
    const clientId = `${idPrefix}${device}`
    const password = signDeviceToken(tokenSecret, clientId, Math.floor(Date.now() / 1000))
    return { clientId, username: clientId, password }
  }

  /** Publishes until the run has given out its messages and the last one is acknowledged. */
  publish(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#done = (error) => (error === null ? resolve() : reject(error))
      this.#pump()
    })
  }

  close(): void {
    this.#socket?.end(DISCONNECT)
  }

  #closed(reject: (error: Error) => void): void {
    const error = new Error('the broker closed a publisher')
    for (const { device, number } of this.#inFlight.values()) this.#run.ledger.unknown(device, number)
    this.#done?.(error)
    reject(error)
  }

  #pump(): void {
    if (this.#done === null) return
    const chunks: Buffer[] = []
    const time = timeMark(nowMicros())
    while (this.#inFlight.size < this.#options.window && this.#run.take(1) === 1) {
      const device = this.#share.next()
      const target = this.#heads.get(device)
      if (target === undefined) throw new Error(`device ${device} is not of this share`)
      const number = this.#run.ledger.next(device)
      const id = this.#nextPacketId()
      this.#inFlight.set(id, { device, number })
      const payload = `${String.fromCharCode(id >> 8, id & 255)}${mark(target.mark, number, time)}${this.#filler}`
      chunks.push(target.head, Buffer.from(payload, 'latin1'))
    }
    if (chunks.length > 0) this.#socket?.write(Buffer.concat(chunks))
    if (this.#inFlight.size === 0 && this.#run.exhausted) {
      this.#done(null)
      this.#done = null
    }
  }

  #nextPacketId(): number {
    this.#packetId = (this.#packetId % 0xffff) + 1
    return this.#packetId
  }
}

/** Sends the run's messages through `options.connections` publishers. */
export async function publishOverMqtt(options: ProducerOptions, run: ProducerRun): Promise<void> {
  const publishers = Array.from({ length: options.connections }, (_, index) => new Publisher(options, run, index))
  try {
    await Promise.all(publishers.map((publisher) => publisher.connect()))
    run.begin()
    await Promise.all(publishers.map((publisher) => publisher.publish()))
  } finally {
    for (const publisher of publishers) publisher.close()
  }
}
