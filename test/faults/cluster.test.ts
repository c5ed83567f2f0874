// Two API processes and three brokers on one Redis that syncs every write, 500 devices of both kinds behind a load balancer, and a
// producer that pushes through both APIs: while each part fails in turn, nothing accepted is lost, reordered or repeated to a
// handler, and plain devices get again only what they may. The table is at the end.

import t from 'tap'
import { allCut, doubles, halfOpenDevices, slowDevices } from '../support/faults/device-scenarios.js'
import {
  apiFrozen,
  apiKilled,
  brokerCutOff,
  brokerFrozen,
  brokerKilled,
  rollingRestart,
} from '../support/faults/node-scenarios.js'
import {
  noticesDropped,
  pubsubKilled,
  redisHalfOpen,
  redisHeld,
  redisKilled,
  redisRefuses,
  redisSlow,
} from '../support/faults/redis-scenarios.js'
import { runScenario, type Row, type Scenario, type Told } from '../support/faults/scenario.js'
import { publish } from '../support/faults/table.js'
import { World } from '../support/faults/world.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { LONG } from '../support/road/wait.js'

const DEVICES = 500
const RATE = LONG ? 800 : 400

t.setTimeout(LONG ? 3_600_000 : 1_500_000)

t.test('cluster: whatever fails, the promise is kept', { skip: noRedis }, async (t) => {
  const redis = await startRedis(['--appendfsync', 'always'])
  t.teardown(() => redis.stop())
  const ground = { port: redis.port, url: (port: number) => `redis://127.0.0.1:${port}` }
  const world = await World.start(t, { ground, devices: DEVICES, rate: RATE })
  const scenarios: readonly Scenario[] = [
    brokerKilled,
    apiKilled,
    apiFrozen,
    brokerFrozen,
    brokerCutOff,
    pubsubKilled(redis),
    noticesDropped,
    redisRefuses,
    redisHeld,
    redisHalfOpen,
    redisSlow,
    redisKilled(redis),
    rollingRestart,
    doubles,
    halfOpenDevices,
    slowDevices,
    allCut,
  ]
  const rows: Row[] = []
  const told: Told = new Set()
  /** A pattern: the scenarios whose names fit it, alone. */
  const only = process.env['POSTRIDER_SCENARIO']
  for (const scenario of scenarios) {
    if (only !== undefined && !new RegExp(only).test(scenario.name)) continue
    await t.test(scenario.name, async (t) => {
      rows.push(await runScenario(t, world, scenario, told))
    })
  }
  await publish(rows)
})
