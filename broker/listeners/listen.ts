import type { Server, Socket } from 'node:net'
import { StartupError } from '../../core/errors.js'
import { canonicalAddress } from '../../core/net/address.js'
import type { Doorway, Guest } from '../doorway.js'
import type { Peer } from '../wire.js'

/** Connections that the kernel holds until they are accepted, if it may hold so many: a crowd that comes at once. */
const BACKLOG = 4_096

/** Listens; resolves with the port (of `port` 0: the one that was given). Rejects with StartupError in the user's words. */
export function listen(server: Server, what: string, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const why = error.code === 'EADDRINUSE' ? 'the port is in use' : (error.code ?? error.message)
      reject(new StartupError(`cannot listen for ${what} on ${host}:${port}: ${why}`, { cause: error }))
    }
    server.once('error', failed)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.removeListener('error', failed)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

/** Who is at the other end of a socket. */
export function peerOf(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): Peer {
  return { address: canonicalAddress(socket.remoteAddress ?? '') ?? '', port: socket.remotePort ?? 0 }
}

/** Counts an accepted socket among those of the process, once its owner has come; one that there is no room for is ended. */
export function countSocket(socket: Socket, door: Doorway): void {
  socket.once('close', () => door.socketClosed())
  if (!door.socketOpened()) socket.destroy()
}

/** A socket whose handshake comes before anything else. The result: call it when the handshake is over. */
export function awaitHandshake(socket: Socket, door: Doorway): () => void {
  const guest: Guest = { evict: () => socket.destroy() }
  door.comes(guest)
  socket.once('close', () => door.isGone(guest))
  return () => door.isKnown(guest)
}

/** Something that accepts devices. */
export interface DeviceListener {
  listen(): Promise<number>
  /** Stops accepting; what was accepted stays. Idempotent. */
  close(): void
}
