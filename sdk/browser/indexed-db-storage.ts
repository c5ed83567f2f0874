import { PostriderError } from '../device/errors.js'
import type { Storage, StorageChange } from '../device/storage/storage.js'

export interface IndexedDbOptions {
  /** Name of the database: one per device. Default `postrider`. */
  readonly name?: string
  /**
   * `strict` (default): a write is on the disk when it is done, so that it survives a power cut. `relaxed`: the system has it, so
   * that it survives the page and the browser, and takes a fraction of the time.
   */
  readonly durability?: 'strict' | 'relaxed'
  /** Milliseconds to wait for another tab, or the page before a reload, to let go of it. Default 3,000. */
  readonly lockTimeoutMs?: number
}

const STORE = 'values'

/**
 * Keeps everything in IndexedDB: it survives a reload of the page and a restart of the browser. Each write is one transaction.
 *
 * One client at a time: a lock (Web Locks, where the page has them: they need https or localhost) keeps a second tab out, which
 * gets `storage_in_use`.
 */
export function indexedDbStorage(options: IndexedDbOptions = {}): Storage {
  const { name = 'postrider', lockTimeoutMs = 3_000, durability = 'strict' } = options
  const bad = (text: string): PostriderError => new PostriderError('bad_option', text)
  if (typeof name !== 'string' || name === '') throw bad('name: a string that is not empty')
  if (durability !== 'strict' && durability !== 'relaxed') throw bad('durability: one of strict, relaxed')
  if (!(Number.isInteger(lockTimeoutMs) && lockTimeoutMs >= 0)) throw bad('lockTimeoutMs: an integer from 0')
  let database: IDBDatabase | null = null
  let release: () => void = () => undefined

  return {
    async load() {
      release = await takeLock(`postrider:${name}`, lockTimeoutMs)
      try {
        database = await openDatabase(name)
        return await readAll(database)
      } catch (error) {
        release()
        throw error
      }
    },
    write(changes: readonly StorageChange[]) {
      if (database === null) return Promise.reject(new PostriderError('storage_failed', 'not open'))
      return writeAll(database, changes, durability)
    },
    close() {
      database?.close()
      database = null
      release()
      return Promise.resolve()
    },
  }
}

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1)
    request.addEventListener('upgradeneeded', () => request.result.createObjectStore(STORE))
    request.addEventListener('success', () => {
      const database = request.result
      // Somebody deletes the database, or a later version wants it: they need not wait for this page. The next write fails.
      database.addEventListener('versionchange', () => database.close())
      resolve(database)
    })
    request.addEventListener('error', () => reject(asError(request.error)))
    request.addEventListener('blocked', () => reject(new PostriderError('storage_in_use')))
  })
}

function readAll(database: IDBDatabase): Promise<ReadonlyMap<string, Uint8Array>> {
  return new Promise((resolve, reject) => {
    const values = new Map<string, Uint8Array>()
    const transaction = database.transaction(STORE, 'readonly')
    const request = transaction.objectStore(STORE).openCursor()
    request.addEventListener('success', () => {
      const cursor = request.result
      if (cursor === null) return
      const value: unknown = cursor.value
      if (typeof cursor.key === 'string' && value instanceof Uint8Array) values.set(cursor.key, value)
      cursor.continue()
    })
    transaction.addEventListener('complete', () => resolve(values))
    transaction.addEventListener('abort', () => reject(asError(transaction.error)))
  })
}

function writeAll(
  database: IDBDatabase,
  changes: readonly StorageChange[],
  durability: 'strict' | 'relaxed',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, 'readwrite', { durability })
    const store = transaction.objectStore(STORE)
    for (const [key, value] of changes) {
      if (value === null) store.delete(key)
      else store.put(value, key)
    }
    transaction.addEventListener('complete', () => resolve())
    transaction.addEventListener('abort', () => reject(asError(transaction.error)))
  })
}

/** Answers what releases it. The browser releases it too when the page is gone. */
async function takeLock(name: string, timeoutMs: number): Promise<() => void> {
  const locks: LockManager | undefined = Reflect.get(navigator, 'locks')
  if (locks === undefined) return () => undefined
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), timeoutMs)
  return new Promise((resolve, reject) => {
    const held = (): Promise<void> =>
      new Promise((release) => {
        clearTimeout(timer)
        resolve(() => release())
      })
    locks.request(name, { signal: late.signal }, held).catch((error: unknown) => {
      clearTimeout(timer)
      reject(late.signal.aborted ? new PostriderError('storage_in_use', name) : asError(error))
    })
  })
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))
