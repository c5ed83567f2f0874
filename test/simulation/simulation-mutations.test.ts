// The simulation can fail: every rule broken on purpose is noticed, in a world that is sound without that.

import t from 'tap'
import { explore } from '../support/simulation/explore.js'
import { MUTATIONS, soundRules } from '../support/simulation/mutations.js'
import { FINAL_RULES, Simulation } from '../support/simulation/world.js'

const now = (): number => performance.now()

for (const mutation of MUTATIONS) {
  void t.test(`simulation: notices that ${mutation.name}`, async (t) => {
    const { scenario, rules } = mutation
    const { violation, trace } = explore(new Simulation(scenario, { ...FINAL_RULES, ...rules }), { now, maxMs: 60_000 })
    t.ok(violation, `${violation?.message} after ${trace.length} steps`)

    const { nodeExpiry: _mistake, ...faults } = scenario.faults
    const sound = explore(new Simulation({ ...scenario, faults }, soundRules(mutation)), { now, maxStates: 8_000 })
    t.equal(sound.violation, null, 'the same world without the mistake is sound', { trace: sound.trace })
  })
}
