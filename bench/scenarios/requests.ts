// One message per request. With `--vs fastify` the same requests go to a bare Fastify and LMDB loop, alternated.
import { isClean } from '../lib/checker.js'
import { startFastifyLmdb } from '../lib/comparators.js'
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
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { cpuSeconds } from '../lib/proc-stats.js'
import { Producer, acceptedPerSecond } from '../lib/producers.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider } from '../lib/server.js'
import { httpOrder, postriderDevices, postriderOrder, type HttpShape } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  messages: integer(100_000, 1, 2_000_000, 'messages of a round'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  deviceProcesses: processesOption,
  durability: durabilityOption,
  dedup: dedupOption,
  online: choice('on', ['on', 'off'], 'devices are connected; off: they connect when all is accepted'),
  vs: choice('none', ['none', 'fastify'], 'compare with'),
  rounds: roundsOption,
  dataRoot: dataRootOption,
  profile: profileOption,
}
type RequestsOptions = Values<typeof spec>

const shapeOf = (options: RequestsOptions): HttpShape => ({
  batch: 1,
  call: 'single',
  dedup: options.dedup === 'on',
  rate: 0,
})

function roundOfPostrider(options: RequestsOptions, { scope }: ScenarioContext): Promise<RoundResult> {
  return within(scope, async (round) => {
    const server = await startPostrider(round, { ...options, nodeFlags: profileFlags(options.profile) })
    return measureRound(round, {
      pid: server.pid,
      devices: postriderDevices(server, options),
      order: postriderOrder(server, options, shapeOf(options)),
      late: options.online === 'off',
    })
  })
}

interface LoopResult {
  readonly acceptedPerSecond: number
  readonly cpuSecondsPer100kMessages: number
  readonly accepted: number
}

function roundOfFastify(options: RequestsOptions, { scope }: ScenarioContext): Promise<LoopResult> {
  return within(scope, async (round) => {
    const server = await startFastifyLmdb(round, options.dataRoot)
    const target = { host: '127.0.0.1', port: server.port, apiKey: 'none' }
    const order = httpOrder(target, options, shapeOf(options))
    const producer = new Producer(round, order)
    const before = cpuSeconds(server.pid)
    const report = await producer.send(order)
    const cpu = cpuSeconds(server.pid) - before
    if (report.firstError !== null) throw new Error(`fastify-lmdb refused a message: ${report.firstError}`)
    return {
      acceptedPerSecond: rounded(acceptedPerSecond(report)),
      cpuSecondsPer100kMessages: rounded((cpu / Math.max(1, report.accepted)) * 1e5, 3),
      accepted: report.accepted,
    }
  })
}

export const requests = defineScenario(
  'requests',
  'one message per request to connected plain devices',
  spec,
  async (options, context) => {
    if (options.vs === 'none') {
      const result = await roundOfPostrider(options, context)
      return { clean: isClean(result), report: { ...result } }
    }
    const ours: RoundResult[] = []
    const theirs: LoopResult[] = []
    for (let round = 1; round <= options.rounds; round++) {
      const mine = await roundOfPostrider(options, context)
      const loop = await roundOfFastify(options, context)
      context.say(`round ${round}: postrider ${mine.acceptedPerSecond}/s, fastify-lmdb ${loop.acceptedPerSecond}/s`)
      ours.push(mine)
      theirs.push(loop)
    }
    const ratios = ours.map((mine, i) => mine.acceptedPerSecond / Math.max(1, theirs[i]?.acceptedPerSecond ?? 1))
    return {
      clean: ours.every(isClean),
      report: {
        medianAcceptedPerSecond: {
          postrider: median(ours.map((round) => round.acceptedPerSecond)),
          fastifyLmdb: median(theirs.map((round) => round.acceptedPerSecond)),
        },
        medianRatio: rounded(median(ratios), 3),
        postrider: ours,
        fastifyLmdb: theirs,
      },
    }
  },
)
