// The heap of a server after a full collection: collected through Node's inspector, read from the admin port's /metrics as
// an operator would. The server must have been started with INSPECT_FLAGS.
import { WebSocket } from 'ws'
import type { Postrider } from './server.js'

export const INSPECT_FLAGS: readonly string[] = ['--inspect=127.0.0.1:0']
const METRIC = /^nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)$/m

async function collectGarbage(url: string): Promise<void> {
  const socket = new WebSocket(url)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('open', () => socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' })))
      // The first answer is to the only call; nothing is enabled, so no event comes before it.
      socket.once('message', () => resolve())
    })
  } finally {
    socket.terminate()
  }
}

/** Used heap, bytes. */
export async function heapAfterCollection(server: Postrider): Promise<number> {
  const url = /ws:\/\/\S+/.exec(server.stderr())?.[0]
  if (url === undefined) throw new Error('the server has no inspector')
  await collectGarbage(url)
  const response = await fetch(`http://${server.host}:${server.ports.admin}/metrics`)
  const used = METRIC.exec(await response.text())?.[1]
  if (used === undefined) throw new Error('/metrics has no nodejs_heap_size_used_bytes')
  return Number(used)
}
