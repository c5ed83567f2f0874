// What the server answers is data from outside: it is looked at before it is believed.

import { PushError } from './push-error.js'

export type Fields = Readonly<Record<string, unknown>>

const wrong = (what: string): PushError => new PushError('bad_answer', `the answer has no ${what}`)

export function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('object where one is expected')
  return { ...value }
}

export function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(`list ${what}`)
  return value
}

export function textOf(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw wrong(`text ${name}`)
  return value
}

export function textOrNull(fields: Fields, name: string): string | null {
  return fields[name] === null || fields[name] === undefined ? null : textOf(fields, name)
}

export function countOf(fields: Fields, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrong(`integer ${name}`)
  return value
}

export function flagOf(fields: Fields, name: string): boolean {
  const value = fields[name]
  if (typeof value !== 'boolean') throw wrong(`boolean ${name}`)
  return value
}

export function textsOf(value: unknown): ReadonlyMap<string, string> {
  const entries = Object.entries(fieldsOf(value))
  return new Map(entries.map(([key, text]): readonly [string, string] => [key, String(text)]))
}

/** A payload as the server shows it: bytes, or the value that makes the same bytes when it is pushed. */
export function payloadOf(fields: Fields): unknown {
  const { payloadBase64 } = fields
  if (typeof payloadBase64 !== 'string') return fields['payload']
  return Uint8Array.from(atob(payloadBase64), (character) => character.charCodeAt(0))
}
