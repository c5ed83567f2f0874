// Decoders for what comes from outside a process: worker messages, ready lines, answers of servers. A decoder returns the
// value with its type or throws a DecodeError that names the path; so nothing in the benchmark is believed by assertion.

export class DecodeError extends Error {
  override readonly name = 'DecodeError'
}

export type Decoder<T> = (value: unknown, path: string) => T
type Decoded<D> = D extends Decoder<infer T> ? T : never

function fail(path: string, wanted: string, value: unknown): never {
  throw new DecodeError(`${path}: expected ${wanted}, got ${value === null ? 'null' : typeof value}`)
}

export const number: Decoder<number> = (value, path) =>
  typeof value === 'number' ? value : fail(path, 'a number', value)
export const string: Decoder<string> = (value, path) =>
  typeof value === 'string' ? value : fail(path, 'a string', value)
export const boolean: Decoder<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : fail(path, 'a boolean', value)
/** Numbers in bulk; travels between processes as it is. */
export const float64s: Decoder<Float64Array> = (value, path) =>
  value instanceof Float64Array ? value : fail(path, 'a Float64Array', value)
export const uint32s: Decoder<Uint32Array> = (value, path) =>
  value instanceof Uint32Array ? value : fail(path, 'a Uint32Array', value)

export const literal =
  <const L extends string>(wanted: L): Decoder<L> =>
  (value, path) =>
    value === wanted ? wanted : fail(path, `'${wanted}'`, value)

export const array =
  <T>(decode: Decoder<T>): Decoder<readonly T[]> =>
  (value, path) =>
    Array.isArray(value) ? value.map((item: unknown, i) => decode(item, `${path}[${i}]`)) : fail(path, 'a list', value)

export const nullable =
  <T>(inner: Decoder<T>): Decoder<T | null> =>
  (value, path) =>
    value === null ? null : inner(value, path)

/** A record whose keys are not known beforehand. */
export function entries(value: unknown, path: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) return fail(path, 'an object', value)
  return new Map<string, unknown>(Object.entries(value))
}

/** An object with at least these fields; others are dropped. */
export const object =
  <S extends Record<string, Decoder<unknown>>>(shape: S): Decoder<{ [K in keyof S]: Decoded<S[K]> }> =>
  (value, path) => {
    const fields = entries(value, path)
    const decoded: object = Object.fromEntries(
      Object.entries(shape).map(([key, decoder]) => [key, decoder(fields.get(key), `${path}.${key}`)]),
    )
    return isComplete(shape, decoded) ? decoded : fail(path, 'every field', value)
  }

/** The types are right when every key is there, because each value came from its own decoder. */
function isComplete<S extends Record<string, Decoder<unknown>>>(
  shape: S,
  decoded: object,
): decoded is { [K in keyof S]: Decoded<S[K]> } {
  return Object.keys(shape).every((key) => key in decoded)
}

/** The first alternative that fits. */
export const either =
  <A, B>(first: Decoder<A>, second: Decoder<B>): Decoder<A | B> =>
  (value, path) => {
    try {
      return first(value, path)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return second(value, path)
    }
  }
