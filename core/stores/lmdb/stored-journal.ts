// What the journal holds on the disk: groups in the table of LMDB and groups in journal files, as one sequence.

import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { decodeHeader, ID_SIZE, type JournalRecord, readRecords } from './journal-record.js'
import { readSequence, type Sequence } from './sequence.js'
import { journalKeyGroup, journalKeyPart, metaKey, type Tables } from './tables.js'

/** Where a group of a journal file stands. */
export interface FilePlace {
  readonly file: number
  readonly offset: number
}

/** A group commit's changes. */
export interface StoredGroup {
  readonly group: number
  readonly parts: readonly Buffer[]
  readonly bytes: number
  /** Null: in the table. */
  readonly place: FilePlace | null
}

const FILE_NAME = /^journal-(\d{12})\.wal$/

export const journalFileName = (number: number): string => `journal-${String(number).padStart(12, '0')}.wal`

/** A journal file as it lies there. */
export interface FoundFile {
  readonly number: number
  readonly path: string
  readonly content: Buffer
}

/** The numbers of the journal files in `folder`, ascending. */
export function findJournalFiles(folder: string): readonly number[] {
  return readdirSync(folder)
    .map((name) => FILE_NAME.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b)
}

/**
 * What is read is on the disk: a process that was killed may have left what was not, and what is built on it must not outlive it.
 */
export function readJournalFiles(folder: string): readonly FoundFile[] {
  return findJournalFiles(folder).map((number) => {
    const path = join(folder, journalFileName(number))
    const fd = openSync(path, 'r')
    try {
      fdatasyncSync(fd)
      return { number, path, content: readFileSync(fd) }
    } finally {
      closeSync(fd)
    }
  })
}

const ID_KEY = metaKey('journal-id')

/** What journal files beside this database bear; null: it has never had any. */
export const readJournalId = ({ meta }: Pick<Tables, 'meta'>): Buffer | null => {
  const id = meta.get(ID_KEY)
  return id === undefined ? null : Buffer.from(id)
}

/** The same, made at the first time. */
export function journalId(tables: Tables): Buffer {
  const known = readJournalId(tables)
  if (known !== null) return known
  const id = randomBytes(ID_SIZE)
  tables.meta.putSync(ID_KEY, id)
  return id
}

/** The next who asks gets another one: for a copy that goes ways of its own. */
export function forgetJournalId({ meta }: Tables): void {
  meta.removeSync(ID_KEY)
}

/**
 * The groups in these files, which lie beside a database with `id` and `sequence`. Each must follow one that is there or in LMDB,
 * and the files that LMDB needs must be there, up to the group that it knows: else accepted messages are missing. Throws RangeError
 * then. `live`: the last group that LMDB has had since; what follows one that is in there alone ends what is read.
 */
export function groupsOf(
  files: readonly FoundFile[],
  id: Uint8Array | null,
  sequence: Sequence,
  live = 0,
): readonly StoredGroup[] {
  const groups: StoredGroup[] = []
  const reached = new Map<number, number>()
  let last = 0
  for (const { file, record } of recordsOf(files, id)) {
    if (record.after > Math.max(last, sequence.last) || record.group <= last) {
      if (record.after <= live) break
      throw new RangeError(`journal group ${record.after}, before group ${record.group}, is missing`)
    }
    last = record.group
    reached.set(file.number, last)
    const { group, parts, bytes, offset } = record
    groups.push({ group, parts, bytes, place: { file: file.number, offset } })
  }
  for (const needed of sequence.files) {
    if ((reached.get(needed.file) ?? 0) >= needed.last) continue
    throw new RangeError(`journal group ${needed.last} is missing: ${journalFileName(needed.file)} is gone or damaged`)
  }
  return groups
}

function* recordsOf(
  files: readonly FoundFile[],
  id: Uint8Array | null,
): Generator<{ readonly file: FoundFile; readonly record: JournalRecord }> {
  for (const file of files) {
    const salt = saltOf(file, id)
    if (salt === null) continue
    for (const record of readRecords(file.content, salt)) yield { file, record }
  }
}

function saltOf({ content, number, path }: FoundFile, id: Uint8Array | null): Buffer | null {
  try {
    return decodeHeader(content, id, number)
  } catch (error) {
    throw new RangeError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

/** Every group that the journal holds in `folder`, ascending. Throws RangeError when something is missing or damaged. */
export function* storedGroups(folder: string, tables: Tables): Generator<StoredGroup> {
  const filed = groupsOf(readJournalFiles(folder), readJournalId(tables), readSequence(tables))
  let next = 0
  for (const group of tableGroups(tables)) {
    for (; next < filed.length; next++) {
      const before = filed[next]
      if (before === undefined || before.group > group.group) break
      yield before
    }
    yield group
  }
  yield* filed.slice(next)
}

function* tableGroups(tables: Tables): Generator<StoredGroup> {
  let group = 0
  let parts: Buffer[] = []
  const made = (): StoredGroup => ({
    group,
    parts,
    bytes: parts.reduce((sum, { length }) => sum + length, 0),
    place: null,
  })
  for (const { key, value } of tables.journal.getRange({})) {
    const number = journalKeyGroup(key)
    if (number !== group) {
      if (group !== 0) yield made()
      group = number
      parts = []
    }
    if (journalKeyPart(key) !== parts.length) {
      throw new RangeError(`part ${parts.length} of journal group ${group} is missing`)
    }
    // The range's buffers may be used again: payloads become views of a copy.
    parts.push(Buffer.from(value))
  }
  if (group !== 0) yield made()
}
