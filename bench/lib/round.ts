// One measured round: devices connect, a producer sends, everything accepted is awaited, the checker judges.
import { setTimeout as delay } from 'node:timers/promises'
import { judge, type Verdict } from './checker.js'
import { Devices, type DevicesOptions } from './devices.js'
import { rounded } from './numbers.js'
import { cpuSeconds, machineSeconds, residentBytes } from './proc-stats.js'
import type { ProducerOrder } from './producer-protocol.js'
import { Producer, acceptedPerSecond } from './producers.js'
import type { Scope } from './scope.js'

/** Nothing more arrives for so long: what is missing is lost. */
const QUIET_MS = 10_000
/** Between the last connection and the reading of the memory: timers and sockets settle. */
const SETTLE_MS = 500

export interface RoundResult extends Verdict {
  readonly acceptedPerSecond: number
  readonly deliveredPerSecond: number
  /** From the producer's mark to the device's read. */
  readonly endToEndMs: { readonly p50: number; readonly p99: number; readonly p999: number }
  readonly rssPerConnectionBytes: number
  /** Of the server process, user and system, from the first message to the last delivery. */
  readonly cpuSecondsPer100kMessages: number
  /** CPU of every process in the same time, microseconds a message: the server, what is beside it, and the load generator. */
  readonly cpuMicrosEach: Readonly<Record<string, number>>
  /** Of all cores of the machine in the same time, 0 to 1, whoever used them. */
  readonly machineBusy: number
  /** Messages a second until what `settled` of the setup waits for was done; null: nothing was waited for. */
  readonly settledPerSecond: number | null
  readonly disconnected: number
  /** Messages that the producer had to send again. */
  readonly retried: number
  /** What the server said to the first message that it refused or left open. */
  readonly firstError: string | null
}

export interface RoundSetup {
  /** The server process. */
  readonly pid: number
  /** Other processes that the system consists of, by name; or what tells the CPU seconds that they have used so far. */
  readonly beside?: Readonly<Record<string, number | (() => number)>>
  /** Several: devices in several places. */
  readonly devices: DevicesOptions | readonly DevicesOptions[]
  readonly order: ProducerOrder
  /** Messages that go before, as a system that runs has had some: compilers and caches are warm. Default 0. */
  readonly warmUp?: number
  /** The devices connect when all is accepted, instead of before. */
  readonly late?: boolean
  /** Resolves when what follows the delivery of so many messages, all since the server began, is done, with the time of the last. */
  readonly settled?: (delivered: number) => Promise<number>
}

const cpuOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)

/** Runs in `scope`, which then owns the worker processes. */
export async function measureRound(scope: Scope, setup: RoundSetup): Promise<RoundResult> {
  const { pid, order } = setup
  const places = [setup.devices].flat()
  const devices = new Devices(scope, ...places)
  const producer = new Producer(scope, order)
  const { late = false, warmUp = 0 } = setup
  const early = late ? await producer.send(order) : null
  const rssBefore = residentBytes(pid)
  await devices.open()
  const before = warmUp === 0 ? null : await producer.send({ ...order, messages: warmUp })
  if (before !== null) {
    await devices.wait(before.accepted, QUIET_MS)
    await devices.read() // its latencies do not count
  }
  await delay(SETTLE_MS)
  const rssPerConnection = (residentBytes(pid) - rssBefore) / (places[0]?.count ?? 1)
  const processes: ReadonlyArray<readonly [string, () => number]> = [
    ['server', () => cpuOf([pid])],
    ...Object.entries(setup.beside ?? {}).map(
      ([name, other]) => [name, typeof other === 'number' ? () => cpuOf([other]) : other] as const,
    ),
    ['devices', () => cpuOf(devices.pids)],
    ['producer', () => cpuOf([producer.pid])],
  ]
  const cpuBefore = processes.map(([, read]) => read())
  const machineBefore = machineSeconds()
  const report = early ?? (await producer.send(order))
  const arrived = (before?.accepted ?? 0) + report.accepted
  await devices.wait(arrived, QUIET_MS)
  const settledMicros = (await setup.settled?.(arrived)) ?? null
  const cpu = processes.map(([, read], i) => read() - (cpuBefore[i] ?? 0))
  const machine = machineSeconds()
  const each = 1 / Math.max(1, report.accepted)
  const [reading, received, sent] = await Promise.all([devices.read(), devices.summaries(), producer.summary()])
  await devices.close()
  const verdict = judge([sent], received)
  const seconds = (reading.lastMicros - report.beganMicros) / 1e6
  return {
    acceptedPerSecond: rounded(acceptedPerSecond(report)),
    deliveredPerSecond: rounded(seconds > 0 ? (verdict.delivered - (before?.accepted ?? 0)) / seconds : 0),
    endToEndMs: reading.latencies.summary(),
    rssPerConnectionBytes: rounded(rssPerConnection),
    cpuSecondsPer100kMessages: rounded((cpu[0] ?? 0) * each * 1e5, 3),
    cpuMicrosEach: Object.fromEntries(processes.map(([name], i) => [name, rounded((cpu[i] ?? 0) * each * 1e6, 1)])),
    machineBusy: rounded((machine.busy - machineBefore.busy) / (machine.all - machineBefore.all), 2),
    settledPerSecond:
      settledMicros === null ? null : rounded((report.accepted / (settledMicros - report.beganMicros)) * 1e6),
    ...verdict,
    disconnected: reading.disconnected,
    retried: report.retried,
    firstError: report.firstError,
  }
}
