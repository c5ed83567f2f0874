import { spawnSync } from 'node:child_process'
import tap from 'tap'
import { type Demand, planFor } from '../../bench/capacity/model.js'
import { UNIT_COSTS } from '../../bench/capacity/unit-costs.js'
import { repositoryRoot } from '../support/repository.js'

const GIB = 1024 ** 3

const DEMAND: Demand = {
  devices: 1_000_000,
  online: 0.3,
  rate: 1_000,
  payloadBytes: 64,
  batch: 100,
  backlog: 5,
  dedup: 1,
  dedupWindowHours: 24,
  replicas: 1,
  busy: 0.5,
  connectionsPerBroker: 50_000,
  shardBytes: 8 * GIB,
  connectsPerBroker: 250,
}

await tap.test('capacity: connections, memory or CPU decide, whichever asks for most', async (t) => {
  const plan = planFor(DEMAND, UNIT_COSTS)
  t.match(plan.brokers, { count: 7, because: 'connections' }, 'six that are full, and one more')
  t.match(planFor({ ...DEMAND, rate: 1_000_000 }, UNIT_COSTS).brokers, { because: 'CPU' })
  const { deviceBytes, firstMessageBytes, furtherMessageBytes } = UNIT_COSTS
  t.equal(plan.memory.devices, 1_000_000 * deviceBytes.value)
  t.equal(plan.memory.backlog, 700_000 * (firstMessageBytes.value + 4 * (furtherMessageBytes.value + 64)))
  t.match(planFor({ ...DEMAND, backlog: 1_000 }, UNIT_COSTS).shards, { because: 'memory' })
  t.equal(plan.shards.withReplicas, plan.shards.count * 2)
})

await tap.test('capacity: more of anything never needs less', async (t) => {
  const size = (demand: Demand): readonly number[] => {
    const { brokers, apis, shards, memory, bandwidth } = planFor(demand, UNIT_COSTS)
    return [brokers.count, apis.count, shards.count, memory.total, bandwidth.downBitsPerSecond]
  }
  const before = size(DEMAND)
  for (const key of ['devices', 'rate', 'payloadBytes', 'backlog', 'dedupWindowHours'] as const) {
    const after = size({ ...DEMAND, [key]: DEMAND[key] * 10 })
    t.ok(
      after.every((value, i) => value >= (before[i] ?? 0)),
      key,
    )
    t.notSame(after, before, `${key} counts`)
  }
})

await tap.test('capacity: every cost is measured, and says by what', async (t) => {
  for (const [name, { value, from }] of Object.entries(UNIT_COSTS)) {
    t.ok(value > 0, name)
    t.match(from, /^npm run bench -- [a-z-]+/, name)
  }
})

await tap.test('capacity: the command prints the plan, and refuses what cannot be', async (t) => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, ['--import=tsx', 'bench/capacity/main.ts', ...args], {
      cwd: repositoryRoot,
      encoding: 'utf8',
    })
  t.match(JSON.parse(run('--devices', '2000000').stdout), {
    demand: { devices: 2_000_000 },
    plan: { brokers: { count: 13 } },
  })
  for (const wrong of [
    ['--online', '2'],
    ['--rate', 'many'],
    ['--unknown', '1'],
    ['--busy', '0'],
  ]) {
    t.equal(run(...wrong).status, 64, wrong.join(' '))
  }
})
