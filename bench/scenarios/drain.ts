// A device that comes back to a long backlog: how fast it drains, whether new messages stay behind the old ones, and what
// the others notice of it. Device 0 has the backlog, the devices after it are live all the time.
import { setTimeout as delay } from 'node:timers/promises'
import { isClean, judge } from '../lib/checker.js'
import { Devices } from '../lib/devices.js'
import {
  connectionsOption,
  dataRootOption,
  durabilityOption,
  payloadOption,
  profileFlags,
  profileOption,
  roundsOption,
} from '../lib/load-options.js'
import { nowMicros } from '../lib/marks.js'
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { cpuSeconds } from '../lib/proc-stats.js'
import { Producer } from '../lib/producers.js'
import { defineScenario } from '../lib/scenario.js'
import { startPostrider, type Postrider } from '../lib/server.js'
import { postriderDevices, postriderOrder, type HttpShape } from '../lib/systems.js'
import type { Scope } from '../lib/scope.js'

const spec = {
  mode: choice('plain', ['plain', 'stream'], 'how the one device gets its messages; the SDK: stream'),
  client: choice('bare', ['bare', 'sdk'], 'what receives it: a bare client that decodes and acknowledges, or the SDK'),
  window: integer(1024, 1, 1024, 'window that it asks for in stream mode'),
  pending: integer(100_000, 1000, 1_000_000, 'backlog of the one device'),
  inboxMax: integer(200_000, 1000, 2_000_000, 'cap of an inbox, messages'),
  orderPending: integer(10_000, 100, 1_000_000, 'backlog of the order check'),
  orderRate: integer(500, 1, 10_000, 'messages per second to the same device during the order check'),
  orderSeconds: integer(3, 1, 60, 'length of the order check'),
  liveDevices: integer(100, 1, 10_000, 'other devices'),
  liveRate: integer(1000, 1, 20_000, 'messages per second to the other devices'),
  liveSeconds: integer(4, 1, 60, 'length of the measurement of the others'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  durability: durabilityOption,
  rounds: roundsOption,
  dataRoot: dataRootOption,
  profile: profileOption,
}
type DrainOptions = Values<typeof spec>

const QUIET_MS = 10_000
const FILL: HttpShape = { batch: 500, call: 'batch', dedup: false, rate: 0 }
/** The order check pushes for a while before the device comes back. */
const HEAD_START_MS = 500

interface DrainRound {
  /** From the device's connect to its last message. */
  readonly drainedPerSecond: number
  /** The server's processor time during it, for each message. */
  readonly cpuMicrosPerMessage: number
  /** The device's processor time from its connection on, for each message. */
  readonly deviceCpuMicrosPerMessage: number
  readonly fillPerSecond: number
  /** Messages that were pushed during the order check, beside the backlog. */
  readonly pushedMeanwhile: number
  readonly othersAloneMs: { readonly p50: number; readonly p99: number; readonly p999: number }
  readonly othersDuringDrainMs: { readonly p50: number; readonly p99: number; readonly p999: number }
  readonly othersMeasuredDuringDrain: number
  readonly p99DifferenceMs: number
}

/** The one device with the backlog, and its producer. */
class Backlog {
  readonly #server: Postrider
  readonly #options: DrainOptions
  readonly device: Devices
  readonly producer: Producer
  #accepted = 0

  constructor(scope: Scope, server: Postrider, options: DrainOptions) {
    this.#server = server
    this.#options = options
    const sdk = options.client === 'sdk'
    const window = sdk || options.mode === 'stream' ? options.window : null
    this.device = new Devices(
      scope,
      postriderDevices(server, { ...this.#shape(0), deviceProcesses: 1 }, 0, window, sdk),
    )
    this.producer = new Producer(scope, { firstDevice: 0, devices: 1 })
  }

  /** Messages per second. */
  async fill(messages: number): Promise<number> {
    const began = performance.now()
    await this.push(messages, FILL)
    return (messages / (performance.now() - began)) * 1000
  }

  async push(messages: number, http: HttpShape): Promise<number> {
    const report = await this.producer.send(postriderOrder(this.#server, this.#shape(messages), http))
    if (report.firstError !== null) throw new Error(`a message was refused: ${report.firstError}`)
    this.#accepted += report.accepted
    return report.accepted
  }

  /** Connects, waits for everything accepted so far. */
  async drain(pending: number): Promise<{ readonly perSecond: number; readonly cpuMicrosPerMessage: number }> {
    const began = nowMicros()
    await this.device.open()
    const before = await this.device.read()
    await this.device.wait(this.#accepted, QUIET_MS)
    const { lastMicros, cpuMicros } = await this.device.read()
    return {
      perSecond: (pending / Math.max(1, lastMicros - began)) * 1e6,
      cpuMicrosPerMessage: (cpuMicros - before.cpuMicros) / pending,
    }
  }

  /** Waits for everything accepted so far, then disconnects. */
  async settle(): Promise<void> {
    await this.device.wait(this.#accepted, QUIET_MS)
    await this.device.close()
  }

  #shape(messages: number) {
    return { devices: 1, messages, connections: 1, payloadBytes: this.#options.payloadBytes, deviceProcesses: 1 }
  }
}

/** The other devices, connected all the time, and their producer. */
class Others {
  readonly devices: Devices
  readonly producer: Producer
  readonly #server: Postrider
  readonly #options: DrainOptions
  #accepted = 0

  constructor(scope: Scope, server: Postrider, options: DrainOptions) {
    this.#server = server
    this.#options = options
    this.devices = new Devices(scope, postriderDevices(server, this.#shape(), 1))
    this.producer = new Producer(scope, { firstDevice: 1, devices: options.liveDevices })
  }

  /** The paced load for `liveSeconds`; resolves when everything has arrived. */
  async load(): Promise<void> {
    const http = { batch: 1, call: 'single', dedup: false, rate: this.#options.liveRate } as const
    const report = await this.producer.send(postriderOrder(this.#server, this.#shape(), http, 1))
    if (report.firstError !== null) throw new Error(`a message was refused: ${report.firstError}`)
    this.#accepted += report.accepted
    await this.devices.wait(this.#accepted, QUIET_MS)
  }

  #shape() {
    const { liveDevices, liveRate, liveSeconds, connections, payloadBytes } = this.#options
    return { devices: liveDevices, messages: liveRate * liveSeconds, connections, payloadBytes, deviceProcesses: 1 }
  }
}

async function checkOrder(backlog: Backlog, options: DrainOptions): Promise<number> {
  await backlog.fill(options.orderPending)
  const paced = { batch: 1, call: 'single', dedup: false, rate: options.orderRate } as const
  const pushing = backlog.push(options.orderRate * options.orderSeconds, paced)
  await delay(HEAD_START_MS)
  const [pushed] = await Promise.all([pushing, backlog.device.open()])
  await backlog.settle()
  return pushed
}

async function measure(
  server: Postrider,
  backlog: Backlog,
  others: Others,
  options: DrainOptions,
): Promise<DrainRound> {
  const fillPerSecond = await backlog.fill(options.pending)
  const before = cpuSeconds(server.pid)
  const drained = await backlog.drain(options.pending)
  const cpu = cpuSeconds(server.pid) - before
  await backlog.device.close()

  await others.devices.read()
  await others.load()
  const alone = (await others.devices.read()).latencies

  await backlog.fill(options.pending)
  const loading = others.load()
  await delay(HEAD_START_MS)
  await others.devices.read()
  await backlog.drain(options.pending)
  const during = (await others.devices.read()).latencies
  await loading
  await backlog.device.close()

  const pushedMeanwhile = await checkOrder(backlog, options)
  return {
    drainedPerSecond: rounded(drained.perSecond),
    cpuMicrosPerMessage: rounded((cpu / options.pending) * 1e6, 1),
    deviceCpuMicrosPerMessage: rounded(drained.cpuMicrosPerMessage, 1),
    fillPerSecond: rounded(fillPerSecond),
    pushedMeanwhile,
    othersAloneMs: alone.summary(),
    othersDuringDrainMs: during.summary(),
    othersMeasuredDuringDrain: during.total,
    p99DifferenceMs: rounded(during.summary().p99 - alone.summary().p99, 3),
  }
}

export const drain = defineScenario(
  'drain',
  'a device that comes back to a long backlog, and what others notice of it',
  spec,
  async (options, { scope, say }) => {
    const flags = ['--inbox-max', String(options.inboxMax), '--inbox-max-bytes', '1GiB']
    const server = await startPostrider(scope, { ...options, flags, nodeFlags: profileFlags(options.profile) })
    const backlog = new Backlog(scope, server, options)
    const others = new Others(scope, server, options)
    await others.devices.open()
    const rounds: DrainRound[] = []
    for (let round = 1; round <= options.rounds; round++) {
      const result = await measure(server, backlog, others, options)
      rounds.push(result)
      say(`round ${round}: drained ${result.drainedPerSecond}/s, others' p99 ${result.p99DifferenceMs} ms more`)
    }
    const verdict = judge(
      [await backlog.producer.summary(), await others.producer.summary()],
      [...(await backlog.device.summaries()), ...(await others.devices.summaries())],
    )
    return {
      clean: isClean(verdict),
      report: {
        medianDrainedPerSecond: median(rounds.map((round) => round.drainedPerSecond)),
        medianCpuMicrosPerMessage: median(rounds.map((round) => round.cpuMicrosPerMessage)),
        medianDeviceCpuMicrosPerMessage: median(rounds.map((round) => round.deviceCpuMicrosPerMessage)),
        medianP99DifferenceMs: rounded(median(rounds.map((round) => round.p99DifferenceMs)), 3),
        ...verdict,
        rounds,
      },
    }
  },
)
