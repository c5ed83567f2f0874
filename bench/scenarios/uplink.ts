// Devices that publish to their uplink with QoS 1, each with some under way, as fast as they are acknowledged; beside a bare
// put-and-flush loop with as many writers as publishes are under way.
import { isClean, judge, type Verdict } from '../lib/checker.js'
import { runPutFlushWriters } from '../lib/comparators.js'
import {
  dataRootOption,
  durabilityOption,
  payloadOption,
  profileFlags,
  profileOption,
  roundsOption,
} from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { integer, type Values } from '../lib/options.js'
import { cpuSeconds, residentBytes } from '../lib/proc-stats.js'
import { acceptedPerSecond, Producer } from '../lib/producers.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider } from '../lib/server.js'
import { uplinkOrder } from '../lib/systems.js'
import { readUplink } from '../lib/uplink-reader.js'

const spec = {
  devices: integer(100, 1, 10_000, 'connected devices'),
  messages: integer(100_000, 1, 5_000_000, 'uplinks of a round'),
  window: integer(16, 1, 1_000, 'uplinks that a device has under way'),
  payloadBytes: payloadOption,
  recordBytes: integer(128, 1, 65_536, 'bytes of a record of the bare loop: payload, ids and times'),
  durability: durabilityOption,
  rounds: roundsOption,
  dataRoot: dataRootOption,
  profile: profileOption,
}
type UplinkOptions = Values<typeof spec>

/** What is measured is the store and the road to it, not the limits of a device. */
const UNLIMITED = ['--publish-rate-per-device', '--packet-rate-per-device', '--byte-rate-per-device']

interface UplinkRound extends Verdict {
  readonly acceptedPerSecond: number
  /** Of the server process, user and system. */
  readonly cpuMicrosPerUplink: number
  readonly rssMiB: number
}

function roundOfPostrider(options: UplinkOptions, { scope }: ScenarioContext): Promise<UplinkRound> {
  return within(scope, async (round) => {
    const flags = UNLIMITED.flatMap((flag) => [flag, 'off'])
    const server = await startPostrider(round, { ...options, flags, nodeFlags: profileFlags(options.profile) })
    const order = uplinkOrder(server, options, options.window)
    const producer = new Producer(round, order)
    const before = cpuSeconds(server.pid)
    const report = await producer.send(order)
    const cpu = cpuSeconds(server.pid) - before
    const received = await readUplink(server, order.idPrefix, options.devices)
    return {
      acceptedPerSecond: rounded(acceptedPerSecond(report)),
      cpuMicrosPerUplink: rounded((cpu / Math.max(1, report.accepted)) * 1e6, 1),
      rssMiB: rounded(residentBytes(server.pid) / 1024 ** 2),
      ...judge([await producer.summary()], [received]),
    }
  })
}

export const uplink = defineScenario(
  'uplink',
  'devices that publish to their uplink, against a bare put-and-flush loop',
  spec,
  async (options, context) => {
    const ours: UplinkRound[] = []
    const loop: number[] = []
    const { dataRoot, messages, recordBytes } = options
    const writers = options.devices * options.window
    for (let round = 1; round <= options.rounds; round++) {
      const mine = await roundOfPostrider(options, context)
      const bare = await within(context.scope, (inner) =>
        runPutFlushWriters(inner, { dataRoot, writers, records: messages, recordBytes }),
      )
      context.say(
        `round ${round}: ${mine.acceptedPerSecond}/s, ${mine.cpuMicrosPerUplink} µs of CPU each; bare ${rounded(bare)}/s`,
      )
      ours.push(mine)
      loop.push(rounded(bare))
    }
    return {
      clean: ours.every(isClean),
      report: {
        medianAcceptedPerSecond: median(ours.map((round) => round.acceptedPerSecond)),
        medianCpuMicrosPerUplink: median(ours.map((round) => round.cpuMicrosPerUplink)),
        medianPutFlushPerSecond: median(loop),
        medianRatio: rounded(median(ours.map((mine, i) => mine.acceptedPerSecond / Math.max(1, loop[i] ?? 1))), 3),
        postrider: ours,
        putFlushPerSecond: loop,
      },
    }
  },
)
