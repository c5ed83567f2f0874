// Dedup ids: the last ones in the device's document, older ones in documents of their own until their window is over. Those are
// named by the device's life and the id's hash, so that a purged device's ids are out of reach at once.

import { createHash } from 'node:crypto'
import type { DedupEntry } from './device-state.js'
import { bytesOf, fieldsOf, numberOf, textOf } from './fields.js'

const HASH = 16
const EPOCH_AT = HASH * 2 + 12

/** 16 bytes hash of the id, 16 bytes hash of the body, u48 seq, u48 at, epoch. */
export function dedupBytes({ idHash, bodyHash, seq, at, epoch }: DedupEntry): Buffer {
  const out = Buffer.alloc(EPOCH_AT + Buffer.byteLength(epoch))
  idHash.copy(out, 0)
  bodyHash.copy(out, HASH)
  out.writeUIntBE(seq, HASH * 2, 6)
  out.writeUIntBE(at, HASH * 2 + 6, 6)
  out.write(epoch, EPOCH_AT)
  return out
}

export function readDedup(bytes: Buffer): DedupEntry {
  if (bytes.length < EPOCH_AT) throw new RangeError('a dedup id is cut short')
  return {
    idHash: bytes.subarray(0, HASH),
    bodyHash: bytes.subarray(HASH, HASH * 2),
    seq: bytes.readUIntBE(HASH * 2, 6),
    at: bytes.readUIntBE(HASH * 2 + 6, 6),
    epoch: bytes.toString('utf8', EPOCH_AT),
  }
}

/** What all dedup ids of a life begin with. */
const LIFE = 8
const lifePrefix = (life: string): Buffer => createHash('sha256').update(life).digest().subarray(0, LIFE)

/** The `_id` of a dedup id's own document: 8 bytes for the life, 16 for the id. */
export const dedupKey = (life: string, idHash: Buffer): Buffer => Buffer.concat([lifePrefix(life), idHash])

/** All of a life's lie between the two. */
export const dedupRange = (life: string): readonly [from: Buffer, to: Buffer] => [
  Buffer.concat([lifePrefix(life), Buffer.alloc(HASH, 0)]),
  Buffer.concat([lifePrefix(life), Buffer.alloc(HASH, 0xff)]),
]

export const idHashOf = (key: Uint8Array): Buffer => Buffer.from(key.subarray(LIFE))

export function dedupDocument(life: string, { idHash, bodyHash, seq, at, epoch }: DedupEntry, until: number) {
  return { _id: dedupKey(life, idHash), b: bodyHash, s: seq, a: at, e: epoch, until: new Date(until) }
}

/** `idHash`: what was asked for. */
export function readDedupDocument(document: unknown, idHash: Buffer): DedupEntry {
  const fields = fieldsOf(document)
  return {
    idHash,
    bodyHash: bytesOf(fields, 'b'),
    seq: numberOf(fields, 's'),
    at: numberOf(fields, 'a'),
    epoch: textOf(fields, 'e'),
  }
}
