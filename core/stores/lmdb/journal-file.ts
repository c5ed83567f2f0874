// One journal file that is written. It has its whole length, in zeros, and is flushed before the first record comes to it. So
// storing one changes nothing of the file but these bytes: one write, which is done when the disk has it (O_DSYNC), and for which
// the file system need not write down where the bytes are.

import { randomBytes } from 'node:crypto'
import { close, constants, fdatasync, fsync, open, unlink, write, writeSync, writev, type WriteVResult } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { encodeHeader, encodeRecordOf, HEADER_SIZE, recordSize, SALT_SIZE } from './journal-record.js'

/** Of one write. */
const ZEROS = Buffer.alloc(128 << 10)

const openFile = promisify(open)
const closeFile = promisify(close)
const flushData = promisify(fdatasync)
const flushAll = promisify(fsync)
const unlinkFile = promisify(unlink)
const writeOne = promisify(write)
const writeMany = promisify(writev)

/** How records get to the disk; a test puts its own in the place of the file system's. */
export interface JournalDisk {
  write(fd: number, pieces: Buffer[], position: number): Promise<WriteVResult>
}

export const REAL_DISK: JournalDisk = { write: (fd, pieces, position) => writeMany(fd, pieces, position) }

/** Does the system say by itself when a write is on the disk? */
export const CAN_WRITE_THROUGH = process.platform === 'linux'

export interface NewFile {
  readonly path: string
  /** Of the database that it lies beside. */
  readonly id: Uint8Array
  readonly number: number
  /** Bytes. */
  readonly size: number
  readonly disk: JournalDisk
}

export class JournalFile {
  readonly number: number
  readonly #disk: JournalDisk
  readonly #salt: Buffer
  /** Writes through. */
  readonly #fd: number
  readonly #size: number
  #position = HEADER_SIZE
  #closed = false

  private constructor(number: number, size: number, disk: JournalDisk, salt: Buffer, fd: number) {
    this.number = number
    this.#disk = disk
    this.#salt = salt
    this.#fd = fd
    this.#size = size
  }

  /** A new file, on the disk with its name. Rejects with the file system's error, and leaves none then. */
  static async create({ path, id, number, size, disk }: NewFile): Promise<JournalFile> {
    const salt = randomBytes(SALT_SIZE)
    await makeRoom(path, size)
    try {
      const fd = await openFile(path, constants.O_RDWR | constants.O_DSYNC)
      try {
        await writeWhole(fd, encodeHeader(id, number, salt), 0)
        await flushFolder(dirname(path))
      } catch (error) {
        await closeFile(fd)
        throw error
      }
      return new JournalFile(number, size, disk, salt, fd)
    } catch (error) {
      // Left over it would be read as empty, and deleted.
      await unlinkFile(path).catch(() => undefined)
      throw error
    }
  }

  /** Is there room for a record with so many parts, of `bytes` in sum? */
  fits(parts: number, bytes: number): boolean {
    return this.#size - this.#position >= recordSize(parts, bytes)
  }

  /** So little room is left that the next file should be made. */
  get halfFull(): boolean {
    return this.#position > this.#size / 2
  }

  /**
   * Writes a group's record behind the last one; `offset` and `bytes` say where at once. `stored` resolves when it is on the
   * disk; it may be there before the record in front of it is.
   */
  append(
    group: number,
    after: number,
    parts: readonly Buffer[],
  ): { readonly offset: number; readonly bytes: number; readonly stored: Promise<void> } {
    const pieces = encodeRecordOf(this.#salt, group, after, parts)
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0)
    const offset = this.#position
    if (offset + bytes > this.#size) throw new RangeError('a record does not fit its journal file')
    this.#position += bytes
    return { offset, bytes, stored: this.#write(pieces, bytes, offset) }
  }

  async #write(pieces: Buffer[], bytes: number, offset: number): Promise<void> {
    const { bytesWritten } = await this.#disk.write(this.#fd, pieces, offset)
    if (bytesWritten !== bytes) throw new Error(`the disk took ${bytesWritten} of ${bytes} bytes of a journal record`)
  }

  /** Makes the record at `offset`, and so all behind it, unreadable. Throws the file system's error. */
  cut(offset: number): void {
    const zeros = Buffer.alloc(recordSize(0, 0))
    const written = writeSync(this.#fd, zeros, 0, zeros.length, offset)
    if (written !== zeros.length) throw new Error('the disk did not take what cuts a journal file')
  }

  /** No record is under way, and none comes any more. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await closeFile(this.#fd)
  }
}

/** A new file of zeros, flushed. */
async function makeRoom(path: string, size: number): Promise<void> {
  const fd = await openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    for (let at = 0; at < size; at += ZEROS.length) await writeWhole(fd, ZEROS, at)
    await flushData(fd)
  } catch (error) {
    await unlinkFile(path).catch(() => undefined)
    throw error
  } finally {
    await closeFile(fd)
  }
}

async function writeWhole(fd: number, bytes: Buffer, position: number): Promise<void> {
  const { bytesWritten } = await writeOne(fd, bytes, 0, bytes.length, position)
  if (bytesWritten !== bytes.length) throw new Error('the disk did not take the whole of a journal file')
}

/** So that the file is found by its name after a cut of power. */
async function flushFolder(path: string): Promise<void> {
  const folder = await openFile(path, constants.O_RDONLY)
  try {
    await flushAll(folder)
  } finally {
    await closeFile(folder)
  }
}
