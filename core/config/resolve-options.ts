import { StartupError } from '../errors.js'
import { settingName, type OptionTable, type Values } from './option.js'

/** A value as text, and where it came from, in the words of whoever wrote it: `--window`, `POSTRIDER_WINDOW`, `a.yaml: window`. */
export interface Given {
  readonly where: string
  readonly text: string
}

/** Values by setting name. */
export type Layer = ReadonlyMap<string, Given>

export interface Resolved<O extends OptionTable> {
  readonly values: Values<O>
  /** Where each setting that is not a default came from, by its key in code. */
  readonly where: ReadonlyMap<string, string>
}

/** Object.entries forgets the link between a key and its type: true when every option of `table` was given its value. */
function isComplete<O extends OptionTable>(table: O, values: Record<string, unknown>): values is Values<O> {
  return Object.keys(table).every((key) => Object.hasOwn(values, key))
}

const SHOWN_MAX = 200

/** A value as an error repeats it: on one line, not endless, and without the user and password of a URL. */
function shown(text: string): string {
  const safe = text
    .replaceAll(/\/\/[^/?#\s]*@/g, '//[secret]@')
    .replaceAll(/(password=)[^&#\s]*/gi, '$1[secret]')
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd')
  return safe.length > SHOWN_MAX ? `${safe.slice(0, SHOWN_MAX)}…` : safe
}

/**
 * The value of every option of `table`: from the first of `layers` that has it, else its default. Throws a StartupError
 * (exit code 78) that names where a bad value stands and what would be right.
 */
export function resolveOptions<O extends OptionTable>(table: O, layers: readonly Layer[]): Resolved<O> {
  const where = new Map<string, string>()
  const values: Record<string, unknown> = {}
  for (const [key, spec] of Object.entries(table)) {
    const setting = settingName(key)
    const given = layers.map((layer) => layer.get(setting)).find((found) => found !== undefined)
    if (given === undefined) {
      values[key] = spec.default
      continue
    }
    const value = spec.type.parse(given.text)
    if (value === undefined) {
      throw new StartupError(`${given.where}: "${shown(given.text)}" cannot be; it must be ${spec.type.expected}`)
    }
    values[key] = value
    where.set(key, given.where)
  }
  if (!isComplete(table, values)) throw new TypeError('an option was left out')
  return { values, where }
}
