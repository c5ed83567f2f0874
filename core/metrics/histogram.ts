// A histogram that costs a few comparisons and two additions: cheap enough for every message. Prometheus' own way of counting
// (a map of label sets, a hash for each observation) is not.

export class Histogram {
  /** Upper bounds, ascending. */
  readonly bounds: readonly number[]
  /** By bucket, not summed up; the last one is for what is over all bounds. */
  readonly counts: number[]
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** Most values are small: the search begins at the lowest bound. */
  observe(value: number): void {
    const { bounds, counts } = this
    let bucket = 0
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket++
    counts[bucket] = (counts[bucket] ?? 0) + 1
    this.sum += value
  }

  get count(): number {
    let sum = 0
    for (const count of this.counts) sum += count
    return sum
  }
}

/** Seconds; from what a memory access takes to what nobody waits for. */
export const WORK_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const

/** Seconds; from a live device to one that was away for a week. */
export const DELIVERY_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600, 3_600, 86_400, 604_800,
] as const

/** How many at once. */
export const BATCH_SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000] as const
