import type { StoredMessage } from '../core/model/message.js'
import type { BrokerCounters } from './counters.js'
import type { Output } from './output.js'
import { PublishEncoder, type PlainMode } from './publish-encoder.js'

/** Plain mode: each message is one PUBLISH of the payload, its PUBACK means handled. Gaps show only as a jump of the seq. */
export class PlainTransport {
  readonly #encoder: PublishEncoder
  readonly #output: Output
  readonly #counters: BrokerCounters

  constructor(device: string, output: Output, counters: BrokerCounters) {
    this.#encoder = new PublishEncoder(device)
    this.#output = output
    this.#counters = counters
  }

  /** How the subscription wants its topics. */
  setMode(mode: PlainMode): void {
    this.#encoder.mode = mode
  }

  sendMessage(message: StoredMessage, packetId: number, redelivered: boolean): void {
    this.#output.write(this.#encoder.encode(message, packetId, redelivered))
    this.#counters.publishesSent++
    if (redelivered) this.#counters.publishesRedelivered++
  }

  bufferedBytes(): number {
    return this.#output.buffered
  }
}
