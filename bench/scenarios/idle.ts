// What an idle connection costs: many subscribed devices, resident memory before and after a minute of idleness. With
// `--vs aedes` a bare Aedes host holds the same connections, alternated. With `--registered` also what devices that are
// registered and offline add to the heap.
import { setTimeout as delay } from 'node:timers/promises'
import { isClean, judge, type Verdict } from '../lib/checker.js'
import { startBareAedes } from '../lib/comparators.js'
import { Devices, type DevicesOptions } from '../lib/devices.js'
import { INSPECT_FLAGS, heapAfterCollection } from '../lib/heap.js'
import { dataRootOption, durabilityOption } from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { residentBytes } from '../lib/proc-stats.js'
import { Producer } from '../lib/producers.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider, type Postrider } from '../lib/server.js'
import { postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: integer(15_000, 1, 19_000, 'idle connections (a server has 20,000 open files or less on many machines)'),
  deviceProcesses: integer(2, 1, 8, 'processes that hold the devices'),
  idle: integer(60, 1, 600, 'seconds of idleness'),
  runs: integer(3, 1, 9, 'runs; the median counts'),
  vs: choice('none', ['none', 'aedes'], 'compare with'),
  clean: choice('true', ['true', 'false'], 'clean sessions'),
  registered: integer(0, 0, 1_000_000, 'offline devices of the heap measurement; 0 leaves it out'),
  durability: durabilityOption,
  dataRoot: dataRootOption,
}
type IdleOptions = Values<typeof spec>

const SETTLE_MS = 2000
const QUIET_MS = 10_000
const BATCH = { batch: 100, call: 'batch', dedup: false, rate: 0 } as const

interface IdleResult {
  readonly rssPerConnectionBytes: number
  /** Right after the last connection. */
  readonly rssPerConnectionBusyBytes: number
  readonly rssAtZeroBytes: number
  readonly connectsPerSecond: number
  readonly disconnected: number
}

const shapeOf = (options: IdleOptions) => ({ ...options, messages: options.devices, connections: 16, payloadBytes: 64 })

async function hold(devices: Devices, pid: number, options: IdleOptions): Promise<IdleResult> {
  await delay(SETTLE_MS)
  const zero = residentBytes(pid)
  const began = performance.now()
  await devices.open()
  const seconds = (performance.now() - began) / 1000
  const busy = residentBytes(pid)
  await delay(options.idle * 1000)
  const idle = residentBytes(pid)
  const { disconnected } = await devices.read()
  return {
    rssPerConnectionBytes: rounded((idle - zero) / options.devices),
    rssPerConnectionBusyBytes: rounded((busy - zero) / options.devices),
    rssAtZeroBytes: zero,
    connectsPerSecond: rounded(options.devices / seconds),
    disconnected,
  }
}

/** One message to every device proves that each is still subscribed. */
async function reachAll(
  server: Postrider,
  devices: Devices,
  producer: Producer,
  options: IdleOptions,
): Promise<Verdict> {
  const report = await producer.send(postriderOrder(server, shapeOf(options), BATCH))
  await devices.wait(report.accepted, QUIET_MS)
  return judge([await producer.summary()], await devices.summaries())
}

function runOfPostrider(options: IdleOptions, { scope }: ScenarioContext): Promise<IdleResult & Verdict> {
  return within(scope, async (run) => {
    const server = await startPostrider(run, options)
    const order = { ...postriderDevices(server, shapeOf(options)), clean: options.clean === 'true' }
    const devices = new Devices(run, order)
    const result = await hold(devices, server.pid, options)
    const producer = new Producer(run, { firstDevice: 0, devices: options.devices })
    return { ...result, ...(await reachAll(server, devices, producer, options)) }
  })
}

function runOfAedes(options: IdleOptions, { scope }: ScenarioContext): Promise<IdleResult> {
  return within(scope, async (run) => {
    const broker = await startBareAedes(run)
    const order: DevicesOptions = {
      host: '127.0.0.1',
      port: broker.port,
      first: 0,
      count: options.devices,
      idPrefix: 'd',
      filterPrefix: 'inbox/',
      streamWindow: null,
      sdk: false,
      clean: options.clean === 'true',
      concurrency: 64,
      tokenSecret: null,
      processes: options.deviceProcesses,
    }
    return hold(new Devices(run, order), broker.pid, options)
  })
}

interface RegisteredResult {
  readonly devices: number
  readonly heapBeforeBytes: number
  readonly heapAfterBytes: number
  readonly heapDifferenceBytes: number
  readonly heapPerDeviceBytes: number
}

/** Every device gets one message, which waits for it. */
function measureRegistered(options: IdleOptions, { scope }: ScenarioContext): Promise<RegisteredResult> {
  return within(scope, async (run) => {
    const server = await startPostrider(run, { ...options, nodeFlags: INSPECT_FLAGS })
    const count = options.registered
    // What the first requests load and compile is not the devices' doing: a thousand devices warm the server up.
    const warm = Math.min(1000, count)
    const producer = new Producer(run, { firstDevice: 0, devices: count + warm })
    const push = async (first: number, devices: number): Promise<void> => {
      const shape = { ...shapeOf(options), devices, messages: devices }
      const report = await producer.send(postriderOrder(server, shape, BATCH, first))
      if (report.accepted !== devices) throw new Error(`a device was not registered: ${report.firstError}`)
    }
    await push(0, warm)
    await delay(SETTLE_MS)
    const before = await heapAfterCollection(server)
    await push(warm, count)
    await delay(SETTLE_MS)
    const after = await heapAfterCollection(server)
    return {
      devices: count,
      heapBeforeBytes: before,
      heapAfterBytes: after,
      heapDifferenceBytes: after - before,
      heapPerDeviceBytes: rounded((after - before) / count, 1),
    }
  })
}

const perConnection = (runs: readonly IdleResult[]): number => median(runs.map((run) => run.rssPerConnectionBytes))

export const idle = defineScenario(
  'idle',
  'memory of idle connections and of offline devices',
  spec,
  async (options, context) => {
    const ours: Array<IdleResult & Verdict> = []
    const theirs: IdleResult[] = []
    for (let run = 1; run <= options.runs; run++) {
      const mine = await runOfPostrider(options, context)
      ours.push(mine)
      context.say(`run ${run} postrider: ${mine.rssPerConnectionBytes} bytes a connection`)
      if (options.vs === 'none') continue
      const other = await runOfAedes(options, context)
      theirs.push(other)
      context.say(`run ${run} aedes: ${other.rssPerConnectionBytes} bytes a connection`)
    }
    const registered = options.registered === 0 ? null : await measureRegistered(options, context)
    return {
      clean: ours.every((run) => isClean(run) && run.disconnected === 0),
      report: {
        medianRssPerConnectionBytes: perConnection(ours),
        ...(options.vs === 'none'
          ? {}
          : {
              medianRssPerConnectionAedesBytes: perConnection(theirs),
              aboveAedesBytes: rounded(perConnection(ours) - perConnection(theirs)),
            }),
        registered,
        postrider: ours,
        aedes: theirs,
      },
    }
  },
)
