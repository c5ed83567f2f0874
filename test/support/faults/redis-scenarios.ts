// What can happen to Redis, and to the way there.

import type { RedisServer } from '../redis/server.js'
import { pause } from '../road/wait.js'
import type { Scenario } from './scenario.js'
import type { World } from './world.js'

const AWAY_MS = 5_000

const ways = (world: World) => world.nodes.flatMap(({ way }) => (way === null ? [] : [way]))

/** A push is refused, and not left without an answer. */
const refusedInTime: NonNullable<Scenario['check']> = (t, { refusedMs }, { producer, stallMs }) => {
  t.ok(refusedMs > AWAY_MS / 2, `nothing was accepted for ${refusedMs} ms`)
  t.ok(producer.slowestRefusal < 2_500 + 2 * stallMs, `answered 503 within ${Math.round(producer.slowestRefusal)} ms`)
}

export const redisRefuses: Scenario = {
  name: 'Redis refuses connections for 5 s',
  staysConnected: true,
  async run(world) {
    await world.breaking(null, async () => {
      for (const way of ways(world)) {
        way.refuse(true)
        way.cut()
      }
      await pause(AWAY_MS)
      for (const way of ways(world)) way.refuse(false)
    })
  },
  check: refusedInTime,
}

export const redisHeld: Scenario = {
  name: 'Redis is out of reach for 5 s, then all arrives late',
  staysConnected: true,
  async run(world) {
    await world.breaking(null, async () => {
      for (const way of ways(world)) way.set('hold')
      await pause(AWAY_MS)
      for (const way of ways(world)) way.set('pass')
    })
  },
  check: refusedInTime,
}

export const redisHalfOpen: Scenario = {
  name: 'half-open to Redis for 5 s: commands arrive, no answer comes',
  staysConnected: true,
  async run(world) {
    await world.breaking(null, async () => {
      for (const way of ways(world)) way.set('swallow', { direction: 'down' })
      await pause(AWAY_MS)
      for (const way of ways(world)) way.set('pass')
    })
  },
  check: refusedInTime,
}

export const redisSlow: Scenario = {
  name: 'the way to Redis takes 100 ms each way for 5 s',
  staysConnected: true,
  async run(world) {
    await world.breaking(null, async () => {
      for (const way of ways(world)) way.delay(100)
      await pause(AWAY_MS)
      for (const way of ways(world)) way.delay(0)
    })
  },
}

export const redisKilled = (redis: RedisServer): Scenario => ({
  name: 'SIGKILL of Redis (appendfsync always), and its start',
  staysConnected: true,
  async run(world) {
    await world.breaking(null, async () => {
      await redis.kill('SIGKILL')
      await pause(1_000)
      await redis.start()
    })
  },
  check(t, { resets }) {
    t.equal(resets, 0, 'nothing was lost, so nobody is told so')
  },
})

export const pubsubKilled = (redis: RedisServer): Scenario => {
  let killed = 0
  return {
    name: 'CLIENT KILL TYPE pubsub, again and again',
    staysConnected: true,
    async run() {
      killed = 0
      for (let i = 0; i < 20; i++) {
        killed += Number(await redis.admin.client('KILL', 'TYPE', 'PUBSUB'))
        await pause(200)
      }
    },
    check(t) {
      t.ok(killed > 20, `${killed} connections were killed`)
    },
  }
}

export const noticesDropped: Scenario = {
  name: 'all notices are dropped',
  staysConnected: true,
  async run({ notices }) {
    const { dropped } = notices
    notices.dropping = true
    await pause(8_000)
    if (notices.dropped === dropped) throw new Error('there were no notices to drop')
  },
  // A later notice would bring what an earlier one did not.
  after({ notices }) {
    notices.dropping = false
  },
  check(t, { latency: { p50, max } }, { stallMs }) {
    t.ok(max < SWEEP_MS + 2_000 + 2 * stallMs, `every message came within the sweep interval: ${max} ms`)
    t.ok(p50 > 100, `none came by a notice: ${p50} ms`)
  },
}

/** `--sweep-interval`. */
const SWEEP_MS = 10_000
