import { WebSocket } from 'ws'

/** Started with this, a process can be told to collect its garbage; its program is the same. */
export const INSPECTABLE = ['--inspect=127.0.0.1:0'] as const

const ADDRESS = /^Debugger listening on (ws:\/\/\S+)$/m

/** Has a Node process collect its garbage, all of it. `stderr`: what it wrote there, with the address of its inspector. */
export async function collectGarbage(stderr: string): Promise<void> {
  const address = ADDRESS.exec(stderr)?.[1]
  if (address === undefined) throw new Error('the process has no inspector')
  const socket = new WebSocket(address)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('open', () => socket.send('{"id":1,"method":"HeapProfiler.collectGarbage"}'))
      socket.once('message', () => resolve())
    })
  } finally {
    socket.terminate()
  }
}
