import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { addException, type ExceptionRange } from '../../core/model/exceptions.js'
import { gapsBetween } from '../../core/model/gaps.js'
import { EXCEPTION_REASONS } from '../../protocol/codes.js'

const HEAD = 30
const range = (seq: number, reason: ExceptionRange['reason']): ExceptionRange => ({
  from: seq,
  to: seq,
  reason,
  at: 0,
  bytes: 0,
  cumulative: 0,
  onWire: false,
})

void t.test('gaps: every seq is told once, in order, with its reason, or not at all', async () => {
  const reasons = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: HEAD }), fc.constantFrom(...EXCEPTION_REASONS)), {
    selector: ([seq]) => seq,
    maxLength: HEAD,
  })
  const bounds = fc.record({
    floor: fc.integer({ min: 0, max: HEAD }),
    after: fc.integer({ min: 0, max: HEAD }),
    cursor: fc.integer({ min: 0, max: HEAD }),
  })
  fc.assert(
    fc.property(reasons, bounds, (list, { floor, after, cursor }) => {
      const exceptions = new Map(list)
      let ranges: readonly ExceptionRange[] = []
      for (const [seq, reason] of list) ranges = addException(ranges, range(seq, reason))
      const expected: string[] = []
      for (let seq = after + 1; seq <= cursor; seq++) {
        const reason = exceptions.get(seq) ?? (seq <= floor ? 'retention' : 'handled-elsewhere')
        if (['overflow', 'retention', 'handled-elsewhere'].includes(reason)) expected.push(`${seq} ${reason}`)
      }
      const gaps = gapsBetween(ranges, floor, after, cursor)
      const told = gaps.flatMap(({ from, to, reason }) =>
        Array.from({ length: to - from + 1 }, (_, i) => `${from + i} ${reason}`),
      )
      assert.deepEqual(told, expected)
      gaps.forEach((gap, i) => {
        const before = gaps[i - 1]
        assert.ok(before === undefined || before.to < gap.from - 1 || before.reason !== gap.reason, 'joined')
      })
    }),
    { numRuns: 2_000 },
  )
})

void t.test('gaps: none when the position is past the cursor', async (t) => {
  t.strictSame(gapsBetween([range(3, 'overflow')], 5, Infinity, 10), [])
  t.strictSame(gapsBetween([range(3, 'overflow')], 0, 10, 10), [])
})
