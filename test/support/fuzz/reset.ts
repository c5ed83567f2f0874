import type { Socket } from 'node:net'

/**
 * Ends a connection without a word to the other side. A socket that has said its end already is only closed: Node's
 * `resetAndDestroy` fails there unseen, and leaves a handle that never closes, for which the process waits at its end.
 */
export function reset(socket: Socket): void {
  if (socket.writable) socket.resetAndDestroy()
  else socket.destroy()
}
