// Latencies in microseconds in logarithmic buckets, 64 to an octave (error under 1.6 %), so that millions of samples cost
// one typed array that is summed over processes.

const SUB = 64
const OCTAVES = 40
const BUCKETS = SUB * OCTAVES

function bucketOf(micros: number): number {
  if (micros < SUB) return micros < 0 ? 0 : Math.floor(micros)
  const octave = Math.floor(Math.log2(micros)) - 6
  return Math.min(BUCKETS - 1, (octave + 1) * SUB + Math.floor(micros / 2 ** octave) - SUB)
}

/** The middle of a bucket. */
function valueOf(bucket: number): number {
  if (bucket < SUB) return bucket
  const octave = Math.floor(bucket / SUB) - 1
  return ((bucket % SUB) + SUB + 0.5) * 2 ** octave
}

export class Histogram {
  readonly #counts: Float64Array
  #total = 0

  constructor(counts: Float64Array = new Float64Array(BUCKETS)) {
    if (counts.length !== BUCKETS) throw new RangeError('not the counts of a histogram')
    this.#counts = counts
    for (const count of counts) this.#total += count
  }

  record(micros: number): void {
    const bucket = bucketOf(micros)
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#total++
  }

  add(other: Histogram): void {
    other.#counts.forEach((count, bucket) => {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count
    })
    this.#total += other.#total
  }

  get total(): number {
    return this.#total
  }

  /** A copy of the counts, to be sent to another process. */
  counts(): Float64Array {
    return this.#counts.slice()
  }

  reset(): void {
    this.#counts.fill(0)
    this.#total = 0
  }

  /** The value that a share `p` (0..1) of the samples does not exceed, microseconds; 0 without samples. */
  quantile(p: number): number {
    const rank = Math.min(this.#total - 1, Math.floor(this.#total * p))
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket] ?? 0
      if (seen > rank) return valueOf(bucket)
    }
    return 0
  }

  /** The quantiles that every scenario prints, milliseconds. */
  summary(): { p50: number; p99: number; p999: number } {
    const ms = (p: number): number => Math.round(this.quantile(p)) / 1000
    return { p50: ms(0.5), p99: ms(0.99), p999: ms(0.999) }
  }
}
