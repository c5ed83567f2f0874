// What producers of both kinds have in common: options, the count of messages still to be sent, pacing, and the tallies.
import type { SentLedger } from './checker.js'
import { nowMicros } from './marks.js'

export interface ProducerOptions {
  readonly host: string
  readonly port: number
  readonly firstDevice: number
  readonly devices: number
  readonly idPrefix: string
  readonly messages: number
  readonly connections: number
  readonly payloadBytes: number
  /** Messages per second over all connections; 0: as fast as the server answers. */
  readonly rate: number
  /** MQTT: publish to this, followed by the device's name and the suffix. */
  readonly topicPrefix: string
  readonly topicSuffix: string
  /** MQTT: each connection is one device and publishes as it, with a token of this secret; null: publishers without a name. */
  readonly tokenSecret: string | null
  /** MQTT: unacknowledged messages of a publisher. */
  readonly window: number
  /** HTTP: messages of a request. */
  readonly batch: number
  /** HTTP: `batch` posts to /v1/messages, `single` (one message a request) to /v1/devices/{id}/messages. */
  readonly call: 'batch' | 'single'
  /** HTTP: the API key. */
  readonly apiKey: string
  /** HTTP: every message gets a dedup id. */
  readonly dedup: boolean
}

/** The devices that one connection sends to, in turns. */
export class Share {
  readonly devices: readonly number[]
  #turn = 0

  /** Throws when there are more connections than devices: then two connections would race for one device. */
  constructor(options: ProducerOptions, index: number) {
    if (options.connections > options.devices) throw new RangeError('more connections than devices')
    const devices: number[] = []
    for (let i = index; i < options.devices; i += options.connections) {
      devices.push(options.firstDevice + i)
    }
    this.devices = devices
  }

  next(): number {
    const device = this.devices[this.#turn] ?? 0
    this.#turn = (this.#turn + 1) % this.devices.length
    return device
  }
}

export interface ProducerReport {
  readonly sent: number
  readonly accepted: number
  readonly refused: number
  readonly unknown: number
  /** Sent again because the server asked for it. */
  readonly retried: number
  readonly firstError: string | null
  /** Microseconds on the shared clock: when sending began, when the last acceptance came. */
  readonly beganMicros: number
  readonly lastAcceptedMicros: number
}

/** One order of messages, shared by the connections of a producer. */
export class ProducerRun {
  readonly ledger: SentLedger
  readonly #messages: number
  readonly #rate: number
  #sent = 0
  #accepted = 0
  #refused = 0
  #unknown = 0
  #retried = 0
  #firstError: string | null = null
  #beganMicros = 0
  #lastAcceptedMicros = 0

  constructor(options: ProducerOptions, ledger: SentLedger) {
    this.ledger = ledger
    this.#messages = options.messages
    this.#rate = options.rate
  }

  begin(): void {
    this.#beganMicros = nowMicros()
  }

  /** Messages not given out yet. */
  get left(): number {
    return this.#messages - this.#sent
  }

  /** Of those, how many the pace allows now; all without a pace. */
  get due(): number {
    if (this.#rate === 0) return this.left
    const elapsed = (nowMicros() - this.#beganMicros) / 1e6
    return Math.max(0, Math.min(this.#messages, Math.floor(elapsed * this.#rate)) - this.#sent)
  }

  /** Takes up to `wanted` messages to send now; fewer at the end, or when the pace does not allow more yet. */
  take(wanted: number): number {
    const taken = Math.min(wanted, this.due)
    this.#sent += taken
    return taken
  }

  get exhausted(): boolean {
    return this.#sent >= this.#messages
  }

  accepted(count: number): void {
    this.#accepted += count
    this.#lastAcceptedMicros = nowMicros()
  }

  refused(device: number, number: number, why: string): void {
    this.#refused++
    this.#firstError ??= why
    this.ledger.refused(device, number)
  }

  unknown(device: number, number: number, why: string): void {
    this.#unknown++
    this.#firstError ??= why
    this.ledger.unknown(device, number)
  }

  retried(count: number, why: string): void {
    this.#retried += count
    this.#firstError ??= why
  }

  report(): ProducerReport {
    return {
      sent: this.#sent,
      accepted: this.#accepted,
      refused: this.#refused,
      unknown: this.#unknown,
      retried: this.#retried,
      firstError: this.#firstError,
      beganMicros: this.#beganMicros,
      lastAcceptedMicros: this.#lastAcceptedMicros,
    }
  }
}
