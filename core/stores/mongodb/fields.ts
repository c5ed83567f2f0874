// What comes back from the database is unknown; a wrong form is a fault of the program (or of a hand in the data), never of a client.

export type Fields = ReadonlyMap<string, unknown>

function wrong(what: string, name: string, value: unknown): TypeError {
  return new TypeError(`field ${name} of a document is ${value === null ? 'null' : typeof value} instead of ${what}`)
}

export function fieldsOf(value: unknown, name = 'document'): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('a document', name, value)
  return new Map(Object.entries(value))
}

export function numberOf(fields: Fields, name: string): number {
  const value = fields.get(name)
  if (typeof value !== 'number') throw wrong('a number', name, value)
  return value
}

export function textOf(fields: Fields, name: string): string {
  const value = fields.get(name)
  if (typeof value !== 'string') throw wrong('a text', name, value)
  return value
}

export function bytesOf(fields: Fields, name: string): Buffer {
  return bufferOf(fields.get(name), name)
}

/** The driver is told to answer with buffers (`promoteBuffers`). */
export function bufferOf(value: unknown, name: string): Buffer {
  if (!Buffer.isBuffer(value)) throw wrong('bytes', name, value)
  return value
}

export function listOf(fields: Fields, name: string): readonly unknown[] {
  const value = fields.get(name)
  if (!Array.isArray(value)) throw wrong('a list', name, value)
  return value
}

export const numberOrNull = (fields: Fields, name: string): number | null =>
  fields.get(name) === null ? null : numberOf(fields, name)

export const textOrNull = (fields: Fields, name: string): string | null =>
  fields.get(name) === null ? null : textOf(fields, name)
