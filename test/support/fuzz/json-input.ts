// JSON from a JSON schema: as it should be, except here and there. The result is text, because much of what is wrong cannot be
// a value: numbers too large, keys twice, text that ends early.

import type { Random } from './random.js'
import { FUZZ_DEVICES } from './subject.js'
import { word } from './words.js'

export type Schema = Readonly<Record<string, unknown>>

export interface JsonOptions {
  /** The named schemas of the document: `#/components/schemas/…`. */
  readonly named: Readonly<Record<string, Schema>>
  /** How often a part is not what the schema says. */
  readonly wrong: number
}

const DEPTH_MAX = 8

export function asSchema(value: unknown): Schema {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const number = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise)

/** Numbers as JSON writes them, and as it does not. */
const NUMBERS: readonly string[] = [
  '0',
  '-0',
  '1',
  '-1',
  '1.5',
  '1e3',
  '1E400',
  '-1e400',
  '9007199254740991',
  '9007199254740993',
  '18446744073709551616',
  '0.1',
  '1e-400',
  '01',
  '+1',
  '.5',
  '5.',
  '0x10',
  'NaN',
  'Infinity',
  '1_000',
]

const anyText = (random: Random): string => JSON.stringify(word(random, FUZZ_DEVICES))

/** Any JSON, or something near it. */
export function anyJson(random: Random, depth = 0): string {
  const kind = depth >= DEPTH_MAX ? random.below(5) : random.below(8)
  switch (kind) {
    case 0:
      return random.pick(['null', 'true', 'false'])
    case 1:
      return random.pick(NUMBERS)
    case 2:
      return String(random.below(1_000_000) - 500_000)
    case 3:
    case 4:
      return anyText(random)
    case 5:
      return `[${Array.from({ length: random.below(4) }, () => anyJson(random, depth + 1)).join(',')}]`
    case 6:
      return `{${Array.from({ length: random.below(4) }, () => `${anyText(random)}:${anyJson(random, depth + 1)}`).join(',')}}`
    default: {
      const levels = random.pick([10, 100, 1_000, 20_000])
      const open = random.pick(['[', '{"a":'])
      return random.chance(0.2)
        ? open.repeat(levels)
        : `${open.repeat(levels)}1${(open === '[' ? ']' : '}').repeat(levels)}`
    }
  }
}

function textFor(schema: Schema, random: Random): string {
  const choices = list(schema['enum'])
  if (choices.length > 0) return String(random.pick(choices))
  const { pattern, format } = schema
  if (typeof pattern === 'string' && pattern.includes('{1,128}')) return random.pick(FUZZ_DEVICES)
  if (format === 'date-time') return new Date(random.below(4_000_000_000) * 1_000).toISOString()
  const most = Math.min(300, number(schema['maxLength'], 100))
  const least = number(schema['minLength'], 0)
  if (random.chance(0.3)) return random.pick(['text/plain', 'application/json', 'dGVzdA==', 'order-17', 'push', 'read'])
  const length = random.chance(0.2)
    ? random.pick([least, most])
    : random.between(least, Math.max(least, Math.min(most, 20)))
  return 'abcdefgh'.repeat(40).slice(0, length)
}

/** JSON by the schema. */
export function jsonFor(given: Schema, random: Random, options: JsonOptions, depth = 0): string {
  if (random.chance(options.wrong) || depth > DEPTH_MAX) return anyJson(random, depth)
  const schema = resolve(given, options)
  const choices = [...list(schema['oneOf']), ...list(schema['anyOf'])]
  if (choices.length > 0)
    return jsonFor(
      { ...schema, oneOf: undefined, anyOf: undefined, ...asSchema(random.pick(choices)) },
      random,
      options,
      depth,
    )
  const types = typeof schema['type'] === 'string' ? [schema['type']] : list(schema['type'])
  switch (types.length === 0 ? guess(schema) : random.pick(types)) {
    case 'object':
      return objectFor(schema, random, options, depth)
    case 'array': {
      const items = asSchema(schema['items'])
      const length = random.chance(options.wrong / 2) ? random.pick([0, 1_001]) : random.between(0, 4)
      return `[${Array.from({ length }, () => jsonFor(items, random, options, depth + 1)).join(',')}]`
    }
    case 'string':
      return JSON.stringify(textFor(schema, random))
    case 'integer':
    case 'number': {
      const least = number(schema['minimum'], 0)
      const most = number(schema['maximum'], 1_000_000)
      return random.chance(0.1)
        ? random.pick([String(least - 1), String(most + 1), ...NUMBERS])
        : String(random.between(least, Math.min(most, least + 100)))
    }
    case 'boolean':
      return random.pick(['true', 'false'])
    case 'null':
      return 'null'
    default:
      return anyJson(random, DEPTH_MAX - 2)
  }
}

function resolve(schema: Schema, { named }: JsonOptions): Schema {
  const { $ref } = schema
  const name = typeof $ref === 'string' ? /^#\/components\/schemas\/(.+)$/.exec($ref)?.[1] : undefined
  return name === undefined ? schema : (named[name] ?? {})
}

function guess(schema: Schema): string {
  if (schema['properties'] !== undefined) return 'object'
  if (schema['items'] !== undefined) return 'array'
  return schema['enum'] === undefined ? 'any' : 'string'
}

function objectFor(schema: Schema, random: Random, options: JsonOptions, depth: number): string {
  const required = new Set(list(schema['required']))
  const members: string[] = []
  for (const [key, inner] of Object.entries(asSchema(schema['properties']))) {
    const there = required.has(key) ? !random.chance(options.wrong / 2) : random.chance(0.35)
    if (there) members.push(`${JSON.stringify(key)}:${jsonFor(asSchema(inner), random, options, depth + 1)}`)
  }
  const more = asSchema(schema['additionalProperties'])
  if (Object.keys(more).length > 0) {
    const count = random.chance(options.wrong) ? 40 : random.below(3)
    for (let i = 0; i < count; i++)
      members.push(`${JSON.stringify(`k${i}`)}:${jsonFor(more, random, options, depth + 1)}`)
  }
  if (random.chance(options.wrong)) members.push(`${anyText(random)}:${anyJson(random, depth + 1)}`)
  // A key that is there twice.
  if (random.chance(options.wrong / 3) && members[0] !== undefined) members.push(members[0])
  return `{${members.join(',')}}`
}
