// The devices of a scenario, spread over worker processes.
import type { ReceivedSummary } from './checker.js'
import { number } from './decode.js'
import { fleetOpened, fleetReading, receivedSummary, type FleetOrder } from './device-protocol.js'
import { Histogram } from './histogram.js'
import type { Scope } from './scope.js'
import { Worker } from './worker.js'

export interface DevicesOptions extends FleetOrder {
  readonly processes: number
}

export interface DevicesReading {
  readonly latencies: Histogram
  readonly received: number
  readonly firstMicros: number
  readonly lastMicros: number
  /** Processor time of all processes so far. */
  readonly cpuMicros: number
  readonly disconnected: number
}

const ignore = (): void => {}

/** One for each process. */
function ordersOf({ processes, ...order }: DevicesOptions): readonly FleetOrder[] {
  const each = Math.ceil(order.count / processes)
  const orders: FleetOrder[] = []
  for (let from = 0; from < order.count; from += each) {
    orders.push({ ...order, first: order.first + from, count: Math.min(each, order.count - from) })
  }
  return orders
}

export class Devices {
  readonly #workers: readonly Worker[]
  readonly #orders: readonly FleetOrder[]

  /** Several options: devices in several places. */
  constructor(scope: Scope, ...options: readonly DevicesOptions[]) {
    this.#orders = options.flatMap(ordersOf)
    this.#workers = this.#orders.map(() => new Worker(scope, './device-worker.ts'))
  }

  get pids(): readonly number[] {
    return this.#workers.map((worker) => worker.pid)
  }

  /** Connects and subscribes all; throws when one could not. */
  async open(): Promise<void> {
    const opened = await Promise.all(
      this.#workers.map((worker, i) => worker.call('open', this.#orders[i], fleetOpened)),
    )
    const failed = opened.reduce((sum, part) => sum + part.failed, 0)
    const error = opened.find((part) => part.firstError !== null)?.firstError
    if (failed > 0) throw new Error(`${failed} devices could not connect; the first: ${error}`)
  }

  /** Waits until `distinct` messages have arrived in all, or nothing has for `quietMs`; returns how many have. */
  async wait(distinct: number, quietMs: number): Promise<number> {
    if (this.#workers.length === 1) return this.#waitAll(distinct, quietMs)
    // The workers do not know of each other: poll until the sum is there or stands still.
    let seen = -1
    for (let since = performance.now(); performance.now() - since < quietMs;) {
      const sum = await this.#waitAll(Number.MAX_SAFE_INTEGER, 50)
      if (sum >= distinct) return sum
      if (sum !== seen) since = performance.now()
      seen = sum
    }
    return seen
  }

  /** What arrived since the last reading (latencies) and in all (the rest). */
  async read(): Promise<DevicesReading> {
    const parts = await Promise.all(this.#workers.map((worker) => worker.call('read', null, fleetReading)))
    const latencies = new Histogram()
    for (const part of parts) latencies.add(new Histogram(part.latencies))
    const firsts = parts.map((part) => part.firstMicros).filter((micros) => micros > 0)
    return {
      latencies,
      received: parts.reduce((sum, part) => sum + part.received, 0),
      firstMicros: firsts.length === 0 ? 0 : Math.min(...firsts),
      lastMicros: Math.max(...parts.map((part) => part.lastMicros)),
      cpuMicros: parts.reduce((sum, part) => sum + part.cpuMicros, 0),
      disconnected: parts.reduce((sum, part) => sum + part.disconnected, 0),
    }
  }

  summaries(): Promise<ReceivedSummary[]> {
    return Promise.all(this.#workers.map((worker) => worker.call('summary', null, receivedSummary)))
  }

  /** Disconnects all; `open` brings them back. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.call('close', null, ignore)))
  }

  async #waitAll(distinct: number, quietMs: number): Promise<number> {
    const sums = await Promise.all(this.#workers.map((worker) => worker.call('wait', { distinct, quietMs }, number)))
    return sums.reduce((sum, part) => sum + part, 0)
  }
}
