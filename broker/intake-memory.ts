// The intakes of devices that have gone: who comes back has what was left of its rates, and not a new burst.

import { refillMs } from '../core/limits/token-bucket.js'
import { Intake, type IntakeLimits } from './intake.js'

/** Devices that one of the two generations remembers. */
const DEVICES_MAX = 50_000

/**
 * Bounded as RateTable is: an intake that has been kept for as long as its slowest bucket takes to fill is as good as a new one.
 * A flood of more devices than a generation holds makes the older ones new too early.
 */
export class IntakeMemory {
  readonly #limits: IntakeLimits
  readonly #devicesMax: number
  readonly #lifeMs: number
  #young = new Map<string, Intake>()
  #old = new Map<string, Intake>()
  #since = 0

  constructor(limits: IntakeLimits, devicesMax = DEVICES_MAX) {
    this.#limits = limits
    this.#devicesMax = devicesMax
    const { publishesPerDevice, packetsPerDevice, bytesPerDevice } = limits
    this.#lifeMs = Math.max(...[publishesPerDevice, packetsPerDevice, bytesPerDevice].map(refillMs))
  }

  /** Intakes remembered now. */
  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** Of a connection that has ended. `now`: monotonic milliseconds. */
  keep(device: string, intake: Intake, now: number): void {
    if (this.#lifeMs === 0) return
    this.#age(now)
    this.#young.set(device, intake)
  }

  /** For a connection that begins. */
  open(device: string, now: number): Intake {
    this.#age(now)
    const intake = this.#young.get(device) ?? this.#old.get(device)
    this.#young.delete(device)
    this.#old.delete(device)
    if (intake === undefined) return new Intake(this.#limits, now)
    intake.nextTurn()
    return intake
  }

  #age(now: number): void {
    if (now - this.#since < this.#lifeMs && this.#young.size < this.#devicesMax) return
    this.#old = now - this.#since < 2 * this.#lifeMs ? this.#young : new Map()
    this.#young = new Map()
    this.#since = now
  }
}
