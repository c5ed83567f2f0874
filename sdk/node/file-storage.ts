import { mkdir, open, readFile, rename, rm, type FileHandle } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { messageOf, PostriderError } from '../device/errors.js'
import type { Storage, StorageChange } from '../device/storage/storage.js'
import { lockFolder } from './folder-lock.js'
import { encodeBatch, MAGIC, readJournal } from './journal.js'

export interface FileStorageOptions {
  /** A folder of this storage's own; made when it is missing. */
  readonly folder: string
  /**
   * True (default): a write is on the disk when it is done, so that it survives a power cut. False: it survives the process, not
   * the machine, and takes a tenth of the time.
   */
  readonly fsync?: boolean
  /** Milliseconds to wait for another process to let go of the folder. Default 3,000. */
  readonly lockTimeoutMs?: number
}

const JOURNAL = 'journal'
/** The file is written anew when it is larger than this, and so many times as large as what is in it. */
const COMPACT_BYTES = 256 * 1024
const COMPACT_FACTOR = 4

/**
 * Keeps everything in a file of the folder. A write is one append with a checksum: whatever kills the process or the machine, it
 * is there or it is not. One process at a time, held by a lock that dies with it.
 */
export function fileStorage(options: FileStorageOptions): Storage {
  const { fsync = true, lockTimeoutMs = 3_000 } = options
  if (typeof options.folder !== 'string' || options.folder === '') {
    throw new PostriderError('bad_option', 'folder: the path of a folder')
  }
  if (typeof fsync !== 'boolean') throw new PostriderError('bad_option', 'fsync: true or false')
  if (!Number.isInteger(lockTimeoutMs) || lockTimeoutMs < 0) {
    throw new PostriderError('bad_option', 'lockTimeoutMs: an integer from 0')
  }
  return new FileStorage(resolve(options.folder), fsync, lockTimeoutMs)
}

class FileStorage implements Storage {
  readonly #folder: string
  readonly #fsync: boolean
  readonly #lockTimeoutMs: number
  #values = new Map<string, Uint8Array>()
  #unlock: (() => Promise<void>) | null = null
  #file: FileHandle | null = null
  #size = 0
  #failed = false

  constructor(folder: string, fsync: boolean, lockTimeoutMs: number) {
    this.#folder = folder
    this.#fsync = fsync
    this.#lockTimeoutMs = lockTimeoutMs
  }

  async load(): Promise<ReadonlyMap<string, Uint8Array>> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    this.#unlock = await lockFolder(this.#folder, this.#lockTimeoutMs)
    try {
      await this.#read()
      return new Map(this.#values)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async write(changes: readonly StorageChange[]): Promise<void> {
    const file = this.#file
    // After a write that failed, what stands at the end of the file is not known.
    if (file === null || this.#failed) throw new PostriderError('storage_failed', 'the file is not open')
    const batch = encodeBatch(changes, changes.length)
    try {
      await append(file, batch, this.#size)
      if (this.#fsync) await file.datasync()
    } catch (error) {
      this.#failed = true
      throw new PostriderError('storage_failed', `${this.#path()}: ${messageOf(error)}`, { cause: error })
    }
    this.#size += batch.length
    for (const [key, value] of changes) {
      if (value === null) this.#values.delete(key)
      else this.#values.set(key, value)
    }
    if (this.#size > COMPACT_BYTES && this.#size > COMPACT_FACTOR * this.#liveBytes()) await this.#compact()
  }

  async close(): Promise<void> {
    const file = this.#file
    const unlock = this.#unlock
    this.#file = null
    this.#unlock = null
    try {
      await file?.close()
    } finally {
      await unlock?.()
    }
  }

  #path(name = JOURNAL): string {
    return join(this.#folder, name)
  }

  async #read(): Promise<void> {
    this.#values = new Map()
    await rm(this.#path('journal.new'), { force: true })
    const bytes = await readIfThere(this.#path())
    const whole = bytes === null ? 0 : readJournal(bytes, this.#values)
    if (whole === 0) {
      await this.#compact()
      return
    }
    this.#file = await open(this.#path(), 'r+')
    this.#size = whole
    // What a dying process left half written.
    if (bytes !== null && bytes.length > whole) await this.#file.truncate(whole)
  }

  #liveBytes(): number {
    let sum = 0
    for (const [key, value] of this.#values) sum += key.length + value.length + 16
    return sum
  }

  /** Writes what is in it to a new file, which takes the place of the old one in one step. */
  async #compact(): Promise<void> {
    const path = this.#path('journal.new')
    const file = await open(path, 'w', 0o600)
    try {
      const bytes =
        this.#values.size === 0 ? MAGIC : Buffer.concat([MAGIC, encodeBatch(this.#values, this.#values.size)])
      await append(file, bytes, 0)
      if (this.#fsync) await file.sync()
      await rename(path, this.#path())
      if (this.#fsync) await syncFolder(this.#folder)
      await this.#file?.close()
      this.#file = file
      this.#size = bytes.length
    } catch (error) {
      this.#failed = true
      await file.close()
      throw new PostriderError('storage_failed', `${path}: ${messageOf(error)}`, { cause: error })
    }
  }
}

async function append(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** The name of a new file is on the disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return // folders cannot be opened there
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
