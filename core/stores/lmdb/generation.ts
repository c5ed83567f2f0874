import { resolve } from 'node:path'
import { randomId } from '../../random-id.js'
import { checkFormat, openEnvironment, requireStore } from './environment.js'
import { takeLock } from './lock.js'
import { metaKey, openTables } from './tables.js'

/**
 * Gives the store in the data folder `path` a new generation, for operators who put back an older state of it. Rejects with
 * StartupError when there is none, a process serves it, or a newer version wrote it.
 */
export async function newGeneration(path: string): Promise<string> {
  const folder = resolve(path)
  requireStore(folder)
  const env = openEnvironment(folder, 'disk')
  try {
    const tables = openTables(env)
    checkFormat(folder, tables)
    const lock = await takeLock(folder, tables)
    try {
      const generation = randomId()
      tables.env.transactionSync(() => {
        tables.meta.putSync(metaKey('generation'), Buffer.from(generation))
        // What was on the wire since is not known: as after an unclean stop, all that is old goes out as sent before.
        tables.meta.removeSync(metaKey('clean'))
      })
      return generation
    } finally {
      await lock.release()
    }
  } finally {
    await env.close()
  }
}
