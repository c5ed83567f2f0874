// Between a device and the server: counts the bytes and the pieces in which they come, in both directions.
import { connect, createServer, type Socket } from 'node:net'
import type { Scope } from './scope.js'

export interface Traffic {
  readonly upBytes: number
  readonly upPieces: number
  readonly downBytes: number
  readonly downPieces: number
}

export const difference = (after: Traffic, before: Traffic): Traffic => ({
  upBytes: after.upBytes - before.upBytes,
  upPieces: after.upPieces - before.upPieces,
  downBytes: after.downBytes - before.downBytes,
  downPieces: after.downPieces - before.downPieces,
})

export interface CountingProxy {
  readonly port: number
  traffic(): Traffic
}

/** To a port of this machine; ends with `scope`. */
export async function startCountingProxy(scope: Scope, target: number): Promise<CountingProxy> {
  let [upBytes, upPieces, downBytes, downPieces] = [0, 0, 0, 0]
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (device) => {
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true })
    const join = (from: Socket, to: Socket, count: (bytes: number) => void): void => {
      sockets.add(from)
      from.on('data', (piece: Buffer) => {
        count(piece.length)
        to.write(piece)
      })
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroySoon()
      })
    }
    join(device, upstream, (bytes) => {
      upBytes += bytes
      upPieces++
    })
    join(upstream, device, (bytes) => {
      downBytes += bytes
      downPieces++
    })
  })
  scope.defer(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
  return { port: address.port, traffic: () => ({ upBytes, upPieces, downBytes, downPieces }) }
}
