// Numbers of a JSON text that JavaScript cannot hold: `JSON.parse` rounds them without a word, and the device would get
// another number than the backend sent. The texts here were parsed before, so they are known to be valid JSON.

/**
 * A number that might not survive, at a place where a value can stand: an exponent, sixteen or more characters of digits and
 * point, or a minus before a zero. It may name numbers that survive, and text in strings; it misses none that do not.
 */
const SUSPICIOUS = /(?:^|[\s:,[])(?:-0|-?\d[\d.]*(?:[eE]|(?<=[\d.]{16})))/

export const mayHoldLossyNumber = (text: string): boolean => SUSPICIOUS.test(text)

/**
 * The number as `-?digits e exponent`, without zeros at either end of the digits: equal for equal numbers. Loops instead of
 * expressions, because a literal may have millions of zeros.
 */
function canonical(literal: string): string {
  const negative = literal.startsWith('-')
  const e = literal.search(/[eE]/)
  const mantissa = literal.slice(negative ? 1 : 0, e < 0 ? literal.length : e)
  const point = mantissa.indexOf('.')
  const digits = point < 0 ? mantissa : mantissa.slice(0, point) + mantissa.slice(point + 1)
  let exponent = (e < 0 ? 0 : Number(literal.slice(e + 1))) - (point < 0 ? 0 : mantissa.length - point - 1)
  let from = 0
  let to = digits.length
  while (from < to && digits.charCodeAt(from) === 48) from++
  while (to > from && digits.charCodeAt(to - 1) === 48) {
    to--
    exponent++
  }
  return from === to ? `${negative ? '-' : ''}0` : `${negative ? '-' : ''}${digits.slice(from, to)}e${exponent}`
}

/** True when `JSON.stringify(JSON.parse(literal))` writes the same number; `-0` does not survive, it becomes `0`. */
export function numberSurvives(literal: string): boolean {
  const value = Number(literal)
  return Number.isFinite(value) && canonical(literal) === canonical(String(value))
}

/** Where a value stands: keys of objects and indexes of arrays. */
export type JsonPath = ReadonlyArray<string | number>

interface Frame {
  /** -1: an object. */
  index: number
  /** Where the present key's literal is, quotes included. */
  keyFrom: number
  keyTo: number
}

function pathOf(text: string, frames: readonly Frame[]): JsonPath {
  return frames.map((frame): string | number => {
    if (frame.index >= 0) return frame.index
    const key: unknown = JSON.parse(text.slice(frame.keyFrom, frame.keyTo))
    return typeof key === 'string' ? key : ''
  })
}

/** The index of the quote that ends the string which begins at `from`. */
function endOfString(text: string, from: number): number {
  let at = from
  for (;;) {
    at = text.indexOf('"', at + 1)
    if (at < 0) return text.length - 1
    let backslashes = 0
    while (text.charCodeAt(at - 1 - backslashes) === 92) backslashes++
    if (backslashes % 2 === 0) return at
  }
}

const isNumberCharacter = (code: number): boolean =>
  (code >= 48 && code <= 57) || code === 46 || code === 45 || code === 43 || code === 101 || code === 69

/**
 * Calls `found` with the path of every number that does not survive, in order. Linear in the text, and not recursive: texts
 * nest as deep as they are long.
 */
export function findLossyNumbers(text: string, found: (path: JsonPath) => void): void {
  const frames: Frame[] = []
  let expectKey = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const frame = frames[frames.length - 1]
    if (code === 34 /* " */) {
      const end = endOfString(text, i)
      if (expectKey && frame !== undefined) {
        frame.keyFrom = i
        frame.keyTo = end + 1
      }
      i = end
    } else if (code === 123 /* { */ || code === 91 /* [ */) {
      frames.push({ index: code === 91 ? 0 : -1, keyFrom: 0, keyTo: 0 })
      expectKey = code === 123
    } else if (code === 125 /* } */ || code === 93 /* ] */) {
      frames.pop()
      expectKey = false
    } else if (code === 58 /* : */) {
      expectKey = false
    } else if (code === 44 /* , */) {
      if (frame !== undefined && frame.index >= 0) frame.index++
      else expectKey = true
    } else if (code === 45 || (code >= 48 && code <= 57)) {
      const from = i
      while (i + 1 < text.length && isNumberCharacter(text.charCodeAt(i + 1))) i++
      const literal = text.slice(from, i + 1)
      if (!numberSurvives(literal)) found(pathOf(text, frames))
    }
  }
}

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/
const PATH_MAX = 200

/** `payload.a[0]["b c"]`, cut when it is long. */
export function formatPath(path: JsonPath): string {
  let out = ''
  for (const part of path) {
    if (typeof part === 'number') out += `[${part}]`
    else if (IDENTIFIER.test(part)) out += out === '' ? part : `.${part}`
    else out += `[${JSON.stringify(part)}]`
    if (out.length > PATH_MAX) return `${out.slice(0, PATH_MAX)}…`
  }
  return out
}
