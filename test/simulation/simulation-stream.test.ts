// Every interleaving of small worlds in stream mode: the real courier machines between the reference inbox and the SDK's rules.
// CI_LONG=1 explores deeper.

import t from 'tap'
import { explore } from '../support/simulation/explore.js'
import { DEEP_STREAM_SCENARIOS, STREAM_SCENARIOS } from '../support/simulation/scenarios.js'
import { Simulation } from '../support/simulation/world.js'

const long = process.env['CI_LONG'] === '1'
const now = (): number => performance.now()

void t.test('simulation: no interleaving of a small world in stream mode breaks an invariant', async (t) => {
  for (const [name, scenario] of Object.entries(STREAM_SCENARIOS)) {
    const { states, complete, violation, trace } = explore(new Simulation(scenario), { now, maxMs: 60_000 })
    if (violation !== null) t.fail(`${name}: ${violation.message}`, { trace })
    else t.ok(complete, `${name}: ${states} states, all explored`)
  }
})

if (long) {
  t.setTimeout(3_600_000)
  t.comment('timeout=3600000') // the runner's own limit for this file
  void t.test('simulation: nor does one of a larger world in stream mode', { timeout: 3_600_000 }, async (t) => {
    for (const [name, scenario] of Object.entries(DEEP_STREAM_SCENARIOS)) {
      const bounds = { now, maxMs: 120_000, maxStates: 1_000_000 }
      const { states, complete, violation, trace } = explore(new Simulation(scenario), bounds)
      if (violation !== null) t.fail(`${name}: ${violation.message}`, { trace })
      else t.pass(`${name}: ${states} states, ${complete ? 'all explored' : 'as far as its bounds allow'}`)
    }
  })
}
