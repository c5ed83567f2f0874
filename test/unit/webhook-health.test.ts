import t from 'tap'
import { backoffMs } from '../../push-api/webhooks/backoff.js'
import { ReceiverHealth } from '../../push-api/webhooks/receiver-health.js'

const LIMITS = { pause: { first: 1_000, most: 8_000 }, strikes: 3 }
const high = (): number => 1

t.test('backoff: doubles up to the most, by chance down to half', async (t) => {
  const waits = (random: () => number) => [1, 2, 3, 4, 5, 99].map((n) => backoffMs(n, LIMITS.pause, random))
  t.same(waits(high), [1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
  t.same(
    waits(() => 0),
    [500, 1_000, 2_000, 4_000, 4_000, 4_000],
  )
})

t.test('receiver health: one that is down is left alone, then asked by one request at a time', async (t) => {
  const health = new ReceiverHealth(LIMITS, high)
  t.equal(health.allowed(0, 16), 16)
  t.equal(health.down(0, 0), true)
  t.equal(health.down(0, 0), false, 'one that was under way at the same time')
  t.equal(health.allowed(999, 16), 0)
  t.equal(health.resumesAt(999), 1_000)
  t.equal(health.allowed(1_000, 16), 1)
  t.equal(health.down(1_000, 0), true)
  t.equal(health.resumesAt(1_000), 3_000, 'longer each time')
  t.equal(health.down(3_000, 60_000), true)
  t.equal(health.resumesAt(3_000), 63_000, 'or as long as it asks for')
  t.equal(health.allowed(63_000, 16), 1)
  health.succeeded()
  t.equal(health.allowed(63_000, 16), 16)
})

t.test('receiver health: too many refusals in a row, and it is taken for down', async (t) => {
  const health = new ReceiverHealth(LIMITS, high)
  t.equal(health.refused(0), false)
  t.equal(health.refused(0), false)
  health.succeeded()
  t.equal(health.refused(0), false)
  t.equal(health.refused(0), false)
  t.equal(health.refused(0), true)
  t.equal(health.allowed(1, 16), 0)
  t.equal(health.allowed(1_000, 16), 1)
  t.equal(health.refused(1_000), true, 'and so is the first refusal after the pause')
})
