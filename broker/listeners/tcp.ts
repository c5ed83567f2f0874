import { createServer, type Socket } from 'node:net'
import type { Logger } from '../../core/log.js'
import type { Doorway } from '../doorway.js'
import type { Peer, Wire, WireHandler } from '../wire.js'
import { countSocket, listen, peerOf, type DeviceListener } from './listen.js'

/** TCP keep-alive: finds peers that vanished although their MQTT keep-alive is off. */
const TCP_KEEPALIVE_MS = 60_000
const BACKLOG_ERRORS_LOGGED_AS = 'accepting a connection failed'

export interface TcpListenerOptions {
  readonly host: string
  readonly port: number
  readonly log: Logger
  readonly door: Doorway
  onBytesOut(this: void, bytes: number): void
  accept(this: void, wire: Wire): void
}

/** MQTT over TCP. */
export function createTcpListener(options: TcpListenerOptions): DeviceListener {
  const { host, port, log, door, accept } = options
  const server = createServer(
    { noDelay: true, allowHalfOpen: false, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS },
    (socket) => {
      accept(new TcpWire(socket, peerOf(socket), options))
      countSocket(socket, door)
    },
  )
  server.on('error', (err) => log.error({ err }, BACKLOG_ERRORS_LOGGED_AS))
  return {
    listen: () => listen(server, 'MQTT', host, port),
    close: () => {
      if (server.listening) server.close()
    },
  }
}

export class TcpWire implements Wire {
  readonly peer: Peer
  readonly #socket: Socket
  readonly #counter: { onBytesOut(bytes: number): void }

  constructor(socket: Socket, peer: Peer, counter: { onBytesOut(bytes: number): void }) {
    this.#socket = socket
    this.peer = peer
    this.#counter = counter
  }

  get buffered(): number {
    return this.#socket.writableLength
  }

  attach(handler: WireHandler): void {
    const socket = this.#socket
    // A reset tells nothing that the close after it does not.
    socket.on('error', ignore)
    socket.on('data', (chunk: Buffer) => handler.received(chunk))
    socket.on('drain', () => handler.writable())
    socket.on('end', () => handler.ended())
    socket.on('close', () => handler.closed())
  }

  write(bytes: Buffer): boolean {
    this.#counter.onBytesOut(bytes.length)
    return this.#socket.write(bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  finish(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

const ignore = (): void => {}
