import type { Storage, StorageChange } from './storage.js'

/**
 * Keeps everything in memory: **it forgets at the end of the process** (or the reload of the page). The server then sends again
 * what was handled and not acknowledged, and the handler runs again for it with `attempt` 1. Uplinks that wait are lost too.
 *
 * The same object given to one client after the other keeps its memory.
 */
export function memoryStorage(): Storage {
  const values = new Map<string, Uint8Array>()
  return {
    volatile: true,
    load: () => Promise.resolve(new Map(values)),
    write(changes: readonly StorageChange[]) {
      for (const [key, value] of changes) {
        if (value === null) values.delete(key)
        else values.set(key, value)
      }
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
}
