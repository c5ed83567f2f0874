// Between a device and its server: passes bytes on and cuts the connection behind the n-th one, in one direction or the other.

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Where a connection is cut. */
export interface Cut {
  /** Of the bytes that go to the device, or to the server. */
  readonly direction: 'down' | 'up'
  readonly bytes: number
  /** True: the server does not notice; it has a connection that says nothing any more. */
  readonly serverKept: boolean
}

export class CuttingProxy {
  readonly #server: Server
  /** The port on this machine that new connections go to. */
  target: number
  readonly #next: () => Cut | null
  readonly #sockets = new Set<Socket>()
  cuts = 0
  connections = 0
  /** Bytes that were passed on. */
  readonly passed = { down: 0, up: 0 }

  private constructor(target: number, next: () => Cut | null) {
    this.target = target
    this.#next = next
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket))
  }

  /** To a port of this machine. `next`: where the next connection is cut; null: it stays. */
  static async start(t: Test, target: number, next: () => Cut | null = () => null): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, next)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => proxy.stop())
    return proxy
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    return address.port
  }

  stop(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** All connections break. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(device: Socket): void {
    this.connections++
    const server = connect({ port: this.target, host: '127.0.0.1', noDelay: true })
    const cut = this.#next()
    let over = false
    const end = (kept: boolean): void => {
      over = true
      device.destroy()
      if (!kept) server.destroy()
    }
    const pass = (from: Socket, to: Socket, direction: 'down' | 'up'): void => {
      let seen = 0
      this.#sockets.add(from)
      from.on('error', () => undefined)
      from.on('data', (bytes: Buffer) => {
        if (over) return
        const left = cut?.direction === direction ? cut.bytes - seen : Infinity
        seen += bytes.length
        this.passed[direction] += Math.min(bytes.length, left)
        if (bytes.length < left) {
          to.write(bytes)
          return
        }
        this.cuts++
        over = true
        // What was passed on still arrives; then the end comes.
        to.end(bytes.subarray(0, left), () => end(cut?.serverKept === true))
      })
      from.on('close', () => {
        this.#sockets.delete(from)
        if (!over) end(false)
        else if (from === server) device.destroy()
      })
    }
    pass(device, server, 'up')
    pass(server, device, 'down')
  }
}
