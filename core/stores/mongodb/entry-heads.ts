// What the transitions need to know of messages that wait, packed: about five bytes a message. The bodies are elsewhere (the
// device document's tail, or bucket documents), so that an ack or an append reads none of them.

import { VarintReader, VarintWriter } from './varints.js'

export interface EntryHead {
  readonly at: number
  /** 0: never. */
  readonly expiresAt: number
  /** `messageSize`. */
  readonly size: number
}

/** The first `at` as it is, each later one as the step from the one before (a clock may go back: twice the step, plus one). */
export function packHeads(heads: readonly EntryHead[]): Buffer {
  const out = new VarintWriter()
  let before = 0
  for (const { at, expiresAt, size } of heads) {
    const step = at - before
    out.put(step >= 0 ? step * 2 : -step * 2 - 1)
    // Whoever has a time to live lives after its `at`.
    out.put(expiresAt === 0 ? 0 : Math.max(1, expiresAt - at)).put(size)
    before = at
  }
  return out.done()
}

export function unpackHeads(bytes: Uint8Array): EntryHead[] {
  const reader = new VarintReader(bytes)
  const heads: EntryHead[] = []
  let at = 0
  while (!reader.ended) {
    const step = reader.take()
    at += step % 2 === 0 ? step / 2 : -(step + 1) / 2
    const lives = reader.take()
    heads.push({ at, expiresAt: lives === 0 ? 0 : at + lives, size: reader.take() })
  }
  return heads
}
