// What a scenario is to the command line.
import { describeOptions, parseOptions, type Options, type Values } from './options.js'
import type { Scope } from './scope.js'

export interface ScenarioContext {
  readonly scope: Scope
  /** Progress, for humans. */
  readonly say: (line: string) => void
}

export interface Outcome {
  /** Printed as one JSON line. */
  readonly report: Readonly<Record<string, unknown>>
  /** False: a message was lost, repeated or reordered. */
  readonly clean: boolean
}

export interface Scenario {
  readonly name: string
  readonly summary: string
  readonly flags: string
  run(args: readonly string[], context: ScenarioContext): Promise<Outcome>
}

export function defineScenario<S extends Options>(
  name: string,
  summary: string,
  spec: S,
  run: (options: Values<S>, context: ScenarioContext) => Promise<Outcome>,
): Scenario {
  return {
    name,
    summary,
    flags: describeOptions(spec),
    run: async (args, context) => {
      const options = parseOptions(spec, args)
      const { report, clean } = await run(options, context)
      return { clean, report: { scenario: name, ...report, parameters: options } }
    },
  }
}
