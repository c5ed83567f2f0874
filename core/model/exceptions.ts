// The exceptions of one log: ranges of seqs that will not be delivered, sorted, disjoint. Pure functions over arrays; callers
// replace their array by the one returned.

import type { ExceptionReason } from '../../protocol/codes.js'

export interface ExceptionRange {
  readonly from: number
  readonly to: number
  readonly reason: ExceptionReason
  /** When it was decided (the latest part of it), milliseconds. */
  readonly at: number
  /** Weight of the messages in it (`messageSize`). */
  readonly bytes: number
  /** The log's cumulative weight up to and including `to`. */
  readonly cumulative: number
  /**
   * The present claim may have been sent it before it became an exception: an ack that covers it makes it handled after all.
   * Never stored.
   */
  readonly onWire: boolean
}

/** At most so many ranges are kept below the cursor (all above it are needed). */
export const EXCEPTIONS_KEPT = 1000

/** Index of the first range that ends at or after `seq`; `ranges.length` when there is none. */
export function firstEndingAt(ranges: readonly ExceptionRange[], seq: number): number {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const mid = (low + high) >>> 1
    const range = ranges[mid]
    if (range !== undefined && range.to < seq) low = mid + 1
    else high = mid
  }
  return low
}

/** The range that holds `seq`, or undefined. */
export function exceptionAt(ranges: readonly ExceptionRange[], seq: number): ExceptionRange | undefined {
  const range = ranges[firstEndingAt(ranges, seq)]
  return range !== undefined && range.from <= seq ? range : undefined
}

const joins = (a: ExceptionRange, b: ExceptionRange): boolean =>
  a.to + 1 === b.from && a.reason === b.reason && a.onWire === b.onWire

const join = (a: ExceptionRange, b: ExceptionRange): ExceptionRange => ({
  from: a.from,
  to: b.to,
  reason: a.reason,
  at: Math.max(a.at, b.at),
  bytes: a.bytes + b.bytes,
  cumulative: b.cumulative,
  onWire: a.onWire,
})

/** Adds a range that overlaps none; neighbours of the same kind become one. */
export function addException(ranges: readonly ExceptionRange[], added: ExceptionRange): readonly ExceptionRange[] {
  const at = firstEndingAt(ranges, added.from)
  const before = ranges[at - 1]
  const after = ranges[at]
  let range = added
  let start = at
  let end = at
  if (before !== undefined && joins(before, range)) {
    range = join(before, range)
    start--
  }
  if (after !== undefined && joins(range, after)) {
    range = join(range, after)
    end++
  }
  return [...ranges.slice(0, start), range, ...ranges.slice(end)]
}

/** What the ranges inside (after, upTo] hold. Neither bound stands inside a range. */
export function exceptedBetween(
  ranges: readonly ExceptionRange[],
  after: number,
  upTo: number,
): { readonly count: number; readonly bytes: number } {
  let count = 0
  let bytes = 0
  for (let i = firstEndingAt(ranges, after + 1); i < ranges.length; i++) {
    const range = ranges[i]
    if (range === undefined || range.from > upTo) break
    count += range.to - range.from + 1
    bytes += range.bytes
  }
  return { count, bytes }
}

/** Where a cursor that stands at `seq` comes to rest: past the exceptions that hold it or follow it directly. */
export function overExceptions(ranges: readonly ExceptionRange[], seq: number): number {
  let at = seq
  for (let i = firstEndingAt(ranges, at); i < ranges.length; i++) {
    const range = ranges[i]
    if (range === undefined || range.from > at + 1) break
    at = Math.max(at, range.to)
  }
  return at
}

/**
 * Cuts [from, to] out of the ranges and puts there what `change` makes of it; null: nothing. The weight of a range that is
 * cut stays with its last part: a cursor never rests between the parts, for they follow one another.
 */
export function changeBetween(
  ranges: readonly ExceptionRange[],
  from: number,
  to: number,
  change: (range: ExceptionRange) => ExceptionRange | null,
): readonly ExceptionRange[] {
  return ranges.flatMap((range) => {
    if (range.to < from || range.from > to) return [range]
    const parts: ExceptionRange[] = []
    if (range.from < from) parts.push({ ...range, to: from - 1, bytes: 0 })
    const last = range.to <= to
    const middle = change({
      ...range,
      from: Math.max(range.from, from),
      to: Math.min(range.to, to),
      bytes: last ? range.bytes : 0,
    })
    if (middle !== null) parts.push(middle)
    if (!last) parts.push({ ...range, from: to + 1 })
    return parts
  })
}

/** Forgets ranges at or below the cursor that are too old or too many; `floor` is the highest seq forgotten. */
export function pruneExceptions(
  ranges: readonly ExceptionRange[],
  cursor: number,
  decidedBefore: number,
): { readonly ranges: readonly ExceptionRange[]; readonly floor: number } {
  let drop = 0
  let floor = 0
  while (drop < ranges.length) {
    const range = ranges[drop]
    if (range === undefined || range.to > cursor) break
    if (range.at >= decidedBefore && ranges.length - drop <= EXCEPTIONS_KEPT) break
    floor = range.to
    drop++
  }
  return drop === 0 ? { ranges, floor: 0 } : { ranges: ranges.slice(drop), floor }
}
