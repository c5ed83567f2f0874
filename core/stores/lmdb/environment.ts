// The LMDB environment in a data folder, and which formats of it this version reads.

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import { StartupError } from '../../errors.js'
import { EXIT } from '../../exit-codes.js'
import { unfinished } from '../../migration/refusals.js'
import { readNumber } from './numbers.js'
import type { Tables } from './tables.js'

/** The format of the whole folder: 2 since there is the watermark `received`, 3 since there are events, 4 since
 * there are journal files. A newer one is refused. */
export const LMDB_FORMAT = 4
/** Folders since then are read; what is written to them makes them the present format. */
const OLDEST_FORMAT = 1

export type Environment = RootDatabase<Buffer, Buffer>

export const STORE_FILE = 'store.mdb'

/** Opens what is at `path` (absolute); makes folder and file where they are not there. Throws StartupError. */
export function openEnvironment(path: string, durability: 'disk' | 'process'): Environment {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    return open<Buffer, Buffer>({
      path: join(path, STORE_FILE),
      noSubdir: true,
      encoding: 'binary',
      keyEncoding: 'binary',
      maxDbs: 32,
      // One transaction a group, opened and closed by us.
      eventTurnBatching: false,
      // disk: a commit is finished when it is flushed.
      overlappingSync: durability === 'process',
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StartupError(`the data folder ${path} cannot be used: ${reason}`, {
      cause: error,
      exitCode: EXIT.cannotCreate.code,
    })
  }
}

/** For commands about a store that is there: nothing is made. Throws StartupError. */
export function requireStore(path: string): void {
  if (existsSync(join(path, STORE_FILE))) return
  throw new StartupError(`there is no store in ${path} (no ${STORE_FILE}); name with --store the folder that has it`, {
    exitCode: EXIT.cannotCreate.code,
  })
}

/** Throws StartupError when a newer version wrote it, or (`filling` false) a migration into it has not ended. */
export function checkFormat(path: string, tables: Tables, filling = false): void {
  if (!filling && readNumber(tables, 'migration') === 1) throw unfinished(path)
  const format = readNumber(tables, 'format')
  if (format === null || (format >= OLDEST_FORMAT && format <= LMDB_FORMAT)) return
  throw new StartupError(
    `the data folder ${path} has format ${format}, this version reads up to format ${LMDB_FORMAT}: use the version that wrote it, or a newer one`,
  )
}
