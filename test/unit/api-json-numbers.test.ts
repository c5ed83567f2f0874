import * as fc from 'fast-check'
import tap from 'tap'
import { findLossyNumbers, formatPath, mayHoldLossyNumber, numberSurvives } from '../../push-api/json-numbers.js'

const DIGITS = Array.from('0123456789')

const digits = (min: number, max: number) =>
  fc.string({ unit: fc.constantFrom(...DIGITS), minLength: min, maxLength: max })

/** Any number as JSON writes it. */
const literal = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.oneof(
      fc.constant('0'),
      fc.tuple(fc.constantFrom(...DIGITS.slice(1)), digits(0, 22)).map((parts) => parts.join('')),
    ),
    fc.oneof(
      fc.constant(''),
      digits(1, 22).map((text) => `.${text}`),
    ),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant('') },
      {
        weight: 1,
        arbitrary: fc.tuple(fc.constantFrom('e', 'E', 'e+', 'e-'), digits(1, 3)).map((parts) => parts.join('')),
      },
    ),
  )
  .map((parts) => parts.join(''))

/** The value of a literal as a fraction of integers; exact. */
function exact(text: string): { readonly n: bigint; readonly d: bigint } {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const [whole = '', part = ''] = mantissa.replace('-', '').split('.')
  const sign = mantissa.startsWith('-') ? -1n : 1n
  const power = BigInt(exponent) - BigInt(part.length)
  const n = sign * BigInt(whole + part)
  return power >= 0n ? { n: n * 10n ** power, d: 1n } : { n, d: 10n ** -power }
}

function survivesExactly(text: string): boolean {
  const value = Number(text)
  if (!Number.isFinite(value) || Object.is(value, -0)) return false
  const [a, b] = [exact(text), exact(String(value))]
  return a.n * b.d === b.n * a.d
}

void tap.test('numbers: one survives exactly when reading and writing it gives the same number', (t) => {
  fc.assert(
    fc.property(literal, (text) => numberSurvives(text) === survivesExactly(text)),
    { numRuns: 3000 },
  )
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      (x) => Object.is(x, -0) || numberSurvives(String(x)),
    ),
  )
  t.end()
})

void tap.test('numbers: the quick look misses none that does not survive', (t) => {
  const space = fc.constantFrom('', ' ', '\n', '\t ')
  fc.assert(
    fc.property(literal, space, space, (text, before, after) => {
      if (numberSurvives(text)) return true
      return [`${before}${text}${after}`, `[1,${before}${text}${after}]`, `{"a":${before}${text}${after}}`].every(
        mayHoldLossyNumber,
      )
    }),
    { numRuns: 3000 },
  )
  for (const usual of ['{"at":1700000000000,"t":[21.5,-3.25,0]}', '["5e3c-0aef-1234567890123456"]']) {
    t.equal(mayHoldLossyNumber(usual), false, usual)
  }
  t.end()
})

void tap.test('numbers: those that do not survive are found by path, whatever else the text has', (t) => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.array(fc.oneof(fc.string(), fc.nat({ max: 3 })), { maxLength: 5 }),
      (noise, path) => {
        let value: unknown = '\0here'
        for (const step of path.toReversed()) {
          const siblings = Array.from({ length: typeof step === 'number' ? step : 0 }, () => noise)
          value = typeof step === 'number' ? [...siblings, value, noise] : Object.fromEntries([[step, value]])
        }
        const text = JSON.stringify(value).replace('"\\u0000here"', '1e999')
        const found: unknown[] = []
        findLossyNumbers(text, (at) => found.push(at))
        const hits = found.filter((at) => JSON.stringify(at) === JSON.stringify(path))
        // noise is written by JSON.stringify, which writes only numbers that survive
        return hits.length === 1 && found.length === 1
      },
    ),
    { numRuns: 1000 },
  )
  t.end()
})

void tap.test('numbers: looking for them is linear and does not recurse', (t) => {
  const hostile = [
    `[${'1'.repeat(2_000_000)}]`,
    `[1${'0'.repeat(2_000_000)}1]`,
    `[0.${'0'.repeat(2_000_000)}1]`,
    `["${'\\\\'.repeat(1_000_000)}",1e999]`,
    `["${'\\"'.repeat(1_000_000)}",1e999]`,
    `${'['.repeat(1_000_000)}1e999${']'.repeat(1_000_000)}`,
    `[${'1 ,'.repeat(700_000)}-0]`,
  ]
  for (const text of hostile) {
    const start = performance.now()
    let found = 0
    t.ok(mayHoldLossyNumber(text))
    findLossyNumbers(text, () => found++)
    t.equal(found, 1)
    t.ok(performance.now() - start < 2_000, 'in no time')
  }
  t.end()
})

void tap.test('numbers: paths are written as programs write them', (t) => {
  t.equal(formatPath(['payload', 'a', 0, 'b c', '__proto__', '']), 'payload.a[0]["b c"].__proto__[""]')
  t.ok(formatPath(['x'.repeat(5000)]).length < 250)
  t.end()
})
