import type { Server } from 'node:net'
import { StartupError } from '../errors.js'

/** Connections that the kernel holds until they are accepted, if it may hold so many: a crowd that comes at once. */
export const BACKLOG = 4_096

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
