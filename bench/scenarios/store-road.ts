// The whole road on each of the three stores, in turns in one run: batches by HTTP, accepted, delivered to connected plain devices,
// acknowledged, the acknowledgements stored. Beside MongoDB in each round its own rate: updates of one document each, to a majority
// with the journal, by 64 writers, half of the time before and half behind. The ratio is what one message costs in such updates.
import { isClean } from '../lib/checker.js'
import { temporaryFolder } from '../lib/child.js'
import {
  connectionsOption,
  dataRootOption,
  dedupOption,
  devicesOption,
  payloadOption,
  processesOption,
  profileFlags,
  profileOption,
  roundsOption,
} from '../lib/load-options.js'
import { givenMongodb, newDatabase, NO_MONGODB, ownRate, type OwnRate } from '../lib/mongodb.js'
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, text, type Values } from '../lib/options.js'
import { treeCpuSeconds } from '../lib/proc-stats.js'
import { startRedis } from '../lib/redis-server.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { type Scope, within } from '../lib/scope.js'
import { newSecrets, startWholeNode } from '../lib/server.js'
import { handled } from '../lib/settled.js'
import { postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  messages: integer(60_000, 1, 5_000_000, 'messages of a round'),
  batch: integer(100, 1, 1000, 'messages of a request'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  deviceProcesses: processesOption,
  dedup: dedupOption,
  rounds: roundsOption,
  warmUpPercent: integer(100, 0, 100, 'so many more go before in each round, not measured'),
  only: choice('all', ['all', 'mongodb'], 'which stores'),
  mongodbPid: text(
    '',
    'processes of the MongoDB server on this machine, by commas: their CPU is counted with their children’s',
  ),
  ownSeconds: integer(8, 2, 600, 'seconds in each round for MongoDB’s own rate'),
  before: text('', 'cli/bin/postrider.js of another build: it has a turn on MongoDB in each round, too'),
  dataRoot: dataRootOption,
  profile: profileOption,
}
type Options = Values<typeof spec>

interface Turn {
  readonly store: string
  readonly beside?: Readonly<Record<string, number | (() => number)>>
  readonly program?: string
}

async function roundOn(round: Scope, options: Options, { store, beside = {}, program }: Turn): Promise<RoundResult> {
  const server = await startWholeNode(round, {
    store,
    secrets: newSecrets(),
    nodeFlags: profileFlags(options.profile),
    ...(program === undefined ? {} : { program }),
  })
  return measureRound(round, {
    pid: server.pid,
    beside,
    warmUp: Math.floor((options.messages * options.warmUpPercent) / 100),
    settled: (delivered) => handled(server, delivered),
    devices: postriderDevices(server, options),
    order: postriderOrder(server, options, {
      batch: options.batch,
      call: 'batch',
      dedup: options.dedup === 'on',
      rate: 0,
    }),
  })
}

const onLmdb = (options: Options, { scope }: ScenarioContext): Promise<RoundResult> =>
  within(scope, (round) => roundOn(round, options, { store: `file:${temporaryFolder(round, options.dataRoot)}` }))

const onRedis = (options: Options, { scope }: ScenarioContext): Promise<RoundResult> =>
  within(scope, async (round) => {
    const redis = await startRedis(round, ['--appendonly', 'yes', '--appendfsync', 'always'])
    return roundOn(round, options, { store: redis.url, beside: { redis: redis.pid } })
  })

interface MongoRound {
  readonly own: readonly [OwnRate, OwnRate]
  readonly now: RoundResult
  readonly before: RoundResult | null
}

const pidsOf = ({ mongodbPid }: Options): readonly number[] => mongodbPid.split(',').filter(Boolean).map(Number)

async function onMongodb(url: string, options: Options, { scope }: ScenarioContext): Promise<MongoRound> {
  const pids = pidsOf(options)
  const cpu = (): number => pids.reduce((sum, pid) => sum + treeCpuSeconds(pid), 0)
  const turn = (program?: string): Promise<RoundResult> =>
    within(scope, async (round) => {
      const store = await newDatabase(round, url)
      const beside = pids.length === 0 ? {} : { mongodb: cpu }
      return roundOn(round, options, { store, beside, ...(program === undefined ? {} : { program }) })
    })
  const alone = (): Promise<OwnRate> =>
    within(scope, async (round) => {
      const store = await newDatabase(round, url)
      return ownRate(store, options.ownSeconds / 2, pids.length === 0 ? null : cpu)
    })
  const first = await alone()
  const before = options.before === '' ? null : await turn(options.before)
  const now = await turn()
  return { own: [first, await alone()], now, before }
}

const line = (name: string, result: RoundResult): string => {
  const cpu = Object.entries(result.cpuMicrosEach).map(([process, micros]) => `${process} ${micros}`)
  return (
    `${name}: accepted ${result.acceptedPerSecond}/s, delivered ${result.deliveredPerSecond}/s, ` +
    `handled ${result.settledPerSecond}/s, p99 ${result.endToEndMs.p99} ms, lost ${result.lost}, repeated ${result.repeated}, ` +
    `reordered ${result.reordered}; CPU µs a message: ${cpu.join(', ')}; machine ${result.machineBusy}`
  )
}

const middle = (rounds: readonly RoundResult[]) => ({
  acceptedPerSecond: median(rounds.map((round) => round.acceptedPerSecond)),
  deliveredPerSecond: median(rounds.map((round) => round.deliveredPerSecond)),
  handledPerSecond: median(rounds.map((round) => round.settledPerSecond ?? 0)),
  p99Ms: median(rounds.map((round) => round.endToEndMs.p99)),
})

const ownOf = ({ own: [first, last] }: MongoRound): number => Math.max(1, (first.perSecond + last.perSecond) / 2)

function reportOf(lmdb: readonly RoundResult[], redis: readonly RoundResult[], mongodb: readonly MongoRound[]) {
  const now = mongodb.map((round) => round.now)
  const before = mongodb.flatMap((round) => round.before ?? [])
  /** The median of the ratios of the rounds. */
  const ratio = (of: (result: RoundResult) => number): number =>
    rounded(median(mongodb.map((round) => of(round.now) / ownOf(round))), 3)
  const gain = (of: (result: RoundResult) => number): number =>
    rounded(median(now.map((result, i) => of(result) / of(before[i] ?? result))), 3)
  return {
    medians: {
      ...(lmdb.length === 0 ? {} : { lmdb: middle(lmdb), redis: middle(redis) }),
      ...(now.length === 0 ? {} : { mongodb: middle(now) }),
      ...(before.length === 0 ? {} : { mongodbBefore: middle(before) }),
    },
    mongodbOwnPerSecond: mongodb.map((round) => rounded(ownOf(round))),
    medianRatioToOwn: {
      accepted: ratio((result) => result.acceptedPerSecond),
      delivered: ratio((result) => result.deliveredPerSecond),
      handled: ratio((result) => result.settledPerSecond ?? 0),
    },
    ...(before.length === 0
      ? {}
      : {
          medianRatioToBefore: {
            accepted: gain((result) => result.acceptedPerSecond),
            delivered: gain((result) => result.deliveredPerSecond),
          },
        }),
    lmdb,
    redis,
    mongodb,
  }
}

async function run(options: Options, context: ScenarioContext) {
  const url = givenMongodb()
  if (url === null) context.say(`mongodb ${NO_MONGODB}`)
  const [lmdb, redis]: [RoundResult[], RoundResult[]] = [[], []]
  const mongodb: MongoRound[] = []
  for (let n = 1; n <= options.rounds; n++) {
    if (options.only === 'all') {
      const embedded = await onLmdb(options, context)
      context.say(line(`round ${n} lmdb`, embedded))
      lmdb.push(embedded)
      const other = await onRedis(options, context)
      context.say(line(`round ${n} redis`, other))
      redis.push(other)
    }
    if (url === null) continue
    const round = await onMongodb(url, options, context)
    if (round.before !== null) context.say(line(`round ${n} mongodb, build before`, round.before))
    context.say(line(`round ${n} mongodb`, round.now))
    const [first, last] = round.own
    context.say(`round ${n} mongodb alone: ${first.perSecond} and ${last.perSecond} updates/s`)
    mongodb.push(round)
  }
  const all = [...lmdb, ...redis, ...mongodb.flatMap(({ now, before }) => (before === null ? [now] : [now, before]))]
  return {
    clean: all.every(isClean),
    report: { ...reportOf(lmdb, redis, mongodb), ...(url === null ? { missing: `mongodb ${NO_MONGODB}` } : {}) },
  }
}

export const storeRoad = defineScenario(
  'store-road',
  'the whole road on LMDB, Redis and MongoDB in turns: accepted, delivered and handled a second, p99, beside MongoDB’s own rate',
  spec,
  run,
)
