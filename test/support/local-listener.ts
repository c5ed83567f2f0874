// An HTTP server of a test, which goes down and comes up again on the port that it had.

import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'

export class LocalListener {
  readonly #listener: RequestListener
  #server: Server | null = null
  #port = 0

  constructor(listener: RequestListener) {
    this.#listener = listener
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async up(): Promise<void> {
    const server = createServer(this.#listener)
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
    this.#server = server
  }

  /** Nobody listens, and connections are cut. */
  async down(): Promise<void> {
    const server = this.#server
    this.#server = null
    if (server === null) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
}
