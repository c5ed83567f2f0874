// An API process and two brokers on a MongoDB, with a Redis that carries their notices, and devices of both kinds behind a load
// balancer: while each part fails in turn, nothing accepted is lost, reordered or repeated to a handler. The table is at the end.

import { randomBytes } from 'node:crypto'
import t from 'tap'
import { brokerCutOff, brokerFrozen, brokerKilled, apiKilled } from '../support/faults/node-scenarios.js'
import { noControl, SERVER, WAYS } from '../support/mongodb/fault-scenarios.js'
import { runScenario, type Row, type Scenario, type Told } from '../support/faults/scenario.js'
import { publish } from '../support/faults/table.js'
import { World } from '../support/faults/world.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { LONG } from '../support/road/wait.js'

const skip = noMongo === false ? noRedis : noMongo

t.setTimeout(LONG ? 3_600_000 : 1_500_000)

t.test('mongodb cluster: whatever fails, the promise is kept', { skip }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const mongo = await startMongo()
  const name = `postrider_test_${randomBytes(4).toString('hex')}`
  t.teardown(async () => {
    await mongo.admin.db(name).dropDatabase()
    await mongo.stop()
  })
  const url = mongo.url(name)
  // One server, which the proxies stand before: nobody may go past them to the address that it says of itself.
  const { hostname, port: own } = new URL(url.replace(/^mongodb/, 'http'))
  const direct = url.includes('directConnection=true') ? '' : `${url.includes('?') ? '&' : '?'}directConnection=true`
  const through = (port: number): string =>
    `${url.replace(`${hostname}:${own}`, `127.0.0.1:${port}`).replace(/[?&]replicaSet=[^&]*/, '')}${direct}`
  const world = await World.start(t, {
    ground: { port: Number(own), url: through, withoutNotices: true },
    devices: LONG ? 300 : 60,
    rate: LONG ? 300 : 150,
    apis: 1,
    brokers: 2,
    flags: ['--bus', redis.url],
  })
  const rows: Row[] = []
  const told: Told = new Set()
  /** A pattern: the scenarios whose names fit it, alone. */
  const only = process.env['POSTRIDER_SCENARIO']
  const run = async (scenario: Scenario, why: string | false): Promise<void> => {
    if (only !== undefined && !new RegExp(only).test(scenario.name)) return
    await t.test(scenario.name, { skip: why }, async (t) => {
      rows.push(await runScenario(t, world, scenario, told))
    })
  }
  for (const scenario of [brokerKilled, apiKilled, brokerFrozen, brokerCutOff, ...WAYS]) {
    await run(scenario, false)
  }
  for (const scenario of SERVER) await run(scenario, noControl)
  await publish(rows)
})
