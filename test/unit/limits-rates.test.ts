import * as fc from 'fast-check'
import t from 'tap'
import { RateTable } from '../../core/limits/rate-table.js'
import { rateOf, refillMs, TokenBucket, UNLIMITED } from '../../core/limits/token-bucket.js'

void t.test('token bucket: so many a second, a burst of so many, none is no limit', async (t) => {
  const rate = { perSecond: 2, burst: 2 }
  const bucket = new TokenBucket(rate, 0)
  const take = (now: number): boolean => bucket.take(rate, now)
  t.same([take(0), take(0), take(0)], [true, true, false])
  t.same([take(499), take(500), take(600)], [false, true, false])
  t.same([take(60_000), take(60_000), take(60_000)], [true, true, false])
  const none = new TokenBucket(UNLIMITED, 0)
  t.ok(Array.from({ length: 10_000 }, () => none.take(UNLIMITED, 0)).every(Boolean))
  none.spend(UNLIMITED, 1e9, 0)
  t.equal(none.wait(UNLIMITED, 0, 5), 0)
  t.same(rateOf(1 / 60, 10), { perSecond: 1 / 60, burst: 1 }, 'there is always room for one')
})

void t.test('token bucket: a debt has to be earned', async (t) => {
  const rate = { perSecond: 100, burst: 50 }
  const bucket = new TokenBucket(rate, 0)
  bucket.spend(rate, 150, 0)
  t.equal(bucket.wait(rate, 0), 1_000)
  t.equal(bucket.wait(rate, 400), 600)
  t.equal(bucket.wait(rate, 1_000), 0)
  t.equal(bucket.wait(rate, 1_000, 10), 100)
  t.equal(bucket.wait(rate, 1_000, 1_000), 500, 'more than the burst is never there')
})

void t.test('token bucket: never more than the rate and one burst, however it is asked', async () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 100, noNaN: true }),
      fc.double({ min: 1, max: 50, noNaN: true }),
      fc.array(fc.double({ min: 0, max: 300, noNaN: true }), { maxLength: 300 }),
      (perSecond, burst, steps) => {
        const rate = { perSecond, burst }
        const bucket = new TokenBucket(rate, 0)
        let now = 0
        let taken = 0
        for (const step of steps) {
          now += step
          if (bucket.take(rate, now)) taken++
        }
        return taken <= burst + (now / 1000) * perSecond + 1e-6
      },
    ),
  )
})

void t.test('rate table: keys do not share', async (t) => {
  const table = new RateTable({ perSecond: 1, burst: 2 })
  t.same([table.take('a', 0), table.take('a', 0), table.take('a', 0), table.take('b', 0)], [true, true, false, true])
  t.equal(table.wait('a', 500), 500)
  t.equal(table.wait('b', 500), 0)
  t.equal(new RateTable(UNLIMITED).take('a', 0), true)
})

void t.test('rate table: a flood of different keys does not make it grow', async (t) => {
  const table = new RateTable({ perSecond: 1, burst: 10 }, 1_000)
  for (let i = 0; i < 100_000; i++) table.take(`key-${i}`, i / 1_000)
  t.ok(table.size <= 2_000, `${table.size} keys`)
  const quiet = new RateTable({ perSecond: 1, burst: 10 }, 1_000)
  for (let i = 0; i < 900; i++) quiet.take(`key-${i}`, 0)
  quiet.take('late', 10_000)
  quiet.take('later', 20_000)
  quiet.take('latest', 30_000)
  t.ok(quiet.size <= 2, 'what nobody asks for is forgotten')
})

void t.test('rate table: what is forgotten had a full bucket', async () => {
  const rate = { perSecond: 2, burst: 6 }
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 2 * refillMs(rate) })), {
        maxLength: 200,
      }),
      (calls) => {
        const table = new RateTable(rate)
        const buckets = new Map<string, TokenBucket>()
        let now = 0
        return calls.every(([key, step]) => {
          now += step
          const bucket = buckets.get(key) ?? new TokenBucket(rate, now)
          buckets.set(key, bucket)
          return table.take(key, now) === bucket.take(rate, now)
        })
      },
    ),
  )
})
