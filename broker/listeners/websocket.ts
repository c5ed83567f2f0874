import { createServer, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import type { AllowedOrigins } from '../../core/net/origins.js'
import { clientAddress, type TrustedProxies } from '../../core/net/trusted-proxies.js'
import type { Peer, Wire, WireHandler } from '../wire.js'
import { createGate, type GateOptions } from './gate.js'
import type { DeviceListener } from './device-listener.js'
import type { EntranceFailure, Visit } from './entrance.js'

const PATH = '/mqtt'
/** [MQTT-6.0.0-3], [MQTT-6.0.0-4] */
const SUBPROTOCOL = 'mqtt'
/** As a TCP socket's: above it, write nothing more before `writable`. */
const HIGH_WATER = 16 * 1024
/** What may come after a frame that is wrong. */
const REST_BYTES = 256 * 1024
/** The library keeps pieces of a frame, and fragments of a message, until it is whole: so many are always allowed. */
const PIECES_MIN = 2_048
/** They are larger than this, on the whole. */
const PIECE_BYTES = 512
/** A byte may be a frame of its own, which costs much more. */
const KEEPING_COST = 32

export interface WebSocketListenerOptions extends GateOptions {
  /** Whose X-Forwarded-For is believed. */
  readonly trustedProxies: TrustedProxies
  /** The web pages that may connect; null: all. */
  readonly origins: AllowedOrigins | null
  /** Largest WebSocket message. */
  readonly maxMessageBytes: number
  onBytesOut(this: void, bytes: number): void
  accept(this: void, wire: Wire): void
}

interface Refusal {
  readonly status: string
  readonly reason: EntranceFailure
}

/** MQTT over WebSocket: path `/mqtt`, subprotocol `mqtt`; over TLS too. */
export function createWebSocketListener(options: WebSocketListenerOptions): DeviceListener {
  const { origins, trustedProxies, accept } = options
  const visitors = new WeakMap<Duplex, { readonly peer: Peer; readonly visit: Visit }>()
  // It does not listen itself, and the visit has the deadline: it only knows how to read a request.
  const http = createServer((request, response) => {
    visitors.get(request.socket)?.visit.failing('upgrade_refused')
    response.writeHead(426, { 'content-type': 'text/plain', connection: 'close', upgrade: 'websocket' })
    response.end('MQTT over WebSocket only\n')
  })
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxMessageBytes,
    maxBufferedChunks: Math.max(PIECES_MIN, Math.ceil(options.maxMessageBytes / PIECE_BYTES)),
    maxFragments: Math.max(PIECES_MIN, Math.ceil(options.maxMessageBytes / PIECE_BYTES)),
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  http.on('upgrade', (request, socket, head) => {
    const visitor = visitors.get(socket)
    const refusal = refusalOf(request, origins)
    if (visitor === undefined || refusal !== null) {
      visitor?.visit.failing(refusal?.reason ?? 'upgrade_refused')
      rejectUpgrade(socket, refusal?.status ?? '400 Bad Request')
      return
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if (!visitor.visit.pass()) return
      accept(new WebSocketWire(webSocket, socket, behind(visitor.peer, request, trustedProxies, origins), options))
    })
  })
  http.on('clientError', (_error, socket) => {
    visitors.get(socket)?.visit.failing('upgrade_refused')
    if (socket.writable) rejectUpgrade(socket, '400 Bad Request')
    else socket.destroy()
  })
  return createGate({ ...options, hasEntrance: true, alpn: ['http/1.1'] }, (socket, peer, visit) => {
    visitors.set(socket, { peer, visit })
    http.emit('connection', socket)
    resumeIfPaused(socket)
  })
}

/** Somebody has read a header from it, and left the rest there. */
function resumeIfPaused(socket: Socket): void {
  if (socket.isPaused()) socket.resume()
}

/**
 * Who is behind the connection. A browser sends its client certificate for whatever page asks it to: the certificate can
 * stand for the device only if the origin of the page was checked.
 */
function behind(
  peer: Peer,
  { headers }: IncomingMessage,
  trustedProxies: TrustedProxies,
  origins: AllowedOrigins | null,
): Peer {
  const address = clientAddress(peer.address, headers['x-forwarded-for'], trustedProxies)
  const fromAnyPage = headers.origin !== undefined && origins?.limited !== true
  return {
    address,
    port: address === peer.address ? peer.port : 0,
    certificate: fromAnyPage ? null : peer.certificate,
  }
}

function refusalOf({ url, headers }: IncomingMessage, origins: AllowedOrigins | null): Refusal | null {
  const [path] = (url ?? '').split('?')
  if (path !== PATH) return { status: '404 Not Found', reason: 'upgrade_refused' }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (!offered.includes(SUBPROTOCOL)) return { status: '400 Bad Request', reason: 'upgrade_refused' }
  // Only browsers say where their page is from; what else connects could say anything.
  if (headers.origin === undefined || origins === null || origins.allow(headers.origin)) return null
  return { status: '403 Forbidden', reason: 'origin_refused' }
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
    this.#carrier.on('data', (chunk: Buffer) => handler.keeps(chunk.length * KEEPING_COST))
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
