// How a socket gets to a device listener: accepted, then the header of the proxy in front, then TLS, as far as they are on.
//
//   accept ──▶ PROXY header? ──▶ TLS? ──▶ the listener's protocol (MQTT, or HTTP on the way to WebSocket)
//
// Whoever is on that way is on a visit to the entrance, which bounds how many there are and for how long.

import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { Logger } from '../../core/log.js'
import { canonicalAddress } from '../../core/net/address.js'
import { listen } from '../../core/net/listen.js'
import { readProxyHeader } from '../../core/net/proxy-header.js'
import type { TrustedProxies } from '../../core/net/trusted-proxies.js'
import type { Certificates } from '../../core/tls/certificates.js'
import { Handshakes } from '../../core/tls/handshakes.js'
import { serverContext } from '../../core/tls/server-context.js'
import { certificateOf } from '../client-certificate.js'
import type { Doorway } from '../doorway.js'
import type { Peer } from '../wire.js'
import type { DeviceListener } from './device-listener.js'
import { NO_ENTRANCE, type Entrance, type Visit } from './entrance.js'

/** TCP keep-alive: finds peers that vanished although their MQTT keep-alive is off. */
const TCP_KEEPALIVE_MS = 60_000

export interface GateOptions {
  readonly host: string
  readonly port: number
  /** For messages: `MQTT over TLS`. */
  readonly what: string
  readonly log: Logger
  readonly door: Doorway
  readonly entrance: Entrance
  /** Null: off. Else every connection begins with a PROXY header, of a proxy that is trusted (null: any). */
  readonly proxyProtocol: { readonly trusted: TrustedProxies | null } | null
  /** Null: plain TCP. */
  readonly certificates: Certificates | null
  /** The listener's protocol has an entrance of its own: the visit goes on until the listener ends it. */
  readonly hasEntrance?: boolean
  /** Application protocols that the TLS handshake agrees to. */
  readonly alpn?: readonly string[]
}

/** A socket whose protocol can begin, perhaps paused with bytes in it. `visit.pass()` when the entrance is behind it. */
export type OnVisitor = (socket: Socket, peer: Peer, visit: Visit) => void

export function createGate(options: GateOptions, onVisitor: OnVisitor): DeviceListener {
  const { host, port, what, log, door, entrance, proxyProtocol, certificates } = options
  const secure = certificates === null ? null : createTlsStage(options, certificates, onVisitor)
  const afterHeader: OnVisitor = secure === null ? onVisitor : secure.begin
  const hasEntrance = proxyProtocol !== null || secure !== null || options.hasEntrance === true
  const server = createServer(
    { noDelay: true, allowHalfOpen: false, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS },
    (socket) => {
      const peer = peerOf(socket)
      if (!hasEntrance) {
        onVisitor(socket, peer, NO_ENTRANCE)
        countSocket(socket, door)
        return
      }
      const visit = entrance.enter(socket)
      countSocket(socket, door)
      if (proxyProtocol?.trusted?.has(peer.address) === false) visit.fail('proxy_untrusted')
      else if (proxyProtocol === null) afterHeader(socket, peer, visit)
      else takeHeader(socket, peer, visit, afterHeader)
    },
  )
  server.on('error', (err) => log.error({ err }, 'accepting a connection failed'))
  return {
    listen: () => listen(server, what, host, port),
    close: () => {
      if (server.listening) server.close()
      secure?.close()
    },
  }
}

/** Counts a socket among those of the process, once its owner has come; one that there is no room for is ended. */
function countSocket(socket: Socket, door: Doorway): void {
  socket.once('close', () => door.socketClosed())
  if (!door.socketOpened()) socket.destroy()
}

function peerOf(socket: Socket): Peer {
  return {
    address: canonicalAddress(socket.remoteAddress ?? '') ?? '',
    port: socket.remotePort ?? 0,
    certificate: null,
  }
}

/** Calls `next` when there are bytes to read; they stay in the socket. Until then it costs nothing but the socket. */
function whenItSpeaks(socket: Socket, next: () => void): void {
  const onReadable = (): void => {
    if (socket.readableLength === 0) {
      socket.read() // its end is seen only by reading
      return
    }
    socket.removeListener('readable', onReadable)
    next()
  }
  socket.on('readable', onReadable)
}

/** Reads the PROXY header; what came behind it stays in the socket. */
function takeHeader(socket: Socket, peer: Peer, visit: Visit, next: OnVisitor): void {
  let bytes: Buffer = Buffer.alloc(0)
  const onReadable = (): void => {
    const chunk: unknown = socket.read()
    if (!Buffer.isBuffer(chunk)) return
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const header = readProxyHeader(bytes)
    if (header.state === 'incomplete') return
    socket.removeListener('readable', onReadable)
    if (header.state === 'malformed') {
      visit.fail('proxy_header_malformed')
      return
    }
    if (header.length < bytes.length) socket.unshift(bytes.subarray(header.length))
    next(socket, header.source === null ? peer : { ...peer, ...header.source }, visit)
  }
  socket.on('readable', onReadable)
}

interface TlsStage {
  readonly begin: OnVisitor
  close(): void
}

function createTlsStage(options: GateOptions, certificates: Certificates, onVisitor: OnVisitor): TlsStage {
  const asksForCertificates = certificates.current.clientCa !== null
  const handshakes = new Handshakes<{ readonly peer: Peer; readonly visit: Visit }>()
  const context = (): ReturnType<typeof serverContext> => serverContext(certificates.current, { clients: true })
  const server = createTlsServer({
    ...context(),
    requestCert: asksForCertificates,
    // A device without a certificate has a token; what a bad one means is decided below.
    rejectUnauthorized: false,
    ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
  })
  const unsubscribe = certificates.onChange(() => server.setSecureContext(context()))

  server.on('secureConnection', (socket: TLSSocket) => {
    const found = handshakes.take(socket)
    // Its other side has ended meanwhile, so it has no name any more.
    if (found === undefined) {
      socket.on('error', ignore)
      socket.destroy()
      return
    }
    const { peer, visit } = found
    const certificate = asksForCertificates ? certificateOf(socket) : null
    if (certificate === 'refused') {
      socket.on('error', ignore)
      visit.fail('certificate_refused')
      return
    }
    visit.rest()
    onVisitor(socket, { ...peer, certificate }, visit)
  })
  server.on('tlsClientError', (err, socket) => {
    options.log.debug({ err, what: options.what }, 'a TLS handshake failed')
    handshakes.take(socket)?.visit.fail('tls_failed')
    socket.destroy()
  })

  return {
    begin(socket, peer, visit) {
      whenItSpeaks(socket, () => {
        if (!visit.begin()) return
        handshakes.add(socket, { peer, visit })
        server.emit('connection', socket)
      })
    },
    close: unsubscribe,
  }
}

const ignore = (): void => {}
