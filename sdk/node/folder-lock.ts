// One process per folder. The owner listens on a socket in it, which dies with its process: nothing has to be cleaned up after a
// SIGKILL, and a process id that came again means nothing.

import { createHash, randomBytes } from 'node:crypto'
import { linkSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PostriderError } from '../device/errors.js'

const NAME = 'lock.sock'
/** Longest path of a Unix socket that every system takes. Bytes. */
const SOCKET_PATH_MAX = 100
const RETRY_MS = 50

/** Answers what lets go of the folder. Rejects with `storage_in_use` when a living process still has it after `timeoutMs`. */
export async function lockFolder(folder: string, timeoutMs: number): Promise<() => Promise<void>> {
  const until = performance.now() + timeoutMs
  for (;;) {
    const server = await tryLock(folder)
    if (server !== null) return () => new Promise((resolve) => server.close(() => resolve()))
    if (performance.now() >= until) throw new PostriderError('storage_in_use', folder)
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
}

/** Null: somebody has it. */
async function tryLock(folder: string): Promise<Server | null> {
  if (process.platform === 'win32') {
    const name = createHash('sha256').update(folder).digest('hex')
    return listen(`\\\\.\\pipe\\postrider-${name}`) // a pipe belongs to one process, and goes with it
  }
  const short = shortPath(folder)
  try {
    const path = join(short.folder, NAME)
    const server = await listen(path)
    if (server !== null || (await isAlive(path))) return server
    return (await removeDead(path)) ? await listen(path) : null
  } finally {
    short.remove()
  }
}

/**
 * Takes the socket of a dead process away. Between the look and this, another process may have put its own there: what was taken
 * is looked at again, and put back if it lives. False: it does.
 */
async function removeDead(path: string): Promise<boolean> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  if (!succeeds(() => renameSync(path, aside))) return true // another one was faster: whose is it now?
  const alive = await isAlive(aside)
  if (alive) succeeds(() => linkSync(aside, path))
  succeeds(() => unlinkSync(aside))
  return !alive
}

/** Sockets are addressed through a short link where the folder's own path is too long for one. */
function shortPath(folder: string): { readonly folder: string; readonly remove: () => void } {
  if (Buffer.byteLength(join(folder, NAME)) + 13 <= SOCKET_PATH_MAX) return { folder, remove: () => undefined }
  const place = mkdtempSync(join(tmpdir(), 'postrider-'))
  symlinkSync(folder, join(place, 'd'))
  return { folder: join(place, 'd'), remove: () => rmSync(place, { recursive: true, force: true }) }
}

/** Null: the address is taken. */
function listen(path: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(null)
      else reject(error)
    })
    server.listen(path, () => {
      server.unref() // it keeps no process alive
      resolve(server)
    })
  })
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // ENOENT and ECONNREFUSED: nobody listens. Anything else (a full backlog) is a sign of life.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED'),
    )
  })
}

function succeeds(run: () => void): boolean {
  try {
    run()
    return true
  } catch {
    return false
  }
}
