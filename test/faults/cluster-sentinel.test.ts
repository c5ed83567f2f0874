// A master dies before its replicas have got what it had taken; Sentinel promotes one of them. What is lost is of that tail alone, it
// is told to the devices that had seen it, and nothing new is taken for anything old.

import t from 'tap'
import { runScenario, type Row, type Scenario } from '../support/faults/scenario.js'
import { publish } from '../support/faults/table.js'
import { World } from '../support/faults/world.js'
import { type SentinelGroup, startSentinelGroup } from '../support/redis/sentinel.js'
import { noRedis } from '../support/redis/server.js'
import { LONG, pause } from '../support/road/wait.js'

const REPLICAS = 2
/** What the master takes in this time is lost. */
const LAG_MS = 1_000

t.setTimeout(LONG ? 1_200_000 : 600_000)

/** The master dies `LAG_MS` after its replicas were cut off, and comes back as a replica. */
async function loseMaster(world: World, group: SentinelGroup): Promise<void> {
  const master = await group.master()
  await world.breaking(
    null,
    async () => {
      // The devices of one broker hear nothing more, so that some of the tail has not arrived when it is lost.
      world.balancer.set('swallow', { target: 'broker-1', direction: 'down' })
      await group.cutReplication(master)
      await pause(LAG_MS)
      await master.kill('SIGKILL')
      world.balancer.set('pass')
      await group.promoted(master)
    },
    { losesTail: true },
  )
  await world.allReady()
  await master.start()
  await group.followed(REPLICAS)
}

t.test('cluster: a replica that misses a part is promoted', { skip: noRedis }, async (t) => {
  const group = await startSentinelGroup(t, {
    replicas: REPLICAS,
    sentinels: 3,
    settings: ['--appendfsync', 'always'],
  })
  const ground = { port: null, url: () => group.url }
  const world = await World.start(t, { ground, devices: LONG ? 500 : 200, rate: LONG ? 800 : 300 })
  const rows: Row[] = []
  const scenario: Scenario = {
    name: 'a replica that misses 1 s is promoted by Sentinel',
    run: (there) => loseMaster(there, group),
    check(t, row) {
      t.ok(row.lostTail > 0, `${row.lostTail} accepted messages went with the master`)
      t.ok(row.resets > 0, `${row.resets} devices were told so`)
    },
  }
  await t.test(scenario.name, async (t) => {
    rows.push(await runScenario(t, world, scenario, new Set()))
  })
  await publish(rows)
})
