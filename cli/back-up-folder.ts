// A copy of a data folder: the store, and the secrets that are kept beside it. It gets its name when it is complete.

import { copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import { randomId } from '../core/random-id.js'
import { backUpStore } from './compose-store-care.js'
import { apiKeyFile, tokenSecretFile } from './secrets.js'

export interface FolderBackup {
  /** Absolute. */
  readonly folder: string
  /** Of the store. */
  readonly bytes: number
  /** What was copied beside the store. */
  readonly files: readonly string[]
}

/** Rejects with StartupError, and leaves nothing behind then. */
export async function backUpFolder(store: string, to: string): Promise<FolderBackup> {
  const folder = resolve(to)
  if (await exists(folder)) {
    throw new StartupError(`--to: ${folder} is there already; name a folder that does not exist yet`, {
      exitCode: EXIT.cannotCreate.code,
    })
  }
  const unfinished = `${folder}.unfinished-${randomId()}`
  try {
    await explained(folder, () => mkdir(unfinished, { mode: 0o700 }))
    const { bytes } = await backUpStore(store, unfinished)
    const files = await explained(folder, async () => {
      const copied = await copySecrets(resolve(store), unfinished)
      await rm(join(unfinished, 'store.mdb-lock'), { force: true })
      await flush(unfinished)
      await rename(unfinished, folder)
      await flush(dirname(folder))
      return copied
    })
    return { folder, bytes, files }
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    throw error
  }
}

/** Without them tokens and keys of before would be worth nothing, and the secrets of webhooks could not be read. */
async function copySecrets(from: string, to: string): Promise<readonly string[]> {
  const copied: string[] = []
  for (const [name, path, target] of [
    ['api-key', apiKeyFile(from), apiKeyFile(to)],
    ['token-secret', tokenSecretFile(from), tokenSecretFile(to)],
  ] as const) {
    if (!(await exists(path))) continue
    await copyFile(path, target)
    const file = await open(target, 'r+')
    try {
      await file.chmod(0o600)
      await file.sync()
    } finally {
      await file.close()
    }
    copied.push(name)
  }
  return copied
}

async function flush(folder: string): Promise<void> {
  const file = await open(folder, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

async function explained<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new StartupError(`the backup cannot be written to ${folder}: ${reason}`, {
      cause,
      exitCode: EXIT.cannotCreate.code,
    })
  }
}
