// One process per data folder. The owner listens on a Unix socket in the folder, under a name of its own; which name is the
// owner's stands in the database, and is changed by compare-and-set in a write transaction. A socket dies with its process, so
// nothing is ever left to clean up by hand, and two that start at once cannot both win.

import { mkdtempSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StartupError } from '../../errors.js'
import { EXIT } from '../../exit-codes.js'
import { randomId } from '../../random-id.js'
import { metaKey, type Tables } from './tables.js'

/** Longest path of a Unix socket that every system takes. Bytes. */
const SOCKET_PATH_MAX = 100

export interface Lock {
  release(): Promise<void>
}

/** Takes the folder, or throws StartupError when a living process has it. */
export async function takeLock(path: string, tables: Tables): Promise<Lock> {
  const name = `lock-${randomId()}.sock`
  const server = await listen(path, name)
  try {
    for (;;) {
      const owner = readOwner(tables)
      if (owner !== null && (await isAlive(path, owner))) {
        throw new StartupError(
          `the data folder ${path} is served by another process; stop it first, or give another folder with --store`,
          { exitCode: EXIT.busy.code },
        )
      }
      if (replaceOwner(tables, owner, name)) {
        if (owner !== null) removeQuietly(join(path, owner))
        return { release: () => close(server) }
      }
    }
  } catch (error) {
    await close(server)
    throw error
  }
}

function readOwner(tables: Tables): string | null {
  const value = tables.meta.get(metaKey('owner'))
  return value === undefined ? null : value.toString('utf8')
}

function replaceOwner(tables: Tables, expected: string | null, name: string): boolean {
  return tables.env.transactionSync(() => {
    if (readOwner(tables) !== expected) return false
    tables.meta.putSync(metaKey('owner'), Buffer.from(name))
    return true
  })
}

/** Sockets are addressed through a short link where the folder's own path is too long for one. */
async function throughShortPath<T>(path: string, name: string, use: (socketPath: string) => Promise<T>): Promise<T> {
  const direct = join(path, name)
  if (Buffer.byteLength(direct) <= SOCKET_PATH_MAX) return use(direct)
  const folder = mkdtempSync(join(tmpdir(), 'postrider-'))
  try {
    symlinkSync(path, join(folder, 'd'))
    return await use(join(folder, 'd', name))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function listen(path: string, name: string): Promise<Server> {
  return throughShortPath(
    path,
    name,
    (socketPath) =>
      new Promise<Server>((resolve, reject) => {
        const server = createServer((socket) => socket.destroy())
        server.once('error', reject)
        server.listen(socketPath, () => {
          server.unref()
          resolve(server)
        })
      }),
  )
}

function isAlive(path: string, name: string): Promise<boolean> {
  return throughShortPath(
    path,
    name,
    (socketPath) =>
      new Promise<boolean>((resolve) => {
        const socket = connect(socketPath)
        socket.once('connect', () => {
          socket.destroy()
          resolve(true)
        })
        // ENOENT and ECONNREFUSED: nobody listens. Anything else (a full backlog) is a sign of life.
        socket.once('error', (error: NodeJS.ErrnoException) =>
          resolve(error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED'),
        )
      }),
  )
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file)
  } catch {
    // A stale socket file harms nobody.
  }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
  })
}
