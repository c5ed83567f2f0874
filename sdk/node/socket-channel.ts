import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Channel, ChannelHandlers } from '../device/platform.js'
import { tlsContext } from './tls-context.js'
import type { TlsOptions } from './tls-options.js'

const PORTS: ReadonlyMap<string, number> = new Map([
  ['mqtt:', 1883],
  ['mqtts:', 8883],
])

/** `mqtt://` and `mqtts://`. */
export function openSocket(url: URL, tls: TlsOptions, handlers: ChannelHandlers): Channel {
  const port = url.port === '' ? (PORTS.get(url.protocol) ?? 1883) : Number(url.port)
  const host = url.hostname.replace(/^\[|\]$/g, '') // an IPv6 address
  const secure = url.protocol === 'mqtts:'
  const socket: Socket = secure
    ? connectTls({ ...serverName(host), ...tlsContext(tls), host, port })
    : connectTcp({ host, port })
  socket.setNoDelay(true)
  let error: Error | null = null
  let over = false
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    if (!over) handlers.onOpen()
  })
  socket.on('data', (bytes: Buffer) => {
    if (!over) handlers.onData(bytes)
  })
  socket.on('error', (reason: Error) => {
    error = reason
  })
  socket.once('close', () => {
    if (over) return
    over = true
    handlers.onEnd(error)
  })
  return {
    write: (bytes) => {
      if (!socket.destroyed) socket.write(bytes)
    },
    end() {
      over = true
      if (socket.destroyed) return Promise.resolve()
      // What was written leaves; whoever does not read it is not waited for.
      const kill = setTimeout(() => socket.destroy(), END_MS)
      const closed = new Promise<void>((resolve) => {
        socket.once('close', () => {
          clearTimeout(kill)
          resolve()
        })
      })
      socket.end(() => socket.destroySoon())
      return closed
    },
    destroy() {
      over = true
      socket.destroy()
    },
  }
}

/** The name that the server is asked for. An address is none (RFC 6066, 3); the certificate is held against it all the same. */
const serverName = (host: string): { readonly servername?: string } => (isIP(host) === 0 ? { servername: host } : {})

/** For the last bytes of a connection to leave. */
const END_MS = 2_000
