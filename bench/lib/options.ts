// Flags of the scenarios: `--name value`, each with its type, range, default and help in one place. Unknown flags and bad
// values are refused with what would be right.

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Option<T> {
  readonly fallback: T
  readonly help: string
  /** Throws a UsageError that says what would be right. */
  parse(text: string): T
}

export type Options = Readonly<Record<string, Option<unknown>>>
export type Values<S extends Options> = { readonly [K in keyof S]: S[K] extends Option<infer T> ? T : never }

export function integer(fallback: number, min: number, max: number, help: string): Option<number> {
  return {
    fallback,
    help: `${help} (${min} to ${max})`,
    parse: (raw) => {
      const value = /^\d+$/.test(raw) ? Number(raw) : Number.NaN
      if (!(value >= min && value <= max)) throw new UsageError(`expected a whole number from ${min} to ${max}`)
      return value
    },
  }
}

export function choice<const C extends string>(fallback: C, choices: readonly C[], help: string): Option<C> {
  return {
    fallback,
    help: `${help} (${choices.join(' | ')})`,
    parse: (raw) => {
      const value = choices.find((each) => each === raw)
      if (value === undefined) throw new UsageError(`expected one of ${choices.join(', ')}`)
      return value
    },
  }
}

export function text(fallback: string, help: string): Option<string> {
  return { fallback, help, parse: (value) => value }
}

/** `connectConcurrency` is the flag `--connect-concurrency`. */
const flagOf = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** Parses the whole of `args` by `spec`. */
export function parseOptions<S extends Options>(spec: S, args: readonly string[]): Values<S> {
  const given = new Map<string, string>()
  for (let i = 0; i < args.length; i++) {
    const [flag = '', inline] = (args[i] ?? '').split(/=(.*)/s, 2)
    const name = Object.keys(spec).find((each) => flagOf(each) === flag)
    if (name === undefined) throw new UsageError(`unknown flag ${flag}`)
    if (given.has(name)) throw new UsageError(`${flag} is given twice`)
    const value = inline ?? args[++i]
    if (value === undefined) throw new UsageError(`${flag} needs a value`)
    given.set(name, value)
  }
  const values = Object.entries(spec).map(([name, option]) => {
    const value = given.get(name)
    if (value === undefined) return [name, option.fallback]
    try {
      return [name, option.parse(value)]
    } catch (error) {
      if (error instanceof UsageError) throw new UsageError(`${flagOf(name)} ${value}: ${error.message}`)
      throw error
    }
  })
  const parsed: object = Object.fromEntries(values)
  if (!isComplete(spec, parsed)) throw new Error('an option was lost')
  return parsed
}

/** The types are right when every key is there, because each value came from its own option. */
function isComplete<S extends Options>(spec: S, values: object): values is Values<S> {
  return Object.keys(spec).every((name) => name in values)
}

/** The flags, one a line. */
export function describeOptions(spec: Options): string {
  return Object.entries(spec)
    .map(([name, option]) => `    ${flagOf(name).padEnd(22)} ${option.help}; default ${String(option.fallback)}`)
    .join('\n')
}
