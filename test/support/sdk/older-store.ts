// A store as it was some time ago: what an operator restores, or a machine that lost its last flushes comes back with.

import { mkdirSync, rmSync } from 'node:fs'
import { open } from 'lmdb'
import { metaKey, openTables } from '../../../core/stores/lmdb/tables.js'
import { copyLmdbStore } from '../lmdb-copy.js'

/** Copies the store of a running node. */
export function copyStore(folder: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to, { recursive: true })
  copyLmdbStore(folder, to)
}

/** Makes a copy look as if another boot of the machine had left it, so that its next start begins a new generation. */
export async function fromAnotherBoot(folder: string): Promise<void> {
  const env = open<Buffer, Buffer>({
    path: `${folder}/store.mdb`,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 32,
  })
  const { meta } = openTables(env)
  meta.putSync(metaKey('boot'), Buffer.from('another boot'))
  meta.putSync(metaKey('durability'), Buffer.from('process'))
  meta.removeSync(metaKey('clean'))
  await env.close()
}
