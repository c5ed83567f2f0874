// The shell around the intake: stops reading a connection while it has to wait, and goes on when the wait is over.

import type { RateTable } from '../core/limits/rate-table.js'
import type { BrokerCounters } from './counters.js'
import type { Intake, Wait } from './intake.js'
import type { IntakeMemory } from './intake-memory.js'

/** A waiting device is looked at so often at least: it shall not be taken for dead because we do not read it. */
const SLICE_MS = 500

export interface ThrottleContext {
  readonly intakes: IntakeMemory
  readonly counters: Pick<BrokerCounters, 'throttled'>
  /** PUBLISH packets by address, over all connections of each. */
  readonly publishesOfAddresses: RateTable
  monotonic(): number
}

export interface ThrottleOwner {
  /** The device, whose rates go on over its connections. */
  readonly device: string | null
  /** As in `Peer`, or the network that it counts for. */
  readonly addressKey: string
  /** From now on nothing is read. */
  throttled(): void
  /** It still waits, and not because of the device. */
  waits(): void
  /** Go on. It may throttle again at once. */
  released(): void
}

export class Throttle {
  readonly #context: ThrottleContext
  readonly #owner: ThrottleOwner
  readonly #intake: Intake
  #until = 0
  #timer: NodeJS.Timeout | null = null
  #immediate: NodeJS.Immediate | null = null

  constructor(context: ThrottleContext, owner: ThrottleOwner) {
    this.#context = context
    this.#owner = owner
    this.#intake = context.intakes.open(owner.device ?? '', context.monotonic())
  }

  get active(): boolean {
    return this.#timer !== null || this.#immediate !== null
  }

  /** Other connections have had their turn. */
  nextTurn(): void {
    this.#intake.nextTurn()
  }

  /** Bytes have been looked at: too many, and nothing more is until they are earned. */
  received(count: number): void {
    const now = this.#context.monotonic()
    const wait = this.#intake.received(count, now)
    if (wait !== null) this.#begin(wait, now)
  }

  /** Whether a packet with this first byte may begin; if so, it is counted. */
  mayBegin(first: number): boolean {
    if (this.active) return false
    const now = this.#context.monotonic()
    const { publishesOfAddresses } = this.#context
    const address = publishesOfAddresses.limits ? this.#owner.addressKey : ''
    const wait = this.#intake.begin(first, now, address, publishesOfAddresses)
    if (wait !== null) this.#begin(wait, now)
    return wait === null
  }

  /** What was read is worth so many packets more. */
  charge(packets: number): void {
    this.#intake.charge(packets, this.#context.monotonic())
  }

  /** The last PUBLISH does not count. */
  giveBack(): void {
    const { publishesOfAddresses } = this.#context
    const address = publishesOfAddresses.limits ? this.#owner.addressKey : ''
    this.#intake.giveBack(this.#context.monotonic(), address, publishesOfAddresses)
  }

  /** The connection has ended. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#immediate !== null) clearImmediate(this.#immediate)
    this.#timer = null
    this.#immediate = null
    const { device } = this.#owner
    // Clients without a name (`--auth none`) are not one device.
    if (device !== null && device !== '') this.#context.intakes.keep(device, this.#intake, this.#context.monotonic())
  }

  #begin({ reason, ms }: Wait, now: number): void {
    this.#until = Math.max(this.#until, now + ms)
    if (reason !== 'turn') this.#context.counters.throttled[reason]++
    if (this.active) return
    if (reason === 'turn') this.#immediate = setImmediate(this.#look)
    else this.#timer = setTimeout(this.#look, Math.min(Math.ceil(ms), SLICE_MS))
    this.#owner.throttled()
  }

  readonly #look = (): void => {
    this.#immediate = null
    this.#timer = null
    const left = this.#until - this.#context.monotonic()
    if (left > 0) {
      this.#timer = setTimeout(this.#look, Math.min(Math.ceil(left), SLICE_MS))
      this.#owner.waits()
      return
    }
    this.#intake.nextTurn()
    this.#owner.released()
  }
}
