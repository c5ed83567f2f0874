// What a stream device is told of seqs that it was not sent and will not be.

import type { GapReason } from '../../protocol/frames/frame-types.js'
import { type ExceptionRange, firstEndingAt } from './exceptions.js'

export interface Gap {
  readonly from: number
  readonly to: number
  readonly reason: GapReason
}

/**
 * The gaps inside (after, cursor]: `overflow` and `retention` from the exceptions, `handled-elsewhere` for what is none;
 * other exceptions are silent. At or below `floor` exceptions are forgotten, so what was none is not known: `retention`, which
 * promises nothing. Neighbours of one reason are one gap.
 */
export function gapsBetween(
  ranges: readonly ExceptionRange[],
  floor: number,
  after: number,
  cursor: number,
): readonly Gap[] {
  const gaps: Gap[] = []
  const tell = (from: number, to: number, reason: GapReason): void => {
    if (from > to) return
    const last = gaps[gaps.length - 1]
    if (last !== undefined && last.to === from - 1 && last.reason === reason) {
      gaps[gaps.length - 1] = { ...last, to }
    } else gaps.push({ from, to, reason })
  }
  const tellUnexcepted = (from: number, to: number): void => {
    tell(from, Math.min(to, floor), 'retention')
    tell(Math.max(from, floor + 1), to, 'handled-elsewhere')
  }
  let next = after + 1
  for (let i = firstEndingAt(ranges, next); i < ranges.length; i++) {
    const range = ranges[i]
    if (range === undefined || range.from > cursor) break
    tellUnexcepted(next, range.from - 1)
    const to = Math.min(range.to, cursor)
    if (range.reason === 'overflow' || range.reason === 'retention') tell(Math.max(next, range.from), to, range.reason)
    next = to + 1
  }
  tellUnexcepted(next, cursor)
  return gaps
}
