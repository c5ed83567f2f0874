// A copy of the store at one moment, also while a server writes it: LMDB copies what one read transaction sees, and every group
// commit is one transaction, so the copy is what a kill at that moment would have left.

import { closeSync, fsyncSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { StartupError } from '../../errors.js'
import { EXIT } from '../../exit-codes.js'
import { checkFormat, openEnvironment, requireStore, STORE_FILE } from './environment.js'
import { metaKey, openTables } from './tables.js'

export interface Backup {
  /** Of the copied file. */
  readonly bytes: number
}

/**
 * Copies the store in the data folder `path` into the folder `to`, which is there and empty; both absolute. The copy is on the disk
 * when this resolves, and has no generation: whoever starts on it, every time that it is put back, begins a new one. Nothing is
 * written to the store itself but LMDB's mark of a reader. Rejects with StartupError.
 */
export async function backUp(path: string, to: string): Promise<Backup> {
  requireStore(path)
  try {
    await copy(path, to)
    await finish(to)
    flush(join(to, STORE_FILE))
    flush(to)
    return { bytes: statSync(join(to, STORE_FILE)).size }
  } catch (error) {
    if (error instanceof StartupError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new StartupError(`the store in ${path} cannot be copied to ${to}: ${reason}`, {
      cause: error,
      exitCode: EXIT.cannotCreate.code,
    })
  }
}

async function copy(path: string, to: string): Promise<void> {
  const env = open<Buffer, Buffer>({
    path: join(path, STORE_FILE),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 32,
    readOnly: true,
  })
  try {
    // Compacting reads every page of every tree, so one that is damaged is met now and not when the copy is needed.
    await env.backup(join(to, STORE_FILE), true)
  } finally {
    await env.close()
  }
}

async function finish(to: string): Promise<void> {
  const env = openEnvironment(to, 'disk')
  try {
    const tables = openTables(env)
    checkFormat(to, tables)
    env.transactionSync(() => {
      for (const name of ['generation', 'clean', 'owner']) tables.meta.removeSync(metaKey(name))
    })
  } finally {
    await env.close()
  }
}

function flush(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
