export interface BackoffLimits {
  /** Milliseconds. */
  readonly first: number
  readonly most: number
}

/** How long to wait after `failures` in a row: doubling, and by chance between half of it and all. */
export function backoffMs(failures: number, { first, most }: BackoffLimits, random: () => number): number {
  const full = Math.min(most, first * 2 ** Math.min(30, Math.max(0, failures - 1)))
  return Math.round(full / 2 + (full / 2) * random())
}
