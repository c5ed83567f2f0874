// A steady, light load: how long from the push to the device, compared with a bare put-and-flush loop of the same record
// size and pace, alternated in the same run, because the disk of the moment decides both.
import { isClean } from '../lib/checker.js'
import { runPutFlush } from '../lib/comparators.js'
import {
  connectionsOption,
  dataRootOption,
  dedupOption,
  devicesOption,
  durabilityOption,
  payloadOption,
  processesOption,
  roundsOption,
} from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { integer, type Values } from '../lib/options.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider } from '../lib/server.js'
import { postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  rate: integer(1000, 1, 20_000, 'messages per second, one a request'),
  seconds: integer(10, 1, 120, 'length of a round'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  recordBytes: integer(128, 1, 65_536, 'bytes of a record of the bare loop: payload, ids and times'),
  deviceProcesses: processesOption,
  durability: durabilityOption,
  dedup: dedupOption,
  rounds: roundsOption,
  dataRoot: dataRootOption,
}
type LatencyOptions = Values<typeof spec>

type Quantiles = RoundResult['endToEndMs']

function roundOfPostrider(options: LatencyOptions, { scope }: ScenarioContext): Promise<RoundResult> {
  return within(scope, async (round) => {
    const server = await startPostrider(round, options)
    const shape = { ...options, messages: options.rate * options.seconds }
    const http = { batch: 1, call: 'single', dedup: options.dedup === 'on', rate: options.rate } as const
    return measureRound(round, {
      pid: server.pid,
      devices: postriderDevices(server, shape),
      order: postriderOrder(server, shape, http),
    })
  })
}

function roundOfLoop(options: LatencyOptions, { scope }: ScenarioContext): Promise<Quantiles> {
  return within(scope, (round) => runPutFlush(round, { ...options, records: options.rate * options.seconds }))
}

const medians = (rounds: readonly Quantiles[]): Quantiles => ({
  p50: rounded(median(rounds.map((round) => round.p50)), 3),
  p99: rounded(median(rounds.map((round) => round.p99)), 3),
  p999: rounded(median(rounds.map((round) => round.p999)), 3),
})

const minus = (a: Quantiles, b: Quantiles): Quantiles => ({
  p50: rounded(a.p50 - b.p50, 3),
  p99: rounded(a.p99 - b.p99, 3),
  p999: rounded(a.p999 - b.p999, 3),
})

export const latency = defineScenario(
  'latency',
  'a steady light load against a bare put-and-flush loop',
  spec,
  async (options, context) => {
    const ours: RoundResult[] = []
    const loop: Quantiles[] = []
    const above: Quantiles[] = []
    for (let round = 1; round <= options.rounds; round++) {
      const mine = await roundOfPostrider(options, context)
      const bare = await roundOfLoop(options, context)
      context.say(
        `round ${round}: postrider p50 ${mine.endToEndMs.p50} p99 ${mine.endToEndMs.p99} ms, ` +
          `bare p50 ${bare.p50} p99 ${bare.p99} ms`,
      )
      ours.push(mine)
      loop.push(bare)
      above.push(minus(mine.endToEndMs, bare))
    }
    return {
      clean: ours.every(isClean),
      report: {
        medianEndToEndMs: medians(ours.map((round) => round.endToEndMs)),
        medianPutFlushMs: medians(loop),
        medianDifferenceMs: medians(above),
        postrider: ours,
        putFlushMs: loop,
      },
    }
  },
)
