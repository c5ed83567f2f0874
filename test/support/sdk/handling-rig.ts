// The handling of one log of the SDK without a connection: frames go in, and what becomes of them is written down.

import type { WireMessage } from '../../../protocol/frames/frame-types.js'
import type { PostriderError } from '../../../sdk/device/errors.js'
import { LaneRunner, type RunnerSettings } from '../../../sdk/device/handling/lane-runner.js'
import { RETRY } from '../../../sdk/device/handling/retry.js'
import { limitedSlots, type Slots } from '../../../sdk/device/handling/slots.js'
import { Lane } from '../../../sdk/device/log/lane.js'
import type { Message } from '../../../sdk/device/message.js'
import { StateStore } from '../../../sdk/device/storage/state-store.js'
import type { Storage, StorageChange } from '../../../sdk/device/storage/storage.js'
import { ManualClock } from './manual-clock.js'

export const E1 = 'epoch-1'
export const E2 = 'epoch-2'
export const LOG = 'd:phone-1'

export function wire(seq: number, more: Partial<WireMessage> = {}): WireMessage {
  return {
    seq,
    at: 1_000_000 + seq,
    expiresAt: null,
    flags: 0,
    dedupId: null,
    contentType: null,
    attributes: null,
    payload: new TextEncoder().encode(`m${seq}`),
    ...more,
  }
}

/** Lets everything run that needs no time. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** A storage that outlives clients of one test. Writes can be held back, or fail. */
export class TestStorage implements Storage {
  readonly values = new Map<string, Uint8Array>()
  writes = 0
  fails: Error | null = null
  readonly #held: Array<() => void> = []
  #holding = false

  load(): Promise<ReadonlyMap<string, Uint8Array>> {
    return this.fails === null ? Promise.resolve(new Map(this.values)) : Promise.reject(this.fails)
  }

  async write(changes: readonly StorageChange[]): Promise<void> {
    this.writes++
    if (this.#holding) await new Promise<void>((resolve) => this.#held.push(resolve))
    if (this.fails !== null) throw this.fails
    for (const [key, value] of changes) {
      if (value === null) this.values.delete(key)
      else this.values.set(key, value)
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  hold(): void {
    this.#holding = true
  }

  letGo(): void {
    this.#holding = false
    for (const resolve of this.#held.splice(0)) resolve()
  }
}

export type Behaviour = (message: Message, run: number) => unknown

export class HandlingRig {
  readonly storage: Storage
  readonly clock = new ManualClock()
  readonly #store: StateStore
  readonly lane: Lane
  readonly runner: LaneRunner
  /** One line for everything that was told: `start 1`, `ack e/1`, `gap 2-3 overflow` … */
  readonly told: string[] = []
  readonly errors: PostriderError[] = []
  stopped: PostriderError | null = null
  parkLimit = 10
  #runs = 0

  private constructor(
    storage: Storage,
    store: StateStore,
    behaviour: Behaviour,
    settings: Partial<RunnerSettings>,
    slots: Slots,
  ) {
    this.storage = storage
    this.#store = store
    this.lane = new Lane(store.log(LOG))
    this.runner = new LaneRunner(this.lane, {
      settings: { mode: 'auto', retry: RETRY, poison: 'stop', ...settings },
      store,
      slots,
      clock: this.clock,
      random: () => 0.5,
      handle: (message) => {
        this.told.push(`start ${message.seq}${message.attempt > 1 ? ` (${message.attempt})` : ''}`)
        return behaviour(message, ++this.#runs)
      },
      events: {
        handled: (_lane, epoch, seq) => this.told.push(`ack ${epoch === E1 ? '' : `${epoch}/`}${seq}`),
        gap: ({ from, to, reason }) => this.told.push(`gap ${from}-${to} ${reason}`),
        acknowledged: () => undefined,
        repeated: (message, first) => this.told.push(`repeated ${message.seq} of ${first}`),
        failed: (_message, error) => this.errors.push(error),
        skipped: (message) => this.told.push(`skipped ${message.seq}`),
        park: () => this.parkLimit-- > 0,
        parked: (message) => this.told.push(`parked ${message.seq}`),
        stop: (error) => {
          this.stopped = error
        },
        idle: () => undefined,
      },
    })
  }

  static async make(
    options: {
      readonly storage?: Storage
      readonly behaviour?: Behaviour
      readonly settings?: Partial<RunnerSettings>
      readonly slots?: Slots
    } = {},
  ): Promise<HandlingRig> {
    const storage = options.storage ?? new TestStorage()
    let rig: HandlingRig | null = null
    const store = await StateStore.open(storage, 'phone-1', (error) => {
      if (rig !== null) rig.stopped ??= error
    })
    const behaviour = options.behaviour ?? ((): undefined => undefined)
    rig = new HandlingRig(storage, store, behaviour, options.settings ?? {}, options.slots ?? limitedSlots(1))
    return rig
  }

  get store(): StateStore {
    return this.#store
  }

  welcome(cursor = 0, head = 100, epoch = E1): this {
    this.lane.welcome({ epoch, cursor, head })
    return this
  }

  reset(cursor: number, head: number, epoch = E1): this {
    this.lane.reset({ t: 'reset', log: LOG, epoch, cursor, head })
    return this
  }

  data(prev: number, seqs: readonly number[], epoch = E1, more: Partial<WireMessage> = {}): string | null {
    const messages = seqs.map((seq) => wire(seq, more))
    const broken = this.lane.data({ t: 'data', log: LOG, epoch, prev, messages })
    this.runner.wake()
    return broken?.text ?? null
  }

  gap(from: number, to: number, epoch = E1): string | null {
    const broken = this.lane.gap({ t: 'gap', log: LOG, epoch, from, to, reason: 'overflow' })
    this.runner.wake()
    return broken?.text ?? null
  }

  /** What was told since the last call, once everything has run that can. */
  async take(): Promise<readonly string[]> {
    await settle()
    return this.told.splice(0)
  }
}
