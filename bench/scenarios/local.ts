// The main road at full speed: batches by HTTP to many connected plain devices. With `--vs mosquitto` the same devices and
// messages go through Mosquitto, alternated in the same run.
import {
  connectionsOption,
  dataRootOption,
  dedupOption,
  devicesOption,
  durabilityOption,
  payloadOption,
  processesOption,
  profileFlags,
  profileOption,
  roundsOption,
} from '../lib/load-options.js'
import { isClean } from '../lib/checker.js'
import { startMosquitto } from '../lib/mosquitto.js'
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider } from '../lib/server.js'
import { brokerDevices, brokerOrder, postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  messages: integer(300_000, 1, 5_000_000, 'messages of a round'),
  batch: integer(100, 1, 1000, 'messages of a request'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  deviceProcesses: processesOption,
  durability: durabilityOption,
  dedup: dedupOption,
  vs: choice('none', ['none', 'mosquitto'], 'compare with'),
  rounds: roundsOption,
  publishers: integer(8, 1, 100, 'MQTT publishers of the comparison'),
  publisherWindow: integer(32, 1, 1000, 'unacknowledged messages of a publisher'),
  dataRoot: dataRootOption,
  profile: profileOption,
}
type LocalOptions = Values<typeof spec>

function roundOfPostrider(options: LocalOptions, { scope }: ScenarioContext): Promise<RoundResult> {
  return within(scope, async (round) => {
    const server = await startPostrider(round, { ...options, nodeFlags: profileFlags(options.profile) })
    const http = { batch: options.batch, call: 'batch', dedup: options.dedup === 'on', rate: 0 } as const
    return measureRound(round, {
      pid: server.pid,
      devices: postriderDevices(server, options),
      order: postriderOrder(server, options, http),
    })
  })
}

function roundOfMosquitto(options: LocalOptions, { scope }: ScenarioContext): Promise<RoundResult> {
  return within(scope, async (round) => {
    const broker = await startMosquitto(round)
    return measureRound(round, {
      pid: broker.pid,
      devices: brokerDevices(broker, options),
      order: brokerOrder(broker, options, options.publishers, options.publisherWindow),
    })
  })
}

const delivered = (rounds: readonly RoundResult[]): number => median(rounds.map((round) => round.deliveredPerSecond))
const line = (name: string, result: RoundResult): string =>
  `${name}: delivered ${result.deliveredPerSecond}/s, p99 ${result.endToEndMs.p99} ms, lost ${result.lost}, ` +
  `repeated ${result.repeated}, reordered ${result.reordered}`

export const local = defineScenario(
  'local',
  'full speed: batches by HTTP to connected plain devices',
  spec,
  async (options, context) => {
    if (options.vs === 'none') {
      const result = await roundOfPostrider(options, context)
      return { clean: isClean(result), report: { ...result } }
    }
    const ours: RoundResult[] = []
    const theirs: RoundResult[] = []
    for (let round = 1; round <= options.rounds; round++) {
      const mine = await roundOfPostrider(options, context)
      context.say(line(`round ${round} postrider`, mine))
      const other = await roundOfMosquitto(options, context)
      context.say(line(`round ${round} mosquitto`, other))
      ours.push(mine)
      theirs.push(other)
    }
    const ratios = ours.map((mine, i) => mine.deliveredPerSecond / Math.max(1, theirs[i]?.deliveredPerSecond ?? 1))
    return {
      clean: ours.every(isClean) && theirs.every(isClean),
      report: {
        medianDeliveredPerSecond: { postrider: delivered(ours), mosquitto: delivered(theirs) },
        medianRatio: rounded(median(ratios), 3),
        postrider: ours,
        mosquitto: theirs,
      },
    }
  },
)
