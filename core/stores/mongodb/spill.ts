// When the tail of a device's document has become long, its messages go to documents of their own, and old dedup ids too, so that
// the document stays small whatever waits. The order makes it safe to be cut anywhere: first the new documents, which nothing
// refers to yet; then the one update of the device's document, which refers to them and lets the tail go. A cut in between
// leaves documents that nobody reads, and that end by themselves (TTL).

import { type Chunk, type DedupEntry, type DeviceState, weightOf } from './device-state.js'
import { type EntryHead, packHeads } from './entry-heads.js'
import { messageDocument } from './message-document.js'

/** Most of what the tail holds. */
export const TAIL_MESSAGES = 64
export const TAIL_BYTES = 32 * 1024
/** Most of what one document of spilled messages holds; a larger message has one for itself. */
const CHUNK_MESSAGES = 64
const CHUNK_BYTES = 128 * 1024
/** Dedup ids that stay with the device; past `most` the older ones go, down to `kept`. */
export const DEDUPS = { most: 64, kept: 32 } as const

/** Whether the tail's messages must leave with this step. */
export function tailIsLong(state: DeviceState): boolean {
  return state.tail.length > TAIL_MESSAGES || weightOf(state.tail) > TAIL_BYTES
}

/**
 * The oldest stored dedup ids that leave with this step, and those of them that still count: they need documents of their own.
 * Only stored ones: of the new ones it is not certain yet that they will be.
 */
export function leavingDedups(
  state: DeviceState,
  stored: number,
  now: number,
  windowMs: number,
): { readonly count: number; readonly needed: readonly DedupEntry[] } {
  const over = state.dedups.slice(0, stored).findIndex((entry) => now - entry.at < windowMs)
  const old = over === -1 ? stored : over
  const count = stored - old > DEDUPS.most ? stored - DEDUPS.kept : old
  return { count, needed: state.dedups.slice(old, count) }
}

export interface ChunkDocument {
  readonly _id: string
  readonly m: readonly unknown[]
  readonly until: Date
}

/**
 * The whole tail as chunks, with the documents that hold them. `bodies`: those of the stored part of the tail, in order.
 * `until`: when they may go whatever happens.
 */
export function planChunks(
  state: DeviceState,
  bodies: readonly unknown[],
  until: number,
  newId: () => string,
): { readonly chunks: readonly Chunk[]; readonly documents: readonly ChunkDocument[] } {
  const all = [...bodies, ...state.added.map(messageDocument)]
  if (all.length !== state.tail.length) throw new RangeError('the tail of a device has not as many bodies as heads')
  const chunks: Chunk[] = []
  const documents: ChunkDocument[] = []
  let from = state.tailFrom
  let cumulative = state.fields.headCumulative - weightOf(state.tail)
  let heads: EntryHead[] = []
  let weight = 0
  const end = (): void => {
    if (heads.length === 0) return
    const id = `${state.life}.${from}.${newId()}`
    const start = from - state.tailFrom
    cumulative += weight
    chunks.push({ id, from, count: heads.length, cumulative, heads: packHeads(heads) })
    documents.push({ _id: id, m: all.slice(start, start + heads.length), until: new Date(until) })
    from += heads.length
    heads = []
    weight = 0
  }
  for (const head of state.tail) {
    if (heads.length >= CHUNK_MESSAGES || weight + head.size > CHUNK_BYTES) end()
    heads.push(head)
    weight += head.size
  }
  end()
  return { chunks, documents }
}
