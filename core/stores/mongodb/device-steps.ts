// Changes of devices. Whatever is asked for while steps are under way waits, and the next step takes it all: the documents are read,
// each change is applied to its state, and all that differs is written in one bulk write, one update a device. A device is in one
// step at a time; of several processes the one that writes first counts, and the other reads again.

import { type PostriderError, StoreUnavailable } from '../../errors.js'
import type { DeviceState } from './device-state.js'
import { explainFailure } from './mongo-errors.js'
import type { Moment, PreparedMessage } from './transitions.js'

/** One change of one device. Applied to what was read, once or (when another writer was first) several times; the last counts. */
export interface DeviceChange<T> {
  /** Whose dedup ids must be known. */
  readonly messages: readonly PreparedMessage[]
  /** What waits is bounded by the sum of these. */
  readonly bytes: number
  /** Makes the device when there is none. */
  readonly creates: boolean
  /** Null: there is no device. Time has been applied already. */
  apply(state: DeviceState | null, moment: Moment): T
}

/** What is asked of one device in a step. */
export interface DeviceWork {
  readonly device: string
  readonly changes: ReadonlyArray<DeviceChange<unknown>>
}

/** What became of it: `done`, `again` (another writer was first, nothing was done), or why not. */
export type WorkOutcome = 'done' | 'again' | { readonly failure: PostriderError }

/** Does one step; outcomes in order. Never rejects. */
export type Commit = (work: readonly DeviceWork[]) => Promise<readonly WorkOutcome[]>

const STEPS_AT_ONCE = 4
const DEVICES_IN_STEP = 256
const BYTES_IN_STEP = 4 * 1024 * 1024
const MOST_WAITING = 50_000
const MOST_BYTES_WAITING = 128 * 1024 * 1024
/** Whoever was always second so long is told that the store is overloaded. */
const PATIENCE_MS = 6_000

interface Waiting {
  readonly change: DeviceChange<unknown>
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
  readonly since: number
}

export class DeviceSteps {
  readonly #commit: Commit
  readonly #monotonic: () => number
  readonly #lanes = new Map<string, Waiting[]>()
  readonly #busy = new Set<string>()
  #ready: string[] = []
  #running = 0
  #waiting = 0
  #bytes = 0
  #scheduled = false
  /** Another writer was first. */
  readonly #onConflict: () => void

  constructor(commit: Commit, monotonic: () => number, onConflict: () => void) {
    this.#commit = commit
    this.#monotonic = monotonic
    this.#onConflict = onConflict
  }

  change<T>(device: string, change: DeviceChange<T>): Promise<T> {
    if (this.#waiting >= MOST_WAITING || this.#bytes >= MOST_BYTES_WAITING) {
      return Promise.reject(new StoreUnavailable('too many changes wait for MongoDB'))
    }
    return new Promise<T>((resolve, reject) => {
      let answer: { readonly value: T } | null = null
      const kept: DeviceChange<unknown> = {
        ...change,
        apply: (state, moment) => {
          answer = { value: change.apply(state, moment) }
          return undefined
        },
      }
      const done = (): void => {
        if (answer === null) reject(new TypeError('a change was answered that was never applied'))
        else resolve(answer.value)
      }
      this.#enter(device, { change: kept, resolve: done, reject, since: this.#monotonic() })
    })
  }

  #enter(device: string, waiting: Waiting): void {
    this.#waiting++
    this.#bytes += waiting.change.bytes
    const lane = this.#lanes.get(device)
    if (lane !== undefined) lane.push(waiting)
    else {
      this.#lanes.set(device, [waiting])
      if (!this.#busy.has(device)) this.#ready.push(device)
    }
    this.#schedule()
  }

  /** What comes in this turn is in the first step. */
  #schedule(): void {
    if (this.#scheduled || this.#running >= STEPS_AT_ONCE) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      while (this.#running < STEPS_AT_ONCE && this.#ready.length > 0) void this.#step()
    })
  }

  async #step(): Promise<void> {
    const taken = this.#take()
    this.#running++
    try {
      const work = taken.map(({ device, waiting }) => ({ device, changes: waiting.map(({ change }) => change) }))
      const outcomes = await this.#commit(work)
      for (const [i, { device, waiting }] of taken.entries()) this.#settle(device, waiting, outcomes[i])
    } catch (error) {
      // A fault of the program: nobody may wait for ever.
      for (const { device, waiting } of taken) this.#settle(device, waiting, { failure: explainFailure(error) })
    } finally {
      this.#running--
      this.#schedule()
    }
  }

  #take(): ReadonlyArray<{ readonly device: string; readonly waiting: readonly Waiting[] }> {
    const taken: Array<{ readonly device: string; readonly waiting: readonly Waiting[] }> = []
    let bytes = 0
    while (taken.length < DEVICES_IN_STEP && this.#ready.length > taken.length && bytes < BYTES_IN_STEP) {
      const device = this.#ready[taken.length] ?? ''
      const lane = this.#lanes.get(device) ?? []
      let count = 0
      for (const { change } of lane) {
        if (count > 0 && bytes + change.bytes > BYTES_IN_STEP) break
        bytes += change.bytes
        count++
      }
      const waiting = lane.slice(0, count)
      if (count === lane.length) this.#lanes.delete(device)
      else this.#lanes.set(device, lane.slice(count))
      this.#busy.add(device)
      taken.push({ device, waiting })
    }
    this.#ready = this.#ready.slice(taken.length)
    return taken
  }

  #settle(device: string, waiting: readonly Waiting[], outcome: WorkOutcome | undefined): void {
    this.#busy.delete(device)
    const later = this.#lanes.get(device) ?? []
    if (outcome === 'again') {
      this.#onConflict()
      const now = this.#monotonic()
      const patient = waiting.filter(({ since }) => now - since < PATIENCE_MS)
      for (const each of waiting) {
        if (patient.includes(each)) continue
        this.#leave(each)
        each.reject(new StoreUnavailable('other writers were always first on this device'))
      }
      if (patient.length > 0) this.#lanes.set(device, [...patient, ...later])
    } else {
      for (const each of waiting) {
        this.#leave(each)
        if (outcome === 'done') each.resolve()
        else each.reject(outcome?.failure ?? new TypeError('a step without an outcome'))
      }
    }
    if (this.#lanes.has(device)) this.#ready.push(device)
  }

  #leave({ change }: Waiting): void {
    this.#waiting--
    this.#bytes -= change.bytes
  }
}
