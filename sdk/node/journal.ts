// The format of the file storage: one file to which batches of changes are appended, each with its length and checksum. A batch
// counts if all of it is there, so a process or machine that dies while it writes leaves what was before.
//
//   file   = "postrider sdk 1\n" batch*
//   batch  = length (4 bytes, of the body), checksum (4 bytes, CRC-32 of the body), body
//   body   = MessagePack array of [key, value or nil]

import { crc32 } from 'node:zlib'
import { FrameError } from '../../protocol/frames/frame-error.js'
import { FrameReader } from '../../protocol/frames/frame-reader.js'
import { FrameWriter } from '../../protocol/frames/frame-writer.js'
import { PostriderError } from '../device/errors.js'
import type { StorageChange } from '../device/storage/storage.js'

export const MAGIC = Buffer.from('postrider sdk 1\n', 'latin1')
const HEADER_BYTES = 8
const KEY_MAX = 0xffff
const CHANGES_MAX = 0xffff_ffff

export function encodeBatch(changes: Iterable<StorageChange>, count: number): Buffer {
  const writer = new FrameWriter(1_024)
  writer.array(count)
  for (const [key, value] of changes) {
    writer.array(2)
    writer.string(key)
    if (value === null) writer.nil()
    else writer.binary(value)
  }
  const body = writer.view()
  const batch = Buffer.allocUnsafe(HEADER_BYTES + body.length)
  batch.writeUInt32BE(body.length, 0)
  batch.writeUInt32BE(crc32(body), 4)
  batch.set(body, HEADER_BYTES)
  return batch
}

/** Applies every whole batch of a file to `values`; answers how many bytes of the file they take. Throws PostriderError. */
export function readJournal(bytes: Buffer, values: Map<string, Uint8Array>): number {
  if (bytes.length < MAGIC.length && MAGIC.subarray(0, bytes.length).equals(bytes)) return 0 // died while it was made
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new PostriderError('storage_unusable', 'the file is of another program or a newer version')
  }
  let at = MAGIC.length
  while (at < bytes.length) {
    const end = endOfBatch(bytes, at)
    if (end === null) {
      if (isTorn(bytes, at)) return at
      throw new PostriderError('storage_unusable', `the file is damaged at byte ${at}`)
    }
    applyBatch(bytes.subarray(at + HEADER_BYTES, end), values)
    at = end
  }
  return at
}

/** Null: no whole batch stands here. */
function endOfBatch(bytes: Buffer, at: number): number | null {
  const start = at + HEADER_BYTES
  if (start > bytes.length) return null
  const end = start + bytes.readUInt32BE(at)
  if (end === start || end > bytes.length) return null
  return crc32(bytes.subarray(start, end)) === bytes.readUInt32BE(at + 4) ? end : null
}

/** Only the last batch can be half there: it reaches to the end of the file or beyond, or the file was made longer with zeros. */
function isTorn(bytes: Buffer, at: number): boolean {
  if (at + HEADER_BYTES > bytes.length || at + HEADER_BYTES + bytes.readUInt32BE(at) >= bytes.length) return true
  return bytes.subarray(at).every((byte) => byte === 0)
}

function applyBatch(body: Uint8Array, values: Map<string, Uint8Array>): void {
  try {
    const reader = new FrameReader(body)
    for (let count = reader.arrayHeader(CHANGES_MAX); count > 0; count--) {
      reader.tupleHeader(2)
      const key = reader.string(0, KEY_MAX)
      if (reader.nil()) values.delete(key)
      else values.set(key, reader.binary(Number.MAX_SAFE_INTEGER).slice())
    }
  } catch (error) {
    if (!(error instanceof FrameError)) throw error
    throw new PostriderError('storage_unusable', 'a batch has a right checksum and a wrong form', { cause: error })
  }
}
