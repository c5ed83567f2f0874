// Durations of rules. They are written as they are in production; a test that cannot wait for days makes all of them shorter
// by the same factor.

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

export function seconds(duration: string): number {
  const match = /^(\d+)([smhd])$/.exec(duration)
  if (match === null) throw new RangeError(`"${duration}" is not a duration such as 5m`)
  return Number(match[1]) * (SECONDS[match[2] ?? ''] ?? NaN)
}

/** Turns a duration of production into one to write down. */
export type Time = (duration: string) => string

export const REAL_TIME: Time = (duration) => duration

/** Every duration `factor` times as long, in milliseconds. */
export const scaled =
  (factor: number): Time =>
  (duration) =>
    `${Math.max(1, Math.round(seconds(duration) * factor * 1000))}ms`
