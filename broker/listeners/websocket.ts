import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Logger } from '../../core/log.js'
import type { Doorway } from '../doorway.js'
import type { Peer, Wire, WireHandler } from '../wire.js'
import { awaitHandshake, countSocket, listen, peerOf, type DeviceListener } from './listen.js'

const PATH = '/mqtt'
/** [MQTT-6.0.0-3], [MQTT-6.0.0-4] */
const SUBPROTOCOL = 'mqtt'
/** As a TCP socket's: above it, write nothing more before `writable`. */
const HIGH_WATER = 16 * 1024
/** What may come after a frame that is wrong. */
const REST_BYTES = 256 * 1024

export interface WebSocketListenerOptions {
  readonly host: string
  readonly port: number
  readonly log: Logger
  readonly door: Doorway
  /** The handshake must be over by then. */
  readonly handshakeTimeoutMs: number
  /** Largest WebSocket message. */
  readonly maxMessageBytes: number
  onBytesOut(this: void, bytes: number): void
  accept(this: void, wire: Wire): void
}

/** MQTT over WebSocket: path `/mqtt`, subprotocol `mqtt`. */
export function createWebSocketListener(options: WebSocketListenerOptions): DeviceListener {
  const { host, port, log, door, accept } = options
  const handshakes = new WeakMap<Duplex, () => void>()
  const server = createServer(
    {
      noDelay: true,
      headersTimeout: options.handshakeTimeoutMs,
      requestTimeout: options.handshakeTimeoutMs,
      connectionsCheckingInterval: 1_000,
    },
    (_request, response) => {
      response.writeHead(426, { 'content-type': 'text/plain', connection: 'close', upgrade: 'websocket' })
      response.end('MQTT over WebSocket only\n')
    },
  )
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxMessageBytes,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  server.on('connection', (socket) => {
    handshakes.set(socket, awaitHandshake(socket, door))
    countSocket(socket, door)
  })
  server.on('error', (err) => log.error({ err }, 'accepting a connection failed'))
  server.on('upgrade', (request, socket, head) => {
    const refusal = refusalOf(request)
    if (refusal !== null) {
      rejectUpgrade(socket, refusal)
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      handshakes.get(socket)?.()
      accept(new WebSocketWire(webSocket, socket, peerOf(request.socket), options))
    })
  })
  return {
    listen: () => listen(server, 'MQTT over WebSocket', host, port),
    close: () => {
      if (server.listening) server.close()
      server.closeAllConnections()
    },
  }
}

function refusalOf(request: IncomingMessage): string | null {
  const [path] = (request.url ?? '').split('?')
  if (path !== PATH) return '404 Not Found'
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return offered.includes(SUBPROTOCOL) ? null : '400 Bad Request'
}

function rejectUpgrade(socket: Duplex, status: string): void {
  socket.on('error', ignore)
  // The HTTP server's sockets stay half-open; this one is of no use any more.
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

export class WebSocketWire implements Wire {
  readonly peer: Peer
  readonly #socket: WebSocket
  /** What carries it. */
  readonly #carrier: Duplex
  readonly #counter: { onBytesOut(bytes: number): void }
  #handler: WireHandler | null = null
  #blocked = false

  constructor(socket: WebSocket, carrier: Duplex, peer: Peer, counter: { onBytesOut(bytes: number): void }) {
    this.#socket = socket
    this.#carrier = carrier
    this.peer = peer
    this.#counter = counter
  }

  get buffered(): number {
    return this.#socket.bufferedAmount
  }

  attach(handler: WireHandler): void {
    this.#handler = handler
    const socket = this.#socket
    // Either the frames are wrong, or the socket failed, and 'close' follows at once.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('WS_ERR_') !== true) return
      this.#limitRest()
      handler.broken()
    })
    socket.on('message', (data, isBinary) => {
      if (isBinary) {
        handler.received(toBuffer(data))
        return
      }
      // [MQTT-6.0.0-1]
      socket.close(1003)
      handler.broken()
    })
    socket.on('close', () => handler.closed())
  }

  /** After an error the library reads and drops what comes, so that its close frame is read: but not all there is. */
  #limitRest(): void {
    let rest = REST_BYTES
    this.#carrier.on('data', (chunk: Buffer) => {
      rest -= chunk.length
      if (rest < 0) this.#carrier.destroy()
    })
  }

  write(bytes: Buffer): boolean {
    const socket = this.#socket
    if (socket.readyState !== socket.OPEN) return true
    this.#counter.onBytesOut(bytes.length)
    socket.send(bytes, SEND_OPTIONS, this.#sent)
    this.#blocked = socket.bufferedAmount >= HIGH_WATER
    return !this.#blocked
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  finish(): void {
    this.#socket.close(1000)
  }

  destroy(): void {
    this.#socket.terminate()
  }

  readonly #sent = (): void => {
    if (!this.#blocked || this.#socket.bufferedAmount >= HIGH_WATER) return
    this.#blocked = false
    this.#handler?.writable()
  }
}

const SEND_OPTIONS = { binary: true }

function toBuffer(data: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}

const ignore = (): void => {}
