import type { Channel, ChannelHandlers } from '../device/platform.js'

/** The name of MQTT among the subprotocols of WebSocket, [MQTT-6.0.0-3]. */
const SUBPROTOCOL = 'mqtt'
/** For the last bytes of a connection to leave. */
const END_MS = 2_000

export function openWebSocket(url: URL, handlers: ChannelHandlers): Channel {
  let over = false
  let socket: WebSocket
  try {
    socket = new WebSocket(url, SUBPROTOCOL)
  } catch (error) {
    // A page over https may not open ws://: the browser throws instead of failing.
    const reason = error instanceof Error ? error : new Error(String(error))
    queueMicrotask(() => {
      if (!over) handlers.onEnd(reason)
    })
    return {
      write: () => undefined,
      end: () => {
        over = true
        return Promise.resolve()
      },
      destroy: () => {
        over = true
      },
    }
  }
  socket.binaryType = 'arraybuffer'
  socket.addEventListener('open', () => {
    if (!over) handlers.onOpen()
  })
  socket.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (over) return
    if (data instanceof ArrayBuffer) handlers.onData(new Uint8Array(data))
    else finish(new Error('a text message, where MQTT has bytes'))
  })
  socket.addEventListener('close', ({ code, reason }) => {
    // A browser says no more than the code: why a connection failed is not for pages to know.
    finish(code === 1000 ? null : new Error(`the WebSocket closed with ${code}${reason === '' ? '' : `: ${reason}`}`))
  })

  function finish(error: Error | null): void {
    if (over) return
    over = true
    socket.close()
    handlers.onEnd(error)
  }

  function close(): void {
    over = true
    socket.close()
  }

  return {
    write: (bytes) => {
      // A copy of its own: a view of a larger buffer is sent as just that view.
      if (socket.readyState === WebSocket.OPEN) socket.send(new Uint8Array(bytes))
    },
    end() {
      if (socket.readyState === WebSocket.CLOSED) return Promise.resolve()
      const closed = new Promise<void>((resolve) => {
        socket.addEventListener('close', () => resolve())
        setTimeout(resolve, END_MS)
      })
      close()
      return closed
    },
    destroy: close,
  }
}
