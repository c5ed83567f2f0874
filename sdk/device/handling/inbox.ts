// Everything that a device receives: its logs, one handler at a time in each, and their acknowledgements.

import type {
  DataFrame,
  GapFrame,
  ResetFrame,
  WelcomeFrame,
  WirePosition,
} from '../../../protocol/frames/frame-types.js'
import { FRAME_LIMITS } from '../../../protocol/frames/frame-limits.js'
import { PostriderError } from '../errors.js'
import type { MessageEntry } from '../log/entry.js'
import { ACK_SETTINGS, AckBatch } from '../log/ack-batch.js'
import { Lane, type Broken } from '../log/lane.js'
import type { Message } from '../message.js'
import type { Clock, Random } from '../platform.js'
import type { LogMemory, StateStore } from '../storage/state-store.js'
import { LaneRunner, type RunnerEvents, type RunnerSettings } from './lane-runner.js'
import type { Slots } from './slots.js'

export interface InboxSettings extends RunnerSettings {
  /** What the hello asks for: messages sent and not acknowledged. */
  readonly window: number
}

export interface InboxEvents extends Pick<
  RunnerEvents,
  'gap' | 'acknowledged' | 'repeated' | 'failed' | 'skipped' | 'parked' | 'stop'
> {
  park(entry: MessageEntry, log: string, attempts: number, error: unknown): boolean
  /** To be sent on the present connection. */
  acks(acks: ReadonlyMap<string, WirePosition>): void
  /** Everything that was there at the welcome is handled. */
  caughtUp(): void
  /** Messages wait to be acknowledged, or none does any more. */
  busy(busy: boolean): void
}

/** Silence after which a device counts as caught up whose last messages will not come: exceptions are not told. Milliseconds. */
const QUIET_MS = 1_000

/** Gaps that may wait between messages: a server keeps 1,000 ranges of a device. */
const GAPS_MAX = 2_048

export class Inbox {
  readonly #settings: InboxSettings
  readonly #store: StateStore
  readonly #slots: Slots
  readonly #clock: Clock
  readonly #random: Random
  readonly #handle: (message: Message) => unknown
  readonly #events: InboxEvents
  readonly #runners = new Map<string, LaneRunner>()
  readonly #acks: AckBatch
  #connected = false
  #catchingUp = false
  #cancelQuiet: (() => void) | null = null

  constructor(
    settings: InboxSettings,
    deps: {
      readonly store: StateStore
      readonly slots: Slots
      readonly clock: Clock
      readonly random: Random
      readonly handle: (message: Message) => unknown
      readonly events: InboxEvents
    },
  ) {
    this.#settings = settings
    this.#store = deps.store
    this.#slots = deps.slots
    this.#clock = deps.clock
    this.#random = deps.random
    this.#handle = deps.handle
    this.#events = deps.events
    // A small window must not wait for more messages than it lets through.
    const half = Math.max(1, Math.floor(settings.window / 2))
    const messages = Math.min(ACK_SETTINGS.messages, half)
    this.#acks = new AckBatch(
      { ...ACK_SETTINGS, messages, atOnce: Math.max(ACK_SETTINGS.messages, half) },
      deps.clock,
      (acks) => {
        if (this.#connected) this.#events.acks(acks)
      },
    )
  }

  /** For the hello, which is an acknowledgement too: only what is recorded. */
  cursors(): ReadonlyMap<string, WirePosition> {
    const cursors = new Map<string, WirePosition>()
    const add = (memory: LogMemory): void => {
      const position = this.#store.positionOf(memory)
      if (position !== null && cursors.size < FRAME_LIMITS.logs) cursors.set(memory.name, position)
    }
    // Those of the last welcome come first, if the device has been in more logs than a hello can name.
    for (const { lane } of this.#runners.values()) if (lane.named) add(lane.memory)
    for (const memory of this.#store.logs.values()) add(memory)
    return cursors
  }

  welcome({ logs }: WelcomeFrame): void {
    this.#acks.drop()
    this.#connected = true
    this.#catchingUp = true
    for (const [name, log] of logs) this.#runner(name).lane.welcome(log)
    for (const [name, { lane }] of this.#runners) if (!logs.has(name)) lane.leave()
    this.#settled()
    this.#lookIfCaughtUp()
  }

  /** The connection is gone. What is queued goes on being handled until the next one sends it again. */
  disconnected(): void {
    this.#connected = false
    this.#acks.drop()
    this.#stopQuiet()
  }

  data(frame: DataFrame): PostriderError | null {
    const runner = this.#runners.get(frame.log)
    if (runner === undefined) return unnamed(frame.log)
    const broken = runner.lane.data(frame)
    if (broken !== null) return asError(broken)
    // The server may not have more in flight than it was asked for. Gaps are in the queue too.
    if (runner.lane.queue.length > this.#settings.window + GAPS_MAX) {
      return new PostriderError(
        'sequence_broken',
        `${frame.log}: more than ${this.#settings.window} messages in flight`,
      )
    }
    this.#stopQuiet()
    this.#events.busy(true)
    runner.wake()
    return null
  }

  gap(frame: GapFrame): PostriderError | null {
    const runner = this.#runners.get(frame.log)
    if (runner === undefined) return unnamed(frame.log)
    const broken = runner.lane.gap(frame)
    if (broken !== null) return asError(broken)
    runner.wake()
    return null
  }

  reset(frame: ResetFrame): PostriderError | null {
    const lane = this.#runners.get(frame.log)?.lane
    if (lane?.named !== true) return unnamed(frame.log)
    lane.reset(frame)
    this.#store.touch(lane.memory)
    this.#store.save()?.catch(() => undefined) // the store has told
    return null
  }

  /** Sends the acks that wait, without waiting for more. */
  flush(): void {
    this.#acks.flush()
  }

  /** Starts nothing more. Resolves when what runs has ended and is recorded; its acks are in the batch then. */
  async stop(): Promise<void> {
    this.#slots.close()
    this.#stopQuiet()
    await Promise.all([...this.#runners.values()].map((runner) => runner.stop()))
  }

  #runner(name: string): LaneRunner {
    const known = this.#runners.get(name)
    if (known !== undefined) return known
    const events = this.#events
    const runner = new LaneRunner(new Lane(this.#store.log(name)), {
      settings: this.#settings,
      store: this.#store,
      slots: this.#slots,
      clock: this.#clock,
      random: this.#random,
      handle: this.#handle,
      events: {
        gap: (frame) => events.gap(frame),
        acknowledged: (message) => events.acknowledged(message),
        repeated: (message, first) => events.repeated(message, first),
        failed: (message, error) => events.failed(message, error),
        skipped: (message, error) => events.skipped(message, error),
        parked: (message, error) => events.parked(message, error),
        park: (entry, message, error) => events.park(entry, name, message.attempt, error),
        stop: (error) => events.stop(error),
        handled: (lane, epoch, seq, urgent) => this.#acks.add(lane.name, epoch, seq, urgent),
        idle: () => this.#settled(),
      },
    })
    this.#runners.set(name, runner)
    return runner
  }

  // ----- caught up -----------------------------------------------------------------------------------------------------------------

  #settled(): void {
    if (!this.#connected) return
    for (const { idle, lane } of this.#runners.values()) if (!idle || lane.queue.length > 0) return
    this.#events.busy(false)
    this.#lookIfCaughtUp()
  }

  #lookIfCaughtUp(): void {
    if (!this.#catchingUp) return
    this.#stopQuiet()
    let toldAll = true
    for (const { idle, lane } of this.#runners.values()) {
      if (!idle || lane.queue.length > 0) return
      if (!lane.toldAll) toldAll = false
    }
    if (toldAll) this.#caughtUp()
    else this.#cancelQuiet = this.#clock.after(QUIET_MS, () => this.#caughtUp())
  }

  #caughtUp(): void {
    this.#catchingUp = false
    this.#stopQuiet()
    this.#events.caughtUp()
  }

  #stopQuiet(): void {
    this.#cancelQuiet?.()
    this.#cancelQuiet = null
  }
}

const asError = ({ text }: Broken): PostriderError => new PostriderError('sequence_broken', text)

const unnamed = (log: string): PostriderError =>
  new PostriderError('sequence_broken', `a frame of ${log}, which the welcome did not name`)
