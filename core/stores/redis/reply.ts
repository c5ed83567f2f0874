// Replies come as unknown values; a wrong form is a fault of the program, never of a client.

function wrong(what: string, value: unknown): TypeError {
  return new TypeError(`a script answered ${typeof value} instead of ${what}`)
}

export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong('a list', value)
  return value
}

export function bytesOf(value: unknown): Buffer {
  if (!Buffer.isBuffer(value)) throw wrong('bytes', value)
  return value
}

export const textOf = (value: unknown): string => bytesOf(value).toString('utf8')

export function numberOf(value: unknown): number {
  if (typeof value === 'number') return value
  const number = Number(textOf(value))
  if (!Number.isFinite(number)) throw wrong('a number', value)
  return number
}
