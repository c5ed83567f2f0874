// The main road over Redis: an API process, a broker process and a Redis; batches by HTTP to connected plain devices. With
// `--vs aedes-stock` as many devices and payloads of the same size go through Aedes with its own Redis packages, alternated in
// the same run: each system gets the load that it is made for.
import { isClean } from '../lib/checker.js'
import { startStockAedes } from '../lib/comparators.js'
import {
  connectionsOption,
  dedupOption,
  devicesOption,
  payloadOption,
  processesOption,
  profileFlags,
  profileOption,
  roundsOption,
} from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { startRedis, type BenchRedis } from '../lib/redis-server.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within, type Scope } from '../lib/scope.js'
import { newSecrets, startApiNode, startBrokerNode } from '../lib/server.js'
import { brokerDevices, brokerOrder, postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  messages: integer(300_000, 1, 5_000_000, 'messages of a round'),
  batch: integer(100, 1, 1000, 'messages of a request'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  deviceProcesses: processesOption,
  fsync: choice('everysec', ['everysec', 'always', 'no'], 'appendfsync of both'),
  dedup: dedupOption,
  vs: choice('none', ['none', 'aedes-stock'], 'compare with'),
  rounds: roundsOption,
  publishers: integer(8, 1, 100, 'MQTT publishers of the comparison'),
  publisherWindow: integer(32, 1, 1000, 'unacknowledged messages of a publisher'),
  stockMessages: integer(60_000, 1, 5_000_000, 'messages of a round of the comparison, which takes longer for each'),
  warmUpPercent: integer(20, 0, 100, 'so many more go before in each round of both, not measured'),
  profile: profileOption,
}
type RedisOptions = Values<typeof spec>

const redisFor = (scope: Scope, { fsync }: RedisOptions): Promise<BenchRedis> =>
  startRedis(scope, ['--appendonly', 'yes', '--appendfsync', fsync])

function roundOfPostrider(options: RedisOptions, { scope }: ScenarioContext): Promise<RoundResult> {
  return within(scope, async (round) => {
    const redis = await redisFor(round, options)
    const node = { store: redis.url, secrets: newSecrets(), nodeFlags: profileFlags(options.profile) }
    const broker = await startBrokerNode(round, node)
    const api = await startApiNode(round, node)
    const http = { batch: options.batch, call: 'batch', dedup: options.dedup === 'on', rate: 0 } as const
    return measureRound(round, {
      pid: broker.pid,
      beside: { api: api.pid, redis: redis.pid },
      warmUp: Math.floor((options.messages * options.warmUpPercent) / 100),
      devices: postriderDevices(broker, options),
      order: postriderOrder(api, options, http),
    })
  })
}

function roundOfStock(options: RedisOptions, { scope }: ScenarioContext): Promise<RoundResult> {
  return within(scope, async (round) => {
    const redis = await redisFor(round, options)
    const broker = { ...(await startStockAedes(round, redis.port)), host: '127.0.0.1' }
    const shape = { ...options, messages: options.stockMessages }
    return measureRound(round, {
      pid: broker.pid,
      beside: { redis: redis.pid },
      warmUp: Math.floor((shape.messages * options.warmUpPercent) / 100),
      devices: brokerDevices(broker, shape),
      order: brokerOrder(broker, shape, options.publishers, options.publisherWindow),
    })
  })
}

const line = (name: string, result: RoundResult): string => {
  const cpu = Object.entries(result.cpuMicrosEach).map(([process, micros]) => `${process} ${micros}`)
  return (
    `${name}: delivered ${result.deliveredPerSecond}/s, p99 ${result.endToEndMs.p99} ms, lost ${result.lost}, ` +
    `repeated ${result.repeated}, reordered ${result.reordered}; CPU µs a message: ${cpu.join(', ')}`
  )
}

const delivered = (rounds: readonly RoundResult[]): number => median(rounds.map((round) => round.deliveredPerSecond))

export const redis = defineScenario(
  'redis',
  'full speed over Redis: an API and a broker process, batches by HTTP to connected plain devices',
  spec,
  async (options, context) => {
    if (options.vs === 'none') {
      const result = await roundOfPostrider(options, context)
      context.say(line('postrider', result))
      return { clean: isClean(result), report: { ...result } }
    }
    const ours: RoundResult[] = []
    const theirs: RoundResult[] = []
    for (let round = 1; round <= options.rounds; round++) {
      const mine = await roundOfPostrider(options, context)
      context.say(line(`round ${round} postrider`, mine))
      const other = await roundOfStock(options, context)
      context.say(line(`round ${round} aedes-stock`, other))
      ours.push(mine)
      theirs.push(other)
    }
    const ratios = ours.map((mine, i) => mine.deliveredPerSecond / Math.max(1, theirs[i]?.deliveredPerSecond ?? 1))
    return {
      // What the other one loses or turns round is in the report, and no fault of the product.
      clean: ours.every(isClean),
      report: {
        medianDeliveredPerSecond: { postrider: delivered(ours), stock: delivered(theirs) },
        medianRatio: rounded(median(ratios), 3),
        postrider: ours,
        stock: theirs,
      },
    }
  },
)
