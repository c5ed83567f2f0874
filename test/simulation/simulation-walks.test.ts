// Long random walks through worlds with some of everything. SIMULATION_SEED repeats one walk; CI_LONG=1 walks for minutes.

import t from 'tap'
import { MUTATIONS } from '../support/simulation/mutations.js'
import { randomScenario, seeded, walk } from '../support/simulation/walk.js'
import { FINAL_RULES, Simulation } from '../support/simulation/world.js'

const long = process.env['CI_LONG'] === '1'
const given = process.env['SIMULATION_SEED']
const STEPS = 300

if (long) {
  t.setTimeout(3_600_000)
  t.comment('timeout=3600000') // the runner's own limit for this file
}

void t.test('simulation: random walks with every fault keep every invariant', { timeout: 3_600_000 }, async (t) => {
  const first = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
  const walks = given !== undefined ? 1 : long ? 60_000 : 800
  let steps = 0
  for (let seed = first; seed < first + walks; seed++) {
    const random = seeded(seed)
    const scenario = randomScenario(random)
    const { violation, trace } = walk(new Simulation(scenario), random, STEPS)
    steps += trace.length
    if (violation === null) continue
    t.fail(`${violation.message}; repeat with SIMULATION_SEED=${seed}`, { scenario, trace })
    return
  }
  t.pass(`${walks} walks from seed ${first}, ${steps} steps`)
})

void t.test('simulation: random walks notice mistakes too', async (t) => {
  const names = [
    'a notice overtakes a page',
    'the low-water mark jumps',
    'acks of any epoch count',
    'an old claim may read',
  ]
  for (const name of names) {
    const rules = { ...FINAL_RULES, ...MUTATIONS.find((mutation) => mutation.name === name)?.rules }
    let seed = 1
    const notices = (): boolean => {
      const random = seeded(seed)
      return walk(new Simulation(randomScenario(random), rules), random, STEPS).violation !== null
    }
    while (seed < 6_000 && !notices()) seed++
    t.ok(seed < 6_000, `${name}: by walk ${seed}`)
  }
})
