// The producer of a scenario, in a worker process.
import type { SentSummary } from './checker.js'
import type { ProducerReport } from './producer.js'
import { producerReport, sentSummary, type ProducerOrder, type ProducerRange } from './producer-protocol.js'
import type { Scope } from './scope.js'
import { Worker } from './worker.js'

const ignore = (): void => {}

export class Producer {
  readonly #worker: Worker
  readonly #begun: Promise<void>

  /** `range`: every device it will ever send to; numbers go on from one order to the next. */
  constructor(scope: Scope, range: ProducerRange) {
    this.#worker = new Worker(scope, './producer-worker.ts')
    this.#begun = this.#worker.call('begin', range, ignore)
    // Whoever sends will see the failure; nobody may ever send.
    this.#begun.catch(ignore)
  }

  get pid(): number {
    return this.#worker.pid
  }

  /** Sends all messages of the order; resolves when the last one is answered. */
  async send(order: ProducerOrder): Promise<ProducerReport> {
    await this.#begun
    const connections = Math.min(order.connections, order.devices)
    return this.#worker.call('send', { ...order, connections }, producerReport)
  }

  summary(): Promise<SentSummary> {
    return this.#worker.call('summary', null, sentSummary)
  }

  stop(): Promise<void> {
    return this.#worker.stop()
  }
}

/** Accepted messages per second of one order. */
export const acceptedPerSecond = (report: ProducerReport): number =>
  (report.accepted / Math.max(1, report.lastAcceptedMicros - report.beganMicros)) * 1e6
