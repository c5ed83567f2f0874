import t from 'tap'
import { LeaseWatch } from '../../core/stores/redis/lease-watch.js'

const LEASE_MS = 10_000

function rig() {
  const state = { now: 50_000, redis: 1_000_000 }
  const watch = new LeaseWatch(LEASE_MS, () => state.now)
  return {
    state,
    pass: (ms: number): void => {
      state.now += ms
      state.redis += ms
    },
    /** A renewal that is answered, or not; what it could declare with. */
    renew: (answered = true): number => {
      const { begun, declaresAt } = watch.begin()
      if (answered) watch.done(begun, state.redis)
      return declaresAt
    },
  }
}

t.test('lease watch: declares after a whole lease without a break, with the time of Redis', async (t) => {
  const { state, pass, renew } = rig()
  for (let at = 0; at < LEASE_MS; at += 2_000) {
    t.equal(renew(), 0, `${at} ms`)
    pass(2_000)
  }
  t.equal(renew(), state.redis)
})

t.test('lease watch: after a break everybody has a whole lease to come back', async (t) => {
  const { state, pass, renew } = rig()
  for (let i = 0; i < 10; i++) {
    renew()
    pass(2_000)
  }
  t.not(renew(), 0)
  // Redis is away, or this process frozen.
  pass(2_000)
  renew(false)
  pass(4_000)
  t.equal(renew(), 0, 'the last answer is more than half a lease old')
  for (let at = 2_000; at < LEASE_MS; at += 2_000) {
    pass(2_000)
    t.equal(renew(), 0, `${at} ms after it`)
  }
  pass(2_000)
  t.equal(renew(), state.redis)
})
