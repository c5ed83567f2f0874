// Sizes and durations as people write them: a whole number and a unit. No unit-less durations: nobody knows whether 30 is
// seconds or milliseconds.

const SIZES: ReadonlyArray<readonly [unit: string, bytes: number]> = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1],
]

const DURATIONS: ReadonlyArray<readonly [unit: string, milliseconds: number]> = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
]

type Units = typeof SIZES

function parse(text: string, units: Units): number | null {
  const [, digits = '', unit = ''] = /^([0-9]{1,15})([A-Za-z]+)$/.exec(text) ?? []
  const factor = units.find(([name]) => name === unit)?.[1]
  if (factor === undefined) return null
  const value = Number(digits) * factor
  return Number.isSafeInteger(value) ? value : null
}

function format(value: number, units: Units): string {
  const fit = units.find(([, factor]) => value >= factor && value % factor === 0) ?? units[units.length - 1]
  return fit === undefined ? String(value) : `${value / fit[1]}${fit[0]}`
}

/** Bytes; `16MiB`, `512KiB`, `100B`, or a bare whole number of bytes. Null: not a size. */
export function parseSize(text: string): number | null {
  return parse(/^[0-9]+$/.test(text) ? `${text}B` : text, SIZES)
}

/** Milliseconds; `200ms`, `10s`, `5m`, `24h`, `30d`. Null: not a duration. */
export function parseDuration(text: string): number | null {
  return parse(text, DURATIONS)
}

/** The shortest exact form of a number of bytes. */
export function formatSize(bytes: number): string {
  return format(bytes, SIZES)
}

/** The shortest exact form of a number of milliseconds. */
export function formatDuration(milliseconds: number): string {
  return milliseconds === 0 ? '0s' : format(milliseconds, DURATIONS)
}
