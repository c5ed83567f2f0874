import type { Socket } from 'node:net'
import type { Peer, Wire, WireHandler } from '../wire.js'
import { createGate, type GateOptions } from './gate.js'
import type { DeviceListener } from './device-listener.js'

export interface TcpListenerOptions extends GateOptions {
  onBytesOut(this: void, bytes: number): void
  accept(this: void, wire: Wire): void
}

/** MQTT over TCP, or over TLS. */
export function createTcpListener(options: TcpListenerOptions): DeviceListener {
  return createGate(options, (socket, peer, visit) => {
    if (visit.pass()) options.accept(new TcpWire(socket, peer, options))
  })
}

export class TcpWire implements Wire {
  readonly peer: Peer
  /** TLS or not: its writable side counts a byte until the operating system has what became of it. */
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
    // Somebody has read a header from it, and left the rest there.
    if (socket.isPaused()) socket.resume()
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
