import type { ValueType } from './value-types.js'

/** One setting: everything that flags, environment, file, help, validation and the reference page need to know of it. */
export interface Option<T> {
  readonly type: ValueType<T>
  /** What holds when nobody says otherwise; undefined: nothing does, the value may be absent (its type has undefined). */
  readonly default: T
  /** One or two sentences, no final unit or default: those are added. */
  readonly doc: string
  /** May be given many times on the command line; the values are joined by NUL, which no argument can hold, before they are read. */
  readonly repeatable?: boolean
}

/** Keys are the names in code (camelCase); every other name follows from them. */
export type OptionTable = Readonly<Record<string, Option<unknown>>>

export type Values<O extends OptionTable> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never }

/** Keeps the literal types of a table and checks each default against its type. */
export function option<T>(spec: Option<T>): Option<T> {
  return spec
}

/** An option without a default: absent is undefined. */
export function optional<T>(spec: Omit<Option<T>, 'default'>): Option<T | undefined> {
  const { type, ...rest } = spec
  return {
    ...rest,
    default: undefined,
    type: {
      ...type,
      parse: (raw) => type.parse(raw),
      format: (value) => (value === undefined ? '' : type.format(value)),
    },
  }
}

/** `inboxMaxBytes` → `inbox-max-bytes`: the flag without its dashes, and the key in the file. */
export function settingName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** `inbox-max-bytes` → `POSTRIDER_INBOX_MAX_BYTES`. */
export function environmentName(setting: string): string {
  return `POSTRIDER_${setting.toUpperCase().replaceAll('-', '_')}`
}
