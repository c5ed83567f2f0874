// What the client remembers, and the storage behind it. Changes are made in memory and written behind it in batches: while a
// write is under way, all that changes goes into the next one, so that many logs and uplinks share one.

import { FrameError } from '../../../protocol/frames/frame-error.js'
import type { WirePosition } from '../../../protocol/frames/frame-types.js'
import { messageOf, PostriderError } from '../errors.js'
import { DedupMemory, slotOf, type DedupEntry } from '../log/dedup-memory.js'
import { LogRecord } from '../log/log-record.js'
import type { Storage, StorageChange } from './storage.js'
import {
  dedupKey,
  FORMAT_VERSION,
  KEYS,
  logKey,
  readAbout,
  readDedup,
  readLog,
  readParked,
  readUplink,
  readUrl,
  writeAbout,
  writeDedup,
  writeLog,
  writeUrl,
  type StoredParked,
  type StoredUplink,
} from './stored-values.js'

/** What is remembered of one log. */
export interface LogMemory {
  readonly name: string
  readonly record: LogRecord
  readonly dedup: DedupMemory
}

interface Batch {
  readonly changes: Map<string, Uint8Array | null>
  readonly done: Promise<void>
  readonly settle: (error: PostriderError | null) => void
}

function newBatch(): Batch {
  let settle: Batch['settle'] = () => undefined
  const done = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === null ? resolve() : reject(error))
  })
  // Whoever waits sees the rejection, and the client is told of it once; a batch that nobody waits for is no unhandled one.
  done.catch(() => undefined)
  return { changes: new Map(), done, settle }
}

/** The values of a storage, sorted. */
interface Loaded {
  /** Nothing was in it. */
  readonly fresh: boolean
  readonly logs: Map<string, LogMemory>
  readonly uplinks: ReadonlyMap<number, StoredUplink>
  readonly parked: ReadonlyMap<number, StoredParked>
  readonly url: string | null
}

export class StateStore {
  readonly #storage: Storage
  readonly #onFailure: (error: PostriderError) => void
  readonly #logs: Map<string, LogMemory>
  /** As they were found; their owners take them from here once. */
  readonly uplinks: ReadonlyMap<number, StoredUplink>
  readonly parked: ReadonlyMap<number, StoredParked>
  #url: string | null
  /** How far each log is in the storage. */
  readonly #recorded = new Map<LogMemory, WirePosition | null>()
  /** Logs that changed since they were last written. */
  readonly #dirty = new Set<LogMemory>()
  #batch: Batch | null = null
  #writing: Batch | null = null
  #failure: PostriderError | null = null
  #closed = false

  private constructor(storage: Storage, device: string, loaded: Loaded, onFailure: (error: PostriderError) => void) {
    this.#storage = storage
    this.#onFailure = onFailure
    if (loaded.fresh) this.put(KEYS.about, writeAbout(device))
    this.#logs = loaded.logs
    for (const log of loaded.logs.values()) this.#recorded.set(log, log.record.position)
    this.uplinks = loaded.uplinks
    this.parked = loaded.parked
    this.#url = loaded.url
  }

  /**
   * Reads everything. Rejects with PostriderError: `storage_failed`, `storage_in_use`, `storage_unusable`. `onFailure` is called
   * once, when a write fails later.
   */
  static async open(storage: Storage, device: string, onFailure: (error: PostriderError) => void): Promise<StateStore> {
    let values: ReadonlyMap<string, Uint8Array>
    try {
      values = await storage.load()
    } catch (error) {
      if (error instanceof PostriderError) throw error
      throw new PostriderError('storage_failed', messageOf(error), { cause: error })
    }
    try {
      checkValues(values)
      return new StateStore(storage, device, readAll(values, device), onFailure)
    } catch (error) {
      try {
        await storage.close()
      } catch {
        // What it holds is the news.
      }
      throw error
    }
  }

  /** True: what is written now forgets at the end of the process, so nothing waits for it. */
  get volatile(): boolean {
    return this.#storage.volatile === true
  }

  get logs(): ReadonlyMap<string, LogMemory> {
    return this.#logs
  }

  log(name: string): LogMemory {
    const known = this.#logs.get(name)
    if (known !== undefined) return known
    const memory = { name, record: new LogRecord(), dedup: new DedupMemory() }
    this.#logs.set(name, memory)
    return memory
  }

  get url(): string | null {
    return this.#url
  }

  set url(url: string | null) {
    if (url === this.#url || url === null) return
    this.#url = url
    if (!this.volatile) this.put(KEYS.url, writeUrl(url))
  }

  /** The record, position or guard of the log changed: it is written with the next batch. */
  touch(log: LogMemory): void {
    this.#dirty.add(log)
  }

  /**
   * The position of the log that the storage has: what the server may be told. The one in memory may be of a message whose
   * handling is being written. Null: none.
   */
  positionOf(log: LogMemory): WirePosition | null {
    return this.volatile ? log.record.position : (this.#recorded.get(log) ?? null)
  }

  /** An id was remembered: it is written with the next batch. */
  touchDedup(log: LogMemory, entry: DedupEntry): void {
    if (!this.volatile) this.put(dedupKey(log.name, slotOf(entry)), writeDedup(entry))
  }

  /** Into the next batch. */
  put(key: string, value: Uint8Array | null): void {
    this.#batch ??= newBatch()
    this.#batch.changes.set(key, value)
  }

  /**
   * Writes everything that changed before this call; null when there is nothing to wait for, because the storage is volatile.
   * Rejects with PostriderError: `storage_failed`, now and ever after; `closed`.
   */
  save(): Promise<void> | null {
    if (this.#closed) return Promise.reject(new PostriderError('closed'))
    return this.volatile ? null : this.#flush()
  }

  /** Writes what is left, and lets go of the storage. Rejects with PostriderError. */
  async close(): Promise<void> {
    try {
      if (this.#failure === null) {
        if (this.volatile) this.#everything()
        await this.#flush()
      }
    } finally {
      this.#closed = true
      await this.#closeStorage()
    }
  }

  /** After a failure of the storage, a second one says nothing new. */
  async #closeStorage(): Promise<void> {
    try {
      await this.#storage.close()
    } catch (error) {
      const known = this.#failure !== null
      const failure = this.#fail(error)
      if (!known) throw failure
    }
  }

  #everything(): void {
    for (const log of this.#logs.values()) {
      this.#dirty.add(log)
      for (const entry of log.dedup.entries()) this.put(dedupKey(log.name, slotOf(entry)), writeDedup(entry))
    }
    if (this.#url !== null) this.put(KEYS.url, writeUrl(this.#url))
  }

  #flush(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#batch === null) {
      if (this.#dirty.size === 0) return this.#writing?.done ?? Promise.resolve()
      this.#batch = newBatch()
    }
    const { done } = this.#batch
    if (this.#writing === null) void this.#write()
    return done
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    // What is changed in the same tick still gets in.
    await Promise.resolve()
    for (;;) {
      const batch = this.#batch
      if (batch === null || this.#writing !== null) return
      this.#batch = null
      this.#writing = batch
      const positions: Array<readonly [LogMemory, WirePosition | null]> = []
      for (const log of this.#dirty) {
        positions.push([log, log.record.position])
        batch.changes.set(logKey(log.name), writeLog({ record: log.record, guarded: log.dedup.guarded }))
      }
      this.#dirty.clear()
      const changes: readonly StorageChange[] = [...batch.changes]
      try {
        await this.#storage.write(changes)
      } catch (error) {
        const failure = this.#fail(error)
        this.#writing = null
        batch.settle(failure)
        this.#takeBatch()?.settle(failure)
        return
      }
      this.#writing = null
      for (const [log, position] of positions) this.#recorded.set(log, position)
      batch.settle(null)
    }
  }

  #takeBatch(): Batch | null {
    const batch = this.#batch
    this.#batch = null
    return batch
  }

  #fail(error: unknown): PostriderError {
    const failure =
      error instanceof PostriderError ? error : new PostriderError('storage_failed', messageOf(error), { cause: error })
    if (this.#failure === null) {
      this.#failure = failure
      this.#onFailure(failure)
    }
    return failure
  }
}

/** A storage of the application's own may give anything. Throws PostriderError. */
function checkValues(values: unknown): void {
  const wrong = (): PostriderError =>
    new PostriderError('storage_unusable', 'load must give a Map of strings to Uint8Arrays')
  if (!(values instanceof Map)) throw wrong()
  // Bytes may come out of another realm, as in test runners that give each file globals of its own.
  for (const [key, value] of values) if (typeof key !== 'string' || !ArrayBuffer.isView(value)) throw wrong()
}

function readAll(values: ReadonlyMap<string, Uint8Array>, device: string): Loaded {
  const records = new Map<string, ReturnType<typeof readLog>>()
  const entries = new Map<string, DedupEntry[]>()
  const uplinks = new Map<number, StoredUplink>()
  const parked = new Map<number, StoredParked>()
  let url: string | null = null
  try {
    checkAbout(values, device)
    for (const [key, value] of values) {
      if (key.startsWith(KEYS.log)) records.set(key.slice(KEYS.log.length), readLog(value))
      else if (key.startsWith(KEYS.dedup)) {
        const log = key.slice(KEYS.dedup.length, key.lastIndexOf('/'))
        const known = entries.get(log)
        if (known === undefined) entries.set(log, [readDedup(value)])
        else known.push(readDedup(value))
      } else if (key.startsWith(KEYS.uplink)) uplinks.set(numberIn(key, KEYS.uplink), readUplink(value))
      else if (key.startsWith(KEYS.parked)) parked.set(numberIn(key, KEYS.parked), readParked(value))
      else if (key === KEYS.url) url = readUrl(value)
      // Other keys are a later version's that kept the format.
    }
  } catch (error) {
    if (error instanceof FrameError) {
      throw new PostriderError('storage_unusable', 'a value is damaged', { cause: error })
    }
    throw error
  }
  const logs = new Map<string, LogMemory>()
  for (const [name, { record, guarded }] of records) {
    logs.set(name, { name, record, dedup: new DedupMemory(entries.get(name), guarded) })
  }
  return { fresh: values.size === 0, logs, uplinks: inOrder(uplinks), parked: inOrder(parked), url }
}

function checkAbout(values: ReadonlyMap<string, Uint8Array>, device: string): void {
  if (values.size === 0) return
  const value = values.get(KEYS.about)
  if (value === undefined) throw new PostriderError('storage_unusable', 'it holds something else')
  const about = readAbout(value)
  if (about.version !== FORMAT_VERSION) {
    throw new PostriderError('storage_unusable', `format ${about.version}; this is format ${FORMAT_VERSION}`)
  }
  if (about.device !== device) throw new PostriderError('storage_unusable', `it belongs to the device ${about.device}`)
}

function numberIn(key: string, prefix: string): number {
  const number = Number(key.slice(prefix.length))
  if (!Number.isSafeInteger(number) || number < 0) throw new PostriderError('storage_unusable', `a key is damaged`)
  return number
}

function inOrder<T>(map: ReadonlyMap<number, T>): ReadonlyMap<number, T> {
  return new Map([...map].toSorted(([a], [b]) => a - b))
}
