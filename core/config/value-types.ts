// The types that an option can have. One text form serves flags, environment and file; a type knows how to read it, how
// to write it, and how to say what would be right.

import { formatDuration, formatSize, parseDuration, parseSize } from './units.js'

export interface ValueType<T> {
  /** For the help: `PORT`, `SIZE`; empty for a switch, which takes no value on the command line. */
  readonly placeholder: string
  /** What would be right, as the end of the sentence "… must be". */
  readonly expected: string
  /** Undefined: the text is not of this type. */
  parse(text: string): T | undefined
  format(value: T): string
}

/** Any text of at least one character. */
export function text(placeholder = 'TEXT', expected = 'a text that is not empty'): ValueType<string> {
  return {
    placeholder,
    expected,
    parse: (raw) => (raw.trim() === '' ? undefined : raw.trim()),
    format: (value) => value,
  }
}

/** One of the given words. */
export function choice<const C extends readonly string[]>(choices: C): ValueType<C[number]> {
  return {
    placeholder: choices.join('|'),
    expected: choices.length === 1 ? `${choices[0]}` : `one of ${choices.join(', ')}`,
    parse: (raw) => choices.find((word) => word === raw),
    format: (value) => value,
  }
}

interface Range {
  readonly min: number
  readonly max: number
}

function within(value: number | null, { min, max }: Range): number | undefined {
  return value !== null && value >= min && value <= max ? value : undefined
}

/** A whole number. */
export function count(range: Range): ValueType<number> {
  return {
    placeholder: 'N',
    expected: `a whole number from ${range.min} to ${range.max}`,
    parse: (raw) => within(/^[0-9]{1,15}$/.test(raw) ? Number(raw) : null, range),
    format: String,
  }
}

/** Bytes. */
export function size(range: Range): ValueType<number> {
  return {
    placeholder: 'SIZE',
    expected: `a size from ${formatSize(range.min)} to ${formatSize(range.max)}, such as 512KiB or 16MiB`,
    parse: (raw) => within(parseSize(raw), range),
    format: formatSize,
  }
}

/** Milliseconds. The range too is in milliseconds. */
export function duration(range: Range): ValueType<number> {
  return {
    placeholder: 'DURATION',
    expected: `a duration from ${formatDuration(range.min)} to ${formatDuration(range.max)}, such as 200ms, 10s, 24h or 30d`,
    parse: (raw) => within(parseDuration(raw), range),
    format: formatDuration,
  }
}

/** Whole seconds. The range too is in seconds. */
export function seconds(range: Range): ValueType<number> {
  const inMs = duration({ min: range.min * 1000, max: range.max * 1000 })
  return {
    placeholder: inMs.placeholder,
    expected: `a duration of whole seconds from ${formatDuration(range.min * 1000)} to ${formatDuration(range.max * 1000)}, such as 90s, 24h or 30d`,
    parse: (raw) => {
      const ms = inMs.parse(raw)
      return ms !== undefined && ms % 1000 === 0 ? ms / 1000 : undefined
    },
    format: (value) => formatDuration(value * 1000),
  }
}

/** How often: per second; 0 for `off`. Also `30/min`, for what is rarer than once a second. */
export function rateOrOff(range: Range): ValueType<number> {
  return {
    placeholder: 'N/s|off',
    expected: `a whole number a second or a minute up to ${range.max}/s, such as 100/s or 30/min, or off`,
    parse(raw) {
      if (raw === 'off') return 0
      const [, digits = '', unit] = /^([0-9]{1,9})\/(s|min)$/.exec(raw) ?? []
      return within(digits === '' ? null : unit === 's' ? Number(digits) : Number(digits) / 60, range)
    },
    format: (value) => (value === 0 ? 'off' : Number.isInteger(value) ? `${value}/s` : `${Math.round(value * 60)}/min`),
  }
}

/** Bytes a second; 0 for `off`. */
export function bytesPerSecondOrOff(range: Range): ValueType<number> {
  return {
    placeholder: 'SIZE/s|off',
    expected: `a size a second from ${formatSize(range.min)}/s to ${formatSize(range.max)}/s, such as 512KiB/s, or off`,
    parse: (raw) => (raw === 'off' ? 0 : raw.endsWith('/s') ? within(parseSize(raw.slice(0, -2)), range) : undefined),
    format: (value) => (value === 0 ? 'off' : `${formatSize(value)}/s`),
  }
}

/** A whole number; 0 for `off`. */
export function countOrOff(range: Range): ValueType<number> {
  const number = count(range)
  return {
    placeholder: 'N|off',
    expected: `${number.expected}, or off`,
    parse: (raw) => (raw === 'off' ? 0 : number.parse(raw)),
    format: (value) => (value === 0 ? 'off' : String(value)),
  }
}

/** Some of a kind: separated by commas, or given many times on the command line. `parse`: undefined for what is none. */
export function list<T>(
  kind: Omit<ValueType<T>, 'format'> & { format?: (value: T) => string },
): ValueType<readonly T[]> {
  const { format = String } = kind
  return {
    placeholder: kind.placeholder,
    expected: kind.expected,
    parse: (raw) => {
      const values: T[] = []
      for (const item of raw.split(/[,\0]/)) {
        const value = kind.parse(item.trim())
        if (value === undefined) return undefined
        values.push(value)
      }
      return values
    },
    format: (values) => values.map(format).join(','),
  }
}

/** A TCP port; 0 asks for any free one. */
export function port(): ValueType<number> {
  return {
    ...count({ min: 0, max: 65_535 }),
    placeholder: 'PORT',
    expected: 'a port from 0 to 65535 (0: any free one)',
  }
}

/** A TCP port, or null for `off`. */
export function portOrOff(): ValueType<number | null> {
  const number = port()
  return {
    placeholder: 'PORT|off',
    expected: `${number.expected} or off`,
    parse: (raw) => (raw === 'off' ? null : number.parse(raw)),
    format: (value) => (value === null ? 'off' : String(value)),
  }
}

/** A switch: on when its flag is given; `true` or `false` in the environment and the file. */
export function toggle(): ValueType<boolean> {
  return {
    placeholder: '',
    expected: 'true or false',
    parse: (raw) => (raw === 'true' ? true : raw === 'false' ? false : undefined),
    format: String,
  }
}
