// The journal files of a data folder: one that is written, and those before it that hold changes which are not yet in the records
// of devices. A file is deleted when nothing in it is needed; none is written twice, so whoever has it open can read it to its end.

import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../log.js'
import type { Group } from './group-commit.js'
import { CAN_WRITE_THROUGH, type JournalDisk, JournalFile, REAL_DISK } from './journal-file.js'
import type { NeededFile } from './sequence.js'
import { type FilePlace, findJournalFiles, journalFileName } from './stored-journal.js'

/** The first file of a start is small: most of what is started for a moment needs no more. Bytes. */
const FIRST_SIZE = 1 << 20
const FILE_SIZE = 8 << 20
/** A larger group goes to LMDB. Bytes. */
const GROUP_MAX = 4 << 20
/** After a file could not be made. Milliseconds. */
const RETRY_MS = 1_000

/** What of a file is needed. */
interface Need {
  /** Groups that are not in the records of devices, as memory has it. */
  wanted: number
  /** As the disk has it: groups that were wanted when LMDB last said so. */
  held: number
  /** The last group in the file. */
  last: number
}

export interface JournalFilesOptions {
  readonly folder: string
  /** Of the database beside them. */
  readonly id: Uint8Array
  readonly log: Logger
  /** False: files that are there are read, and deleted at the end; none is made. */
  readonly write: boolean
  readonly monotonic: () => number
  /** Is there room on the disk for more than is needed? */
  readonly roomy: () => boolean
  readonly disk?: JournalDisk
}

export class JournalFiles {
  readonly #options: JournalFilesOptions
  readonly #disk: JournalDisk
  /** The files that are there, by number. */
  readonly #needs = new Map<number, Need>()
  #current: JournalFile | null = null
  /** The one after it. */
  #spare: JournalFile | null = null
  #made = 0
  /** Not written any more, and not yet deleted. */
  readonly #retired = new Map<number, JournalFile>()
  #next: number
  #making: Promise<void> | null = null
  /** Files that are being closed and deleted. */
  readonly #leaving = new Set<Promise<void>>()
  #failedAt = -Infinity
  /** The group that was stored last, here or in LMDB, as far as it is handed over. */
  #last = 0
  /** Where the records under way begin. */
  readonly #underWay = new Map<number, { readonly file: JournalFile; readonly offset: number }>()
  #closed = false

  constructor(options: JournalFilesOptions) {
    this.#options = options
    this.#disk = options.disk ?? REAL_DISK
    const found = findJournalFiles(options.folder)
    for (const number of found) this.#needs.set(number, noNeed())
    this.#next = (found.at(-1) ?? 0) + 1
  }

  /** Group `last` is the last one on the disk; nothing is under way. */
  startAfter(last: number): void {
    this.#last = last
    this.#underWay.clear()
  }

  /** LMDB takes the group. */
  passed(group: number): void {
    this.#last = group
  }

  /** The file into which the group's journal can go now; null when there is none: one is made for later groups. */
  takes({ journal }: Group): number | null {
    if (!this.#options.write || !CAN_WRITE_THROUGH || this.#closed) return null
    if (!this.#options.roomy()) {
      this.#retireAll()
      return null
    }
    const { bytes, partCount } = journal
    if (bytes > GROUP_MAX) return null
    if (this.#spare !== null && this.#current?.fits(partCount, bytes) !== true) {
      this.#retire(this.#current)
      this.#current = this.#spare
      this.#spare = null
    }
    if (this.#spare === null && this.#current?.halfFull !== false) this.#make()
    return this.#current?.fits(partCount, bytes) === true ? this.#current.number : null
  }

  /** `takes` has named it, and no record of another file is under way. Resolves when the record is on the disk; one in front of it may not be. */
  append(
    group: Group,
    parts: readonly Buffer[],
  ): { readonly place: FilePlace; readonly bytes: number; readonly stored: Promise<void> } {
    const file = this.#current
    if (file === null) throw new TypeError('there is no journal file')
    const { offset, bytes, stored } = file.append(group.number, this.#last, parts)
    this.#last = group.number
    this.#underWay.set(group.number, { file, offset })
    return { place: { file: file.number, offset }, bytes, stored }
  }

  /** The group's record, and all before it, are on the disk. */
  stored(group: number): void {
    this.#underWay.delete(group)
  }

  /**
   * A record was not stored, nor may those behind it be: what is under way is made unreadable. Throws when that fails: then
   * nobody knows what the file holds.
   */
  cut(): void {
    const cut = new Set<JournalFile>()
    for (const { file, offset } of this.#underWay.values()) {
      if (!cut.has(file)) file.cut(offset)
      cut.add(file)
    }
    this.#underWay.clear()
    this.#retireAll()
  }

  /** The journal of memory begins anew: which groups are needed is told again. */
  forget(): void {
    for (const number of this.#needs.keys()) this.#needs.set(number, noNeed())
  }

  /** A group in the file is needed. */
  hold(group: number, { file }: FilePlace): void {
    const need = this.#needs.get(file)
    if (need === undefined) throw new TypeError(`there is no journal file ${file}`)
    need.wanted++
    need.held++
    need.last = group
  }

  /** LMDB is about to say that a group in the file is not needed any more. */
  unwant({ file }: FilePlace): void {
    const need = this.#needs.get(file)
    if (need !== undefined) need.wanted--
  }

  /** It has said so, and that is on the disk. */
  drop({ file }: FilePlace): void {
    const need = this.#needs.get(file)
    if (need !== undefined) need.held--
  }

  /** The files that LMDB must not be without. Nothing is under way. */
  get needed(): readonly NeededFile[] {
    const files: NeededFile[] = []
    for (const [file, { wanted, last }] of this.#needs) if (wanted > 0) files.push({ file, last })
    return files
  }

  /** Deletes the files of which nothing is needed; not in a store that does not wait for its disk, for it may forget. */
  release(): void {
    if (!this.#options.write) return
    for (const [number, { held }] of this.#needs) {
      if (held === 0 && number !== this.#current?.number && number !== this.#spare?.number) this.#delete(number)
    }
  }

  /** All of a file. Throws when it cannot be read. */
  read(file: number): Buffer {
    return readFileSync(this.#path(file))
  }

  /** Nothing is under way any more. `empty`: nor is anything of the journal needed, as LMDB has it on the disk. */
  async close(empty: boolean): Promise<void> {
    this.#closed = true
    await this.#making
    this.#retireAll()
    if (empty) for (const number of this.#needs.keys()) this.#delete(number)
    await Promise.all(this.#leaving)
    for (const file of this.#retired.values()) await file.close()
    this.#retired.clear()
  }

  #path(number: number): string {
    return join(this.#options.folder, journalFileName(number))
  }

  #retire(file: JournalFile | null): void {
    if (file !== null) this.#retired.set(file.number, file)
  }

  #retireAll(): void {
    this.#retire(this.#current)
    this.#retire(this.#spare)
    this.#current = this.#spare = null
  }

  #delete(number: number): void {
    const file = this.#retired.get(number)
    this.#retired.delete(number)
    this.#needs.delete(number)
    try {
      rmSync(this.#path(number), { force: true })
    } catch (error) {
      // It is read again at the next start, and nothing in it is needed.
      this.#failed(error)
    }
    if (file === undefined) return
    const leaving = file.close().catch((error: unknown) => this.#failed(error))
    this.#leaving.add(leaving)
    void leaving.then(() => this.#leaving.delete(leaving))
  }

  #make(): void {
    const { monotonic } = this.#options
    if (this.#making !== null || monotonic() - this.#failedAt < RETRY_MS) return
    const number = this.#next++
    const size = this.#made++ === 0 ? FIRST_SIZE : FILE_SIZE
    this.#making = JournalFile.create({
      path: this.#path(number),
      id: this.#options.id,
      number,
      size,
      disk: this.#disk,
    })
      .then(
        (file) => {
          this.#needs.set(number, noNeed())
          if (this.#current === null) this.#current = file
          else this.#spare = file
        },
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#making = null
      })
  }

  /** LMDB takes what comes, as without files. */
  #failed(error: unknown): void {
    this.#failedAt = this.#options.monotonic()
    this.#options.log.warn({ err: error }, 'store_journal_file_failed')
  }
}

const noNeed = (): Need => ({ wanted: 0, held: 0, last: 0 })
