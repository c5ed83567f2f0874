// The embedded store as it lies in its folder at this moment: what a sudden end of its process would leave.

import { copyFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** LMDB's file first: what a journal file has gained since then only makes the copy newer. */
export function copyLmdbStore(from: string, to: string): void {
  copyFileSync(join(from, 'store.mdb'), join(to, 'store.mdb'))
  for (const name of journalFilesIn(from)) copyFileSync(join(from, name), join(to, name))
}

export const journalFilesIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.startsWith('journal-'))
    .toSorted()
