// The exceptions of a log (core/model/exceptions.ts) as one value of the device document: at most 1,000 below the cursor, about
// 25 bytes each.

import { EXCEPTION_REASONS } from '../../../protocol/codes.js'
import type { ExceptionRange } from '../../model/exceptions.js'
import { VarintReader, VarintWriter } from './varints.js'

const ON_WIRE = 8

/** Ranges are sorted and disjoint, so their places are told as steps. */
export function packExceptions(ranges: readonly ExceptionRange[]): Buffer {
  const out = new VarintWriter()
  let before = 0
  for (const { from, to, reason, at, bytes, cumulative, onWire } of ranges) {
    out.put(from - before).put(to - from)
    out.put(EXCEPTION_REASONS.indexOf(reason) + (onWire ? ON_WIRE : 0))
    out.put(at).put(bytes).put(cumulative)
    before = to
  }
  return out.done()
}

export function unpackExceptions(packed: Uint8Array): ExceptionRange[] {
  const reader = new VarintReader(packed)
  const ranges: ExceptionRange[] = []
  let before = 0
  while (!reader.ended) {
    const from = before + reader.take()
    const to = from + reader.take()
    const kind = reader.take()
    const reason = EXCEPTION_REASONS[kind % ON_WIRE]
    if (reason === undefined) throw new RangeError(`an exception has the unknown reason ${kind}`)
    const [at, bytes, cumulative] = [reader.take(), reader.take(), reader.take()]
    ranges.push({ from, to, reason, at, bytes, cumulative, onWire: kind >= ON_WIRE })
    before = to
  }
  return ranges
}
