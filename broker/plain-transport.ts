import type { StoredMessage } from '../core/model/message.js'
import type { DeviceTransport } from '../courier/device-transport.js'
import type { CloseCode } from '../protocol/codes.js'
import type { BrokerCounters } from './counters.js'
import type { Output } from './output.js'
import { PublishEncoder, type PlainMode } from './publish-encoder.js'

/** Plain mode: each message is one PUBLISH of the payload, its PUBACK means handled. Gaps show only as a jump of the seq. */
export class PlainTransport implements DeviceTransport {
  readonly #encoder: PublishEncoder
  readonly #output: Output
  readonly #counters: BrokerCounters
  readonly #end: (code: CloseCode) => void

  constructor(device: string, output: Output, counters: BrokerCounters, end: (code: CloseCode) => void) {
    this.#encoder = new PublishEncoder(device)
    this.#output = output
    this.#counters = counters
    this.#end = end
  }

  /** How the subscription wants its topics. */
  setMode(mode: PlainMode): void {
    this.#encoder.mode = mode
  }

  sendMessage(_log: string, _epoch: string, message: StoredMessage, packetId: number, redelivered: boolean): void {
    this.#output.write(this.#encoder.encode(message, packetId, redelivered))
    this.#counters.publishesSent++
    if (redelivered) this.#counters.publishesRedelivered++
  }

  sendWelcome(): void {}
  sendReset(): void {}
  sendGap(): void {}

  bufferedBytes(): number {
    return this.#output.buffered
  }

  close(code: CloseCode): void {
    this.#end(code)
  }
}
