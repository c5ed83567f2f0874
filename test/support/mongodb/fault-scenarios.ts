// What can happen to a MongoDB, and to the way there. The server is one of the test's own, or given with a program that can end,
// start, freeze and thaw it.

import { spawnSync } from 'node:child_process'
import { pause } from '../road/wait.js'
import type { Scenario } from '../faults/scenario.js'
import { redisHalfOpen, redisHeld, redisRefuses, redisSlow } from '../faults/redis-scenarios.js'

export type ServerAct = 'kill' | 'start' | 'freeze' | 'thaw'

/** Called with one word: kill, start, freeze or thaw. */
const CONTROL = process.env['MONGODB_TEST_CONTROL']

export const noControl: string | false =
  CONTROL === undefined
    ? 'there is no MongoDB to end and freeze: set MONGODB_TEST_CONTROL to a program that is called with kill, start, freeze or thaw'
    : false

export function act(what: ServerAct): void {
  const { status } = spawnSync(CONTROL ?? '', [what], { stdio: 'ignore' })
  if (status !== 0) throw new Error(`MONGODB_TEST_CONTROL ${what} ended with ${status}`)
}

const named = (scenario: Scenario): Scenario => ({
  name: scenario.name.replace('Redis', 'MongoDB'),
  run: scenario.run,
  staysConnected: true,
})

/** The way there is the same to the proxies, whatever it leads to. A command is answered for after 6 s at most, and not after 2.5. */
export const WAYS: readonly Scenario[] = [redisRefuses, redisHeld, redisHalfOpen, redisSlow].map(named)

export const SERVER: readonly Scenario[] = [
  {
    name: 'SIGKILL of MongoDB, and its start',
    staysConnected: true,
    async run(world) {
      await world.breaking(null, async () => {
        act('kill')
        await pause(1_000)
        act('start')
      })
    },
    check(t, { resets }) {
      t.equal(resets, 0, 'nothing was lost, so nobody is told so')
    },
  },
  {
    name: 'MongoDB frozen for 5 s (SIGSTOP)',
    staysConnected: true,
    async run(world) {
      await world.breaking(null, async () => {
        act('freeze')
        await pause(5_000)
        act('thaw')
      })
    },
  },
  {
    name: 'MongoDB frozen in bursts: ten times for 0.1 to 1 s',
    staysConnected: true,
    async run(world) {
      await world.breaking(null, async () => {
        for (let i = 1; i <= 10; i++) {
          act('freeze')
          await pause(i * 100)
          act('thaw')
          await pause(200)
        }
      })
    },
  },
]
