// Nodes of two versions share a store: one after the other becomes the next version, which writes the next format, and then one after
// the other goes back. Under load, and with every node for some time beside ones of the other version.

import t, { type Test } from 'tap'
import { META_KEY } from '../../core/stores/redis/keys.js'
import { nextVersion } from '../support/faults/next-version.js'
import { runScenario, type Row, type Scenario } from '../support/faults/scenario.js'
import { publish } from '../support/faults/table.js'
import { World } from '../support/faults/world.js'
import { startCommand } from '../support/command.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { metric } from '../support/road/observe.js'
import { LONG, pause } from '../support/road/wait.js'
import { troublesIn } from '../support/server-log.js'

/** How long each mixture of versions works. */
const MIXED_MS = LONG ? 8_000 : 500

t.setTimeout(LONG ? 1_200_000 : 600_000)

/** Each node in turn stops, and is the next version then, or (null) this one again. */
async function replaceAll(world: World, program: string | null): Promise<void> {
  for (const { name, role, server } of world.nodes) {
    if (role === 'broker') world.balancer.admit(name, false)
    await world.breaking(name, async () => {
      const { code } = await server.stop()
      if (code !== 0) throw new Error(`${name} did not stop in good order: ${code}`)
    })
    await server.restart(program === null ? {} : { program })
    if (role === 'broker') world.balancer.admit(name, true)
    await world.allReady()
    await pause(MIXED_MS)
  }
}

/** No node met anything that it could not read. */
async function allUnderstood(t: Test, world: World): Promise<void> {
  for (const { name, server } of world.nodes) {
    t.equal(await metric(server, 'bus_packets_newer_total'), 0, `${name}: no packet was too new`)
    t.equal(await metric(server, 'bus_packets_malformed_total'), 0, `${name}: no packet was malformed`)
    t.same(troublesIn(server.child.stderr), [], `${name}: no error`)
    t.notMatch(server.child.stderr, /LOST|unknown format|NEWERFORMAT/)
  }
}

t.test('cluster: two versions side by side, forth and back', { skip: noRedis }, async (t) => {
  const redis = await startRedis(['--appendfsync', 'always'])
  t.teardown(() => redis.stop())
  const next = await nextVersion(t)
  const ground = { port: redis.port, url: (port: number) => `redis://127.0.0.1:${port}` }
  const world = await World.start(t, { ground, devices: LONG ? 500 : 200, rate: LONG ? 800 : 300 })
  const formatOf = async (key: string): Promise<number> => {
    const raw = await redis.admin.getBuffer(key)
    // A MessagePack array of more than 15: three bytes, then the format.
    return raw?.[3] ?? 0
  }
  const rows: Row[] = []
  const told = new Set<string>()
  const upgrade: Scenario = {
    name: 'rolling upgrade to the next format',
    run: (there) => replaceAll(there, next),
    async check(t) {
      await allUnderstood(t, world)
      t.equal(await redis.admin.hget(META_KEY, 'format'), '2')
      for (const device of ['plain-0', 'sdk-0'])
        t.equal(await formatOf(`pr:{${device}}`), 2, 'records are of the new format')
    },
  }
  const back: Scenario = {
    name: 'and back to this version',
    run: (there) => replaceAll(there, null),
    async check(t) {
      await allUnderstood(t, world)
      for (const device of ['plain-0', 'sdk-0']) t.equal(await formatOf(`pr:{${device}}`), 2, 'and stay so')
    },
  }
  for (const scenario of [upgrade, back]) {
    await t.test(scenario.name, async (t) => {
      rows.push(await runScenario(t, world, scenario, told))
    })
  }
  await publish(rows)

  // The version behind the next one has been here: nobody of this one may start.
  await redis.admin.hset(META_KEY, 'format', 3)
  const late = startCommand(
    t,
    ['serve', '--store', redis.url, '--role', 'api', '--http-port', '0', '--admin-port', '0'],
    {
      env: { POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789', POSTRIDER_TOKEN_SECRET: 'x'.repeat(40) },
    },
  )
  t.equal((await late.exited).code, 78)
  t.match(late.stderr, /the store has format 3, this version reads up to format 2/)
})
