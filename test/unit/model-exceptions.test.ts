import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import {
  addException,
  exceptedBetween,
  exceptionAt,
  type ExceptionRange,
  EXCEPTIONS_KEPT,
  firstEndingAt,
  overExceptions,
  pruneExceptions,
} from '../../core/model/exceptions.js'

const HEAD = 40
const single = (seq: number, fields: Partial<ExceptionRange> = {}): ExceptionRange => ({
  from: seq,
  to: seq,
  reason: 'cancelled',
  at: 1,
  bytes: 10 + seq,
  cumulative: 1000 * seq,
  onWire: false,
  ...fields,
})

/** Exceptions that come one by one, in any order. */
const singles = fc
  .uniqueArray(
    fc.record({
      seq: fc.integer({ min: 1, max: HEAD }),
      reason: fc.constantFrom('cancelled' as const, 'expired' as const),
      onWire: fc.boolean(),
      at: fc.nat(100),
    }),
    { selector: ({ seq }) => seq, maxLength: HEAD },
  )
  .map((list) => list.map(({ seq, ...fields }) => single(seq, fields)))

const build = (list: readonly ExceptionRange[]): readonly ExceptionRange[] =>
  list.reduce<readonly ExceptionRange[]>((ranges, added) => addException(ranges, added), [])

t.test('exceptions: neighbours of one kind become one range, others stay apart', async (t) => {
  const ranges = build([single(5), single(3), single(4, { at: 7 }), single(6, { reason: 'expired' }), single(8)])
  t.match(
    ranges.map(({ from, to, reason, at }) => [from, to, reason, at]),
    [
      [3, 5, 'cancelled', 7],
      [6, 6, 'expired', 1],
      [8, 8, 'cancelled', 1],
    ],
  )
  t.match(ranges[0], { bytes: 10 + 3 + 10 + 4 + 10 + 5, cumulative: 5000 })
})

t.test('exceptions: what was added is found, and nothing else', async (t) => {
  fc.assert(
    fc.property(singles, (list) => {
      const ranges = build(list)
      for (let seq = 1; seq <= HEAD; seq++) {
        const added = list.find((range) => range.from === seq)
        const found = exceptionAt(ranges, seq)
        assert.equal(found?.reason, added?.reason, `seq ${seq}`)
        assert.equal(found?.onWire, added?.onWire)
        if (added !== undefined) assert.ok((found?.at ?? 0) >= added.at)
      }
      for (const [i, range] of ranges.entries()) {
        assert.ok(range.from <= range.to)
        assert.ok(i === 0 || (ranges[i - 1]?.to ?? 0) < range.from, 'sorted and disjoint')
        assert.equal(range.cumulative, 1000 * range.to)
      }
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('exceptions: the first range that ends at or after a seq', async (t) => {
  fc.assert(
    fc.property(singles, fc.nat(HEAD + 2), (list, seq) => {
      const ranges = build(list)
      const index = ranges.findIndex((range) => range.to >= seq)
      assert.equal(firstEndingAt(ranges, seq), index === -1 ? ranges.length : index)
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('exceptions: a cursor comes to rest past those that follow it', async (t) => {
  fc.assert(
    fc.property(singles, fc.nat(HEAD), (list, cursor) => {
      const seqs = new Set(list.map((range) => range.from))
      let rest = cursor
      while (seqs.has(rest + 1)) rest++
      assert.equal(overExceptions(build(list), cursor), rest)
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('exceptions: count and weight between two places that split no range', async (t) => {
  fc.assert(
    fc.property(singles, fc.nat(HEAD), fc.nat(HEAD), (list, a, b) => {
      const ranges = build(list)
      // as cursors stand: past the range that holds them
      const [after, upTo] = [overExceptions(ranges, Math.min(a, b)), overExceptions(ranges, Math.max(a, b))]
      const inside = list.filter(({ from }) => from > after && from <= upTo)
      assert.deepEqual(exceptedBetween(ranges, after, upTo), {
        count: inside.length,
        bytes: inside.reduce((sum, { bytes }) => sum + bytes, 0),
      })
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('exceptions: forgotten below the cursor, when too old or too many, from the lowest on', async (t) => {
  const many = build(Array.from({ length: EXCEPTIONS_KEPT + 10 }, (_, i) => single(2 * i + 1, { at: 100 })))
  const byCount = pruneExceptions(many, 1_000_000, 0)
  t.equal(byCount.ranges.length, EXCEPTIONS_KEPT)
  t.equal(byCount.floor, 19)
  t.equal(pruneExceptions(many, 0, 1_000).ranges, many, 'above the cursor all are kept')
  t.strictSame(pruneExceptions(many, 1_000_000, 101), { ranges: [], floor: many.at(-1)?.to })
  const mixed = build([single(1, { at: 1 }), single(3, { at: 50 }), single(5, { at: 1 })])
  const byAge = pruneExceptions(mixed, 10, 20)
  t.match({ floor: byAge.floor, left: byAge.ranges.map((r) => r.from) }, { floor: 1, left: [3, 5] })
})
