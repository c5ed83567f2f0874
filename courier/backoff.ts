/** Milliseconds to wait before attempt `failures` + 1: doubling from 100 ms to 5 s, of which a random half is taken off. */
export function backoffMs(failures: number, random: () => number): number {
  const full = Math.min(5_000, 100 * 2 ** Math.min(failures - 1, 6))
  return Math.round(full * (0.5 + random() / 2))
}

/** Resolves after `ms`. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** Resolves when `work` has, or after `ms`. `work` must not reject. */
export async function atMost(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}
