import type { MachineClass } from './sim-machine.js'
import type { Scenario, WorldRules } from './world-data.js'

/** A rule broken on purpose, and the smallest world that shows the harm. */
export interface Mutation {
  readonly name: string
  readonly rules: Partial<WorldRules>
  /** Broken beside it, because it would hide the harm; harmless alone in this world. */
  readonly also?: MachineClass
  readonly scenario: Scenario
}
