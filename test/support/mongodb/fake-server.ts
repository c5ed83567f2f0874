// Answers the first questions of the driver, so that the refusals of servers that nobody has at hand can be tried: `hello` and
// `buildInfo`, whatever is asked. No store: nothing else is answered.

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { BSON } from 'mongodb'

const HEADER = 16
const OP_REPLY = 1
const OP_QUERY = 2004
const OP_MSG = 2013

export interface FakeServer {
  readonly port: number
  stop(): void
}

export async function startFakeMongo(document: Readonly<Record<string, unknown>>): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  const body = BSON.serialize(document)
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    let waiting = Buffer.alloc(0)
    socket.on('data', (data) => {
      waiting = Buffer.concat([waiting, data])
      while (waiting.length >= HEADER && waiting.length >= waiting.readInt32LE(0)) {
        socket.write(answer(waiting.readInt32LE(4), waiting.readInt32LE(12), body))
        waiting = waiting.subarray(waiting.readInt32LE(0))
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    stop: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function answer(request: number, kind: number, body: Uint8Array): Buffer {
  // Flags, cursor, start, one document; or flags and one section.
  const head = kind === OP_QUERY ? Buffer.alloc(20) : Buffer.alloc(5)
  if (kind === OP_QUERY) head.writeInt32LE(1, 16)
  const header = Buffer.alloc(HEADER)
  header.writeInt32LE(HEADER + head.length + body.length, 0)
  header.writeInt32LE(request, 8)
  header.writeInt32LE(kind === OP_QUERY ? OP_REPLY : OP_MSG, 12)
  return Buffer.concat([header, head, body])
}
