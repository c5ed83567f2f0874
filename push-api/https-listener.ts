// The REST API over TLS: a second server for the requests of the same application.

import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Logger } from '../core/log.js'
import { listen } from '../core/net/listen.js'
import type { Certificates } from '../core/tls/certificates.js'
import { serverContext } from '../core/tls/server-context.js'
import type { ApiCounters } from './counters.js'
import type { HttpDoor } from './http-door.js'
import { httpServerOptions, type ApiLimits } from './limits.js'

export interface HttpsListenerOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly certificates: Certificates
  readonly limits: ApiLimits
  readonly door: HttpDoor
  readonly counters: ApiCounters
  readonly log: Logger
  readonly onRequest: RequestListener
  /** What is sent is no HTTP request. */
  onClientError(this: void, error: NodeJS.ErrnoException, socket: Duplex): void
}

export interface HttpsListener {
  /** Resolves with the port. Rejects with StartupError. */
  listen(): Promise<number>
  /** Takes no new connections; resolves when all have ended. Those without a request are the door's to end. */
  close(): Promise<void>
  /** Ends what is left. */
  cut(): void
}

/** Asks for no client certificate: those are for devices, and whoever calls this has an API key. */
export function createHttpsListener(options: HttpsListenerOptions): HttpsListener {
  const { host, port, certificates, limits, door, counters, log } = options
  const context = (): ReturnType<typeof serverContext> => serverContext(certificates.current, { clients: false })
  const guarded = door.guard(options.onRequest)
  const server = createServer(
    { ...context(), ...httpServerOptions(limits), handshakeTimeout: limits.headerTimeoutMs },
    guarded,
  )
  // An `Expect` that Node does not know goes the way of all requests.
  server.on('checkExpectation', guarded)
  const unsubscribe = certificates.onChange(() => server.setSecureContext(context()))
  door.watchTls(server)
  const shaken = new WeakSet<Duplex>()
  server.on('secureConnection', (socket) => void shaken.add(socket))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (shaken.has(socket)) {
      options.onClientError(error, socket)
      return
    }
    // A handshake that failed: there is nobody who could read an answer.
    if (error.code !== 'ECONNRESET') {
      const reason = error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'too_slow' : 'tls_failed'
      counters.requestsUnread[reason]++
      log.debug({ err: error, what: 'REST over TLS' }, 'a TLS handshake failed')
    }
    socket.destroy()
  })
  server.on('error', (err) => log.error({ err }, 'accepting a connection failed'))

  return {
    listen: () => listen(server, 'the REST API over TLS', host, port),
    close() {
      unsubscribe()
      return new Promise((resolve) => {
        if (server.listening) server.close(() => resolve())
        else resolve()
      })
    },
    cut: () => server.closeAllConnections(),
  }
}
