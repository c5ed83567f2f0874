import type { Socket } from 'node:net'

/**
 * What is known of a TCP connection while it shakes hands: a TLS server is given one socket and hands out another one. Both
 * are the same connection, and its two ends name it among all that are open.
 */
export class Handshakes<T> {
  readonly #known = new Map<string, { readonly value: T }>()

  get size(): number {
    return this.#known.size
  }

  /** Forgotten when the connection closes. */
  add(plain: Socket, value: T): void {
    const name = nameOf(plain)
    const entry = { value }
    this.#known.set(name, entry)
    plain.once('close', () => {
      // Another connection may have the same ends by now.
      if (this.#known.get(name) === entry) this.#known.delete(name)
    })
  }

  /** Takes it out. Undefined: it was taken, or the connection has ended and has no ends any more. */
  take(secured: Socket): T | undefined {
    const name = nameOf(secured)
    const entry = this.#known.get(name)
    this.#known.delete(name)
    return entry?.value
  }
}

function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
