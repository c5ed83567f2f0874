// What a second broker costs: the same devices and messages with one broker and with two that share the devices, in turns.
// Then what each node asks of Redis and is sent over the bus while only the devices of the first are pushed to: a node does no
// work for devices that are not its own.
import { setTimeout as delay } from 'node:timers/promises'
import { isClean } from '../lib/checker.js'
import { Devices } from '../lib/devices.js'
import {
  connectionsOption,
  dedupOption,
  devicesOption,
  payloadOption,
  processesOption,
  roundsOption,
} from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { integer, type Values } from '../lib/options.js'
import { Producer } from '../lib/producers.js'
import { startRedis } from '../lib/redis-server.js'
import { type NodeWork, RedisWatch } from '../lib/redis-watch.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { newSecrets, startApiNode, startBrokerNode } from '../lib/server.js'
import { postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  messages: integer(300_000, 1, 5_000_000, 'messages of a round'),
  batch: integer(100, 1, 1000, 'messages of a request'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  deviceProcesses: processesOption,
  dedup: dedupOption,
  rounds: roundsOption,
  warmUp: integer(
    300_000,
    0,
    1_000_000,
    'messages of a round that go before, not measured: each process compiles its own',
  ),
  countedMessages: integer(5_000, 1, 100_000, 'messages to the devices of one of two brokers, counted'),
  countedSeconds: integer(5, 1, 60, 'how long everything is counted, as long while nothing is pushed'),
}
type SplitOptions = Values<typeof spec>

const AOF = ['--appendonly', 'yes', '--appendfsync', 'everysec']
const http = ({ batch, dedup }: SplitOptions) => ({ batch, call: 'batch', dedup: dedup === 'on', rate: 0 }) as const
/** Of one half of the devices. */
const half = (options: SplitOptions): SplitOptions => ({ ...options, devices: Math.floor(options.devices / 2) })

interface SplitRound extends RoundResult {
  /** CPU of all brokers, and of brokers, API and Redis. */
  readonly brokersMicrosEach: number
  readonly allMicrosEach: number
}

/** `brokers`: 1 or 2. In both cases the devices are in two halves, each in processes of its own. */
function roundWith(brokers: 1 | 2, options: SplitOptions, { scope }: ScenarioContext): Promise<SplitRound> {
  return within(scope, async (round) => {
    const redis = await startRedis(round, AOF)
    const node = { store: redis.url, secrets: newSecrets() }
    const first = await startBrokerNode(round, node)
    const second = brokers === 1 ? first : await startBrokerNode(round, node)
    const api = await startApiNode(round, node)
    const part = half(options)
    const result = await measureRound(round, {
      pid: first.pid,
      warmUp: options.warmUp,
      beside: { api: api.pid, redis: redis.pid, ...(second === first ? {} : { second: second.pid }) },
      devices: [postriderDevices(first, part), postriderDevices(second, part, part.devices)],
      order: postriderOrder(api, { ...options, devices: 2 * part.devices }, http(options)),
    })
    const { server = 0, second: other = 0, api: ofApi = 0, redis: ofRedis = 0 } = result.cpuMicrosEach
    const brokersMicrosEach = rounded(server + other, 1)
    return { ...result, brokersMicrosEach, allMicrosEach: rounded(brokersMicrosEach + ofApi + ofRedis, 1) }
  })
}

interface Counted {
  readonly messages: number
  /** By node: while nothing was pushed, and while messages went to the devices of the first broker. */
  readonly idle: Readonly<Record<string, CountedWork>>
  readonly pushing: Readonly<Record<string, CountedWork>>
}
type CountedWork = Omit<NodeWork, 'devices'> & {
  /** How often its commands named a device of the first broker. */
  readonly devicesOfFirst: number
}

function counted(options: SplitOptions, { scope }: ScenarioContext): Promise<Counted> {
  return within(scope, async (round) => {
    const redis = await startRedis(round, AOF)
    const watch = await RedisWatch.start(round, redis.admin)
    const node = { store: redis.url, secrets: newSecrets() }
    const owner = await startBrokerNode(round, node)
    const other = await startBrokerNode(round, node)
    const api = await startApiNode(round, node)
    const pids = { owner: owner.pid, other: other.pid, api: api.pid }
    const part = half(options)
    const devices = new Devices(round, postriderDevices(owner, part), postriderDevices(other, part, part.devices))
    await devices.open()
    const shape = { ...part, messages: options.countedMessages, connections: 1 }
    const order = postriderOrder(api, shape, http(options))
    const producer = new Producer(round, order)
    const during = async (work: Promise<unknown> | null): Promise<Readonly<Record<string, CountedWork>>> => {
      for (const [name, pid] of Object.entries(pids)) watch.count(name, pid)
      await Promise.all([work, delay(options.countedSeconds * 1000)])
      return Object.fromEntries(
        Object.keys(pids).map((name) => {
          const { devices: named, ...rest } = watch.work(name)
          let devicesOfFirst = 0
          for (const [id, count] of named)
            if (Number(id.slice(order.idPrefix.length)) < part.devices) devicesOfFirst += count
          return [name, { ...rest, devicesOfFirst }]
        }),
      )
    }
    const idle = await during(null)
    let messages = 0
    const push = async (): Promise<void> => {
      messages = (await producer.send(order)).accepted
      await devices.wait(messages, 10_000)
    }
    const pushing = await during(push())
    return { messages, idle, pushing }
  })
}

export const redisSplit = defineScenario(
  'redis-split',
  'two brokers on one Redis beside one: CPU a message, and what a node does for devices that are not its own',
  spec,
  async (options, context) => {
    const one: SplitRound[] = []
    const two: SplitRound[] = []
    const say = (name: string, round: SplitRound): void =>
      context.say(
        `${name}: delivered ${round.deliveredPerSecond}/s, CPU µs a message: brokers ${round.brokersMicrosEach}, ` +
          `with API and Redis ${round.allMicrosEach}`,
      )
    for (let round = 1; round <= options.rounds; round++) {
      one.push(await roundWith(1, options, context))
      say(`round ${round}, one broker`, one.at(-1) ?? never())
      two.push(await roundWith(2, options, context))
      say(`round ${round}, two brokers`, two.at(-1) ?? never())
    }
    const counts = await counted(options, context)
    context.say(`${counts.messages} messages to devices of one: ${JSON.stringify(counts.pushing)}`)
    const ratios = (of: (round: SplitRound) => number): number =>
      rounded(median(two.map((round, i) => of(round) / (one[i] === undefined ? 1 : of(one[i])))), 3)
    return {
      clean: [...one, ...two].every(isClean),
      report: {
        medianRatioOfBrokers: ratios((round) => round.brokersMicrosEach),
        medianRatioOfAll: ratios((round) => round.allMicrosEach),
        counts,
        one,
        two,
      },
    }
  },
)

function never(): never {
  throw new Error('a round without a result')
}
