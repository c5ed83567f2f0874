import { WebSocket, type RawData } from 'ws'
import type { Channel, ChannelHandlers } from '../device/platform.js'
import { tlsContext } from './tls-context.js'
import type { TlsOptions } from './tls-options.js'

/** The name of MQTT among the subprotocols of WebSocket, [MQTT-6.0.0-3]. */
const SUBPROTOCOL = 'mqtt'
const NORMAL = 1000
/** For the last bytes of a connection to leave. */
const END_MS = 2_000

/** `ws://` and `wss://`. `maxBytes`: of one message of the WebSocket; a packet may be spread over several. */
export function openWebSocket(url: URL, tls: TlsOptions, maxBytes: number, handlers: ChannelHandlers): Channel {
  const socket = new WebSocket(url, SUBPROTOCOL, {
    ...tlsContext(tls),
    maxPayload: maxBytes,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  })
  let error: Error | null = null
  let over = false
  socket.on('open', () => {
    if (!over) handlers.onOpen()
  })
  socket.on('message', (data: RawData) => {
    if (!over) handlers.onData(bytesOf(data))
  })
  socket.on('error', (reason: Error) => {
    error = reason
  })
  socket.on('close', () => {
    if (over) return
    over = true
    handlers.onEnd(error)
  })
  return {
    write: (bytes) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(bytes)
    },
    end() {
      over = true
      if (socket.readyState === WebSocket.CLOSED) return Promise.resolve()
      const kill = setTimeout(() => socket.terminate(), END_MS)
      const closed = new Promise<void>((resolve) => {
        socket.once('close', () => {
          clearTimeout(kill)
          resolve()
        })
      })
      socket.close(NORMAL)
      return closed
    },
    destroy() {
      over = true
      socket.terminate()
    },
  }
}

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data)
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data
}
