// The one entry of the table `sequence`, written with every group that goes to LMDB. Its version is the group's number; its value
// lists the journal files that are needed beside LMDB, and how far each must reach.
//
//   for each file: u48 its number, u48 the last group in it

import { ByteReader, ByteWriter } from './bytes.js'
import type { Tables } from './tables.js'

export const SEQUENCE_KEY = Buffer.from('group')
const ENTRY_SIZE = 12

/** A journal file that is needed: it must be there, and readable up to this group. */
export interface NeededFile {
  readonly file: number
  readonly last: number
}

export interface Sequence {
  /** The last group stored in LMDB; 0: none. */
  readonly last: number
  /** Ascending. */
  readonly files: readonly NeededFile[]
}

/** The part of the tables that it needs. */
type SequenceTable = Pick<Tables, 'sequence'>

export function readSequence({ sequence }: SequenceTable): Sequence {
  const entry = sequence.getEntry(SEQUENCE_KEY)
  const files: NeededFile[] = []
  // Until there were journal files the value was one byte, which said nothing.
  if (entry !== undefined && entry.value.length % ENTRY_SIZE === 0) {
    const input = new ByteReader(entry.value)
    while (!input.done) files.push({ file: input.u48(), last: input.u48() })
  }
  return { last: entry?.version ?? 0, files }
}

/** The value of the entry; its version is the group's number. */
export function sequenceValue(files: readonly NeededFile[]): Buffer {
  const out = new ByteWriter(Math.max(1, files.length) * ENTRY_SIZE)
  for (const { file, last } of files) {
    out.u48(file)
    out.u48(last)
  }
  return out.end()
}
