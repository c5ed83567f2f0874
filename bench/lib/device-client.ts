// A device: one MQTT connection over a plain socket that subscribes, hands every payload on and acknowledges it. Written for
// cheapness (one read buffer for all sockets, one write per read, no streams above the socket), because it shares the
// machine with the server that it measures.
import { connect, type Socket } from 'node:net'
import { StreamSide } from './stream-side.js'
import {
  CONNACK,
  DISCONNECT,
  PUBLISH,
  PacketReader,
  SUBACK,
  encodeConnect,
  encodePuback,
  encodeSubscribe,
  type ConnectOptions,
} from './mqtt-codec.js'

/** Sockets read one after the other and each buffer is used up before the next read: one is enough for all. */
const sharedRead = Buffer.allocUnsafeSlow(64 * 1024)

export interface DeviceClientOptions extends ConnectOptions {
  readonly host: string
  readonly port: number
  /** Null: connect only. */
  readonly filter: string | null
  /** The window to ask for in stream mode; null: plain mode. */
  readonly streamWindow: number | null
}

export interface DeviceClientHandlers {
  /** A message: its payload is `bytes[from..to)`, valid during the call only. */
  message(device: number, bytes: Uint8Array, from: number, to: number): void
  /** Every read that held messages, before its messages are handed on. */
  arrival(): void
  /** The connection ended after it was ready. */
  lost(device: number, why: string): void
}

export class DeviceClient {
  readonly #device: number
  readonly #options: DeviceClientOptions
  readonly #handlers: DeviceClientHandlers
  readonly #reader: PacketReader
  readonly #stream: StreamSide | null
  #socket: Socket | null = null
  #state: 'opening' | 'ready' | 'closed' = 'opening'
  #acks: Buffer | Buffer[] | null = null
  #settle: ((error: Error | null) => void) | null = null

  constructor(device: number, options: DeviceClientOptions, handlers: DeviceClientHandlers) {
    this.#device = device
    this.#options = options
    this.#handlers = handlers
    const { clientId, streamWindow } = options
    this.#stream = streamWindow === null ? null : new StreamSide(clientId, streamWindow)
    this.#reader = new PacketReader((head, bytes, from, to) => this.#packet(head, bytes, from, to))
  }

  /** Resolves when the server accepted the connection and the subscription. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = (error) => (error === null ? resolve() : reject(error))
      const socket = connect({
        host: this.#options.host,
        port: this.#options.port,
        noDelay: true,
        onread: {
          buffer: sharedRead,
          callback: (length) => {
            this.#read(length)
            return true
          },
        },
      })
      this.#socket = socket
      socket.once('connect', () => socket.write(encodeConnect(this.#options)))
      socket.once('error', (error) => this.#end(error.message))
      socket.once('close', () => this.#end('closed by the server'))
    })
  }

  /** Says DISCONNECT and closes; resolves when the socket is closed. */
  close(): Promise<void> {
    const socket = this.#socket
    this.#state = 'closed'
    if (socket === null || socket.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      socket.once('close', () => resolve())
      socket.end(DISCONNECT)
      // A server that does not end its half would keep the process alive.
      setTimeout(() => socket.destroy(), 1000).unref()
    })
  }

  #read(length: number): void {
    try {
      this.#reader.push(sharedRead, length)
    } catch (error) {
      this.#socket?.destroy(error instanceof Error ? error : new Error(String(error)))
      return
    }
    const acks = this.#acks
    if (acks === null) return
    this.#acks = null
    const list = Array.isArray(acks) ? acks : [acks]
    const handled = this.#stream?.ack() ?? null
    if (handled !== null) list.push(handled)
    this.#socket?.write(Buffer.concat(list))
  }

  #packet(head: number, bytes: Uint8Array, from: number, to: number): void {
    const type = head >> 4
    if (type === PUBLISH) this.#publish(head, bytes, from, to)
    else if (type === CONNACK) this.#connack(bytes[from + 1] ?? 255)
    else if (type === SUBACK) this.#suback(bytes[from + 2] ?? 0x80)
  }

  #publish(head: number, bytes: Uint8Array, from: number, to: number): void {
    let payload = from + 2 + (((bytes[from] ?? 0) << 8) | (bytes[from + 1] ?? 0))
    if (this.#acks === null) this.#handlers.arrival()
    if ((head & 6) !== 0) {
      const ack = encodePuback(((bytes[payload] ?? 0) << 8) | (bytes[payload + 1] ?? 0))
      payload += 2
      if (this.#acks === null) this.#acks = ack
      else if (Array.isArray(this.#acks)) this.#acks.push(ack)
      else this.#acks = [this.#acks, ack]
    }
    if (this.#stream === null) this.#handlers.message(this.#device, bytes, payload, to)
    else this.#frame(this.#stream, bytes.subarray(payload, to))
  }

  #frame(stream: StreamSide, frame: Uint8Array): void {
    stream.take(frame, (payload) => this.#handlers.message(this.#device, payload, 0, payload.length))
    if (stream.broken !== null) this.#end(stream.broken)
  }

  #connack(code: number): void {
    if (code !== 0) this.#end(`CONNACK ${code}`)
    else if (this.#options.filter === null) this.#ready()
    else this.#socket?.write(encodeSubscribe(1, this.#options.filter, 1))
  }

  #suback(code: number): void {
    if (code === 0x80) return this.#end('subscription refused')
    if (this.#stream !== null) this.#socket?.write(this.#stream.hello())
    this.#ready()
  }

  #ready(): void {
    this.#state = 'ready'
    this.#settle?.(null)
    this.#settle = null
  }

  #end(why: string): void {
    const before = this.#state
    this.#state = 'closed'
    this.#socket?.destroy()
    if (before === 'opening') this.#settle?.(new Error(why))
    else if (before === 'ready') this.#handlers.lost(this.#device, why)
    this.#settle = null
  }
}
