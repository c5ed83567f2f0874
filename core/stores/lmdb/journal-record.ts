// What a journal file holds: a header, then one record for each group commit that was written to it and not to LMDB.
//
//   header: 8 bytes magic with the format, 16 bytes id of the database that it lies beside, u48 number of the file, 16 bytes salt,
//           u32 CRC-32 of these; 64 bytes in all
//   record: u32 length of the body, u32 CRC-32 of the body
//   body:   u48 group, u48 the group stored before it, then for each part of the group's journal: u32 length, part
//
// The CRC of a record is seeded with the file's salt, and zeros follow the last one. A file is read up to the first record that
// is not whole: what a cut of power tore was never answered.

import { crc32 } from 'node:zlib'

const MAGIC = Buffer.from('PRjourn1', 'latin1')
export const HEADER_SIZE = 64
export const SALT_SIZE = 16
export const ID_SIZE = 16
const NUMBER_AT = MAGIC.length + ID_SIZE
const SALT_AT = NUMBER_AT + 6
const CRC_AT = SALT_AT + SALT_SIZE
/** In front of the parts of a record. */
const FRONT_SIZE = 8 + 12

/** The changes of one group commit as a journal file has them. */
export interface JournalRecord {
  readonly group: number
  /** The group that was stored before it, here or in LMDB. */
  readonly after: number
  readonly parts: readonly Buffer[]
  /** Where it begins in its file. */
  readonly offset: number
  /** Of the whole record. */
  readonly bytes: number
}

export function encodeHeader(id: Uint8Array, number: number, salt: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER_SIZE)
  MAGIC.copy(header)
  header.set(id, MAGIC.length)
  header.writeUIntBE(number, NUMBER_AT, 6)
  header.set(salt, SALT_AT)
  header.writeUInt32BE(crc32(header.subarray(0, CRC_AT)), CRC_AT)
  return header
}

/**
 * The salt of the file; null when its making was not finished, so that nothing can be in it. Throws RangeError when the header is
 * damaged, of another format, or of a file that was written beside another database than the one with `id`.
 */
export function decodeHeader(file: Buffer, id: Uint8Array | null, number: number): Buffer | null {
  if (file.subarray(0, HEADER_SIZE).every((byte) => byte === 0)) return null
  if (file.length < HEADER_SIZE || !file.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new RangeError('it does not begin like a journal file')
  }
  const whole = crc32(file.subarray(0, CRC_AT)) === file.readUInt32BE(CRC_AT)
  if (!whole || file.readUIntBE(NUMBER_AT, 6) !== number) throw new RangeError('its header is damaged')
  if (id === null || !file.subarray(MAGIC.length, NUMBER_AT).equals(id)) {
    throw new RangeError('it was written beside another database than the one in this folder')
  }
  return Buffer.from(file.subarray(SALT_AT, CRC_AT))
}

/** Bytes that a record with these parts takes. */
export function recordSize(parts: number, bytes: number): number {
  return FRONT_SIZE + parts * 4 + bytes
}

/** The record in pieces, to be written one behind the other. */
export function encodeRecordOf(salt: Uint8Array, group: number, after: number, parts: readonly Buffer[]): Buffer[] {
  const front = Buffer.allocUnsafe(FRONT_SIZE)
  front.writeUIntBE(group, 8, 6)
  front.writeUIntBE(after, 14, 6)
  const pieces: Buffer[] = [front]
  let length = FRONT_SIZE - 8
  let crc = crc32(front.subarray(8), crc32(salt))
  for (const part of parts) {
    const size = Buffer.allocUnsafe(4)
    size.writeUInt32BE(part.length)
    pieces.push(size, part)
    crc = crc32(part, crc32(size, crc))
    length += 4 + part.length
  }
  front.writeUInt32BE(length, 0)
  front.writeUInt32BE(crc, 4)
  return pieces
}

/** The records of a file in order, up to the first that is not whole; their parts are views of it. */
export function* readRecords(file: Buffer, salt: Uint8Array): Generator<JournalRecord> {
  const seed = crc32(salt)
  let at = HEADER_SIZE
  for (;;) {
    const record = readRecordAt(file, seed, at)
    if (record === null) return
    yield record
    at += record.bytes
  }
}

/** The parts of a record that is known to be whole. */
export function partsOf(record: Buffer): readonly Buffer[] {
  const parts: Buffer[] = []
  for (let at = FRONT_SIZE; at < record.length;) {
    const size = record.readUInt32BE(at)
    parts.push(record.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  return parts
}

function readRecordAt(file: Buffer, seed: number, offset: number): JournalRecord | null {
  if (offset + FRONT_SIZE > file.length) return null
  const length = file.readUInt32BE(offset)
  const end = offset + 8 + length
  if (length < FRONT_SIZE - 8 || end > file.length) return null
  if (crc32(file.subarray(offset + 8, end), seed) !== file.readUInt32BE(offset + 4)) return null
  return {
    group: file.readUIntBE(offset + 8, 6),
    after: file.readUIntBE(offset + 14, 6),
    parts: partsOf(file.subarray(offset, end)),
    offset,
    bytes: end - offset,
  }
}
