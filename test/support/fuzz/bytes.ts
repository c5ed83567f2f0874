// Changes to bytes that know nothing of what the bytes mean.

import type { Random } from './random.js'

const INTERESTING = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x2b, 0x23, 0x24, 0x2f, 0x0a, 0x0d, 0x22, 0x7b] as const

type Change = (bytes: Buffer, random: Random) => Buffer

const CHANGES: readonly Change[] = [
  // A bit.
  (bytes, random) => {
    const at = random.below(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8))
    return bytes
  },
  // A byte that means something somewhere.
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.pick(INTERESTING)
    return bytes
  },
  (bytes, random) => {
    bytes[random.below(bytes.length)] = random.below(256)
    return bytes
  },
  // Less.
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => {
    const from = random.below(bytes.length)
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.between(1, 8))])
  },
  // More.
  (bytes, random) => {
    const at = random.below(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), random.bytes(random.between(1, 16)), bytes.subarray(at)])
  },
  // The same again, or elsewhere.
  (bytes, random) => {
    const from = random.below(bytes.length)
    const piece = bytes.subarray(from, from + random.between(1, 32))
    const at = random.below(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)])
  },
]

/** One to four changes; the bytes that are given stay as they are. */
export function mutate(bytes: Uint8Array, random: Random): Buffer {
  let changed = Buffer.from(bytes)
  for (let left = random.between(1, 4); left > 0; left--) {
    if (changed.length === 0) return random.bytes(random.between(1, 4))
    changed = Buffer.from(random.pick(CHANGES)(changed, random))
  }
  return changed
}

/** Cuts into pieces as a network might: often one, sometimes many, sometimes single bytes. */
export function cut(bytes: Buffer, random: Random): readonly Buffer[] {
  if (bytes.length < 2 || random.chance(0.5)) return [bytes]
  const pieces: Buffer[] = []
  const largest = random.chance(0.2) ? 1 : random.between(2, 200)
  for (let at = 0; at < bytes.length;) {
    if (pieces.length >= 200) {
      pieces.push(bytes.subarray(at))
      break
    }
    const piece = bytes.subarray(at, at + random.between(1, largest))
    pieces.push(piece)
    at += piece.length
  }
  return pieces
}
