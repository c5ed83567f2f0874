// A copy of the store at one moment, also while a server writes it. LMDB copies what one read transaction sees. What the journal
// files hold of the time before it, and of the time behind it up to the next group that went to LMDB, is put into the copy's own
// journal: so the copy is one file, and what a kill at that moment would have left.

import { closeSync, fsyncSync, openSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { StartupError } from '../../errors.js'
import { EXIT } from '../../exit-codes.js'
import { checkFormat, openEnvironment, requireStore, STORE_FILE } from './environment.js'
import { readSequence, SEQUENCE_KEY, sequenceValue } from './sequence.js'
import {
  findJournalFiles,
  forgetJournalId,
  type FoundFile,
  groupsOf,
  journalFileName,
  readJournalId,
} from './stored-journal.js'
import { journalKey, metaKey, openSequence, openTables } from './tables.js'

/** How often a copy is begun. */
const ATTEMPTS = 3

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
    for (let attempt = 1; ; attempt++) {
      const copied = await copy(path, to)
      try {
        await finish(to, copied)
        break
      } catch (error) {
        // A file was made and deleted between two looks at the folder: rare, and the next copy begins later.
        if (!(error instanceof RangeError) || attempt === ATTEMPTS) throw error
        rmSync(join(to, STORE_FILE), { force: true })
      }
    }
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

interface Copied {
  /** The journal files that there were before and after. */
  readonly files: readonly FoundFile[]
  /** The last group in LMDB when they were read. */
  readonly live: number
}

/** Copies LMDB's file. */
async function copy(path: string, to: string): Promise<Copied> {
  const env = open<Buffer, Buffer>({
    path: join(path, STORE_FILE),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 32,
    readOnly: true,
  })
  // Open files can be read when the server has deleted them: what the copy needs of them is in there for good.
  const opened = new Map<number, number>()
  try {
    openNew(path, opened)
    // Compacting reads every page of every tree, so one that is damaged is met now and not when the copy is needed.
    await env.backup(join(to, STORE_FILE), true)
    openNew(path, opened)
    const files = [...opened].map(([number, fd]) => ({
      number,
      path: join(path, journalFileName(number)),
      content: readFileSync(fd),
    }))
    const sequence = openSequence(env)
    env.resetReadTxn()
    return { files, live: readSequence({ sequence }).last }
  } finally {
    for (const fd of opened.values()) closeSync(fd)
    await env.close()
  }
}

/** Opens the journal files that are not yet. */
function openNew(path: string, opened: Map<number, number>): void {
  for (const number of findJournalFiles(path)) {
    if (opened.has(number)) continue
    try {
      opened.set(number, openSync(join(path, journalFileName(number)), 'r'))
    } catch (error) {
      // Deleted since the folder was read: nothing in it is needed.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
}

/** Throws RangeError when the journal files do not reach as far as the copy of LMDB's file. */
async function finish(to: string, { files, live }: Copied): Promise<void> {
  const env = openEnvironment(to, 'disk')
  try {
    const tables = openTables(env)
    checkFormat(to, tables)
    const sequence = readSequence(tables)
    const groups = groupsOf(files, readJournalId(tables), sequence, live)
    env.transactionSync(() => {
      for (const { group, parts } of groups) {
        parts.forEach((part, i) => tables.journal.putSync(journalKey(group, i), part))
      }
      const last = Math.max(sequence.last, groups.at(-1)?.group ?? 0)
      tables.sequence.putSync(SEQUENCE_KEY, sequenceValue([]), last)
      for (const name of ['generation', 'clean', 'owner']) tables.meta.removeSync(metaKey(name))
      forgetJournalId(tables)
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
