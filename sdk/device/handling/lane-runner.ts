// Runs the handler for the messages of one log, one after the other: start mark → handler → record → acknowledgement.
//
// Before a handler is started, its start is in the storage; before the next one is started, the end of this one is. So when the
// process dies, at most one message per log was begun and not recorded, and its next run knows that it is not the first. A mark
// and the record before it are one write. A volatile storage needs none of that: nothing waits.
//
// Only what is recorded is acknowledged, and only on the connection that sent it.

import type { GapFrame } from '../../../protocol/frames/frame-types.js'
import { asStorageError, messageOf, PostriderError } from '../errors.js'
import type { MessageEntry } from '../log/entry.js'
import type { Lane } from '../log/lane.js'
import { Message } from '../message.js'
import type { Clock, Random } from '../platform.js'
import type { StateStore } from '../storage/state-store.js'
import { retryDelay, type PoisonPolicy, type RetrySettings } from './retry.js'
import type { Slots } from './slots.js'

/** Rejecting a handler's promise with this puts the message back: no failure, but not handled either. */
export const RELEASED = Symbol('released')

/** What a runner tells; nothing of it may throw. */
export interface RunnerEvents {
  /** Everything up to here is recorded, and was sent on the present connection. */
  handled(lane: Lane, epoch: string, seq: number, urgent: boolean): void
  gap(frame: GapFrame): void
  /** `message.ack()` outside of manual mode. */
  acknowledged(message: Message): void
  /** The message repeats one of another history that was handled: the handler is not run. */
  repeated(message: Message, first: string): void
  /** The handler threw; it will be run again, or the poison policy applies. */
  failed(message: Message, error: PostriderError): void
  skipped(message: Message, error: unknown): void
  /** It is to be kept; false: no more can be. */
  park(entry: MessageEntry, message: Message, error: unknown): boolean
  parked(message: Message, error: unknown): void
  /** The client cannot go on. */
  stop(error: PostriderError): void
  /** Nothing is left to do. */
  idle(lane: Lane): void
}

export interface RunnerSettings {
  readonly mode: 'auto' | 'manual'
  readonly retry: RetrySettings
  readonly poison: PoisonPolicy
}

export interface RunnerContext {
  readonly settings: RunnerSettings
  readonly store: StateStore
  readonly slots: Slots
  readonly clock: Clock
  readonly random: Random
  /** The application's handler. */
  readonly handle: (message: Message) => unknown
  readonly events: RunnerEvents
}

/** The last message that was settled, and that the server is to be told of. */
interface Mark {
  readonly epoch: string
  readonly seq: number
  readonly urgent: boolean
  /** Of the lane: an acknowledgement is for the connection that sent the message. */
  readonly version: number
}

type Outcome = { readonly used: boolean; readonly pauseMs: number }
const UNUSED: Outcome = { used: false, pauseMs: 0 }
const DONE: Outcome = { used: true, pauseMs: 0 }

export class LaneRunner {
  readonly lane: Lane
  readonly #context: RunnerContext
  #mark: Mark | null = null
  /** A gap moved the position, and that is not recorded. */
  #moved = false
  /** How many entries at the front of the queue are begun; more than none only in manual mode. */
  #begun = 0
  /** The version of the lane that `#begun` is about. */
  #version = -1
  #running: Promise<void> | null = null
  #stopped = false
  #cancelPause: (() => void) | null = null

  constructor(lane: Lane, context: RunnerContext) {
    this.lane = lane
    this.#context = context
  }

  /** Nothing runs, and nothing waits to. */
  get idle(): boolean {
    return this.#running === null
  }

  /** Something was queued. */
  wake(): void {
    if (this.#running !== null || this.#stopped) return
    // Not within the call that queued it: a handler that closes the client before its first `await` runs like any other, and
    // is waited for.
    const run = Promise.resolve().then(() => this.#run())
    this.#running = run
    void run.then(() => {
      this.#running = null
      // What came between the end of the run and this moment.
      if (!this.#stopped && this.lane.queue.length > this.#begun) this.wake()
      else this.#context.events.idle(this.lane)
    })
  }

  /** Starts nothing more. Resolves when what runs has ended and is recorded. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelPause?.()
    await this.#running
  }

  /** Never rejects: of a storage that fails the client knows already. */
  async #run(): Promise<void> {
    const { slots } = this.#context
    try {
      while (!this.#stopped) {
        if (this.#next() === null) {
          await this.#committed()
          // What a new connection brought meanwhile may be settled already: then its acknowledgement is still to be sent.
          if (this.#next() === null && this.#mark === null && !this.#moved) return
          continue
        }
        const admitted = slots.acquire()
        if (admitted !== true) {
          await this.#committed()
          if (!(await admitted)) return
        }
        const { used, pauseMs } = await this.#withSlot()
        if (!used || pauseMs > 0) await this.#committed()
        if (pauseMs > 0 && !this.#stopped) await this.#pause(pauseMs)
      }
      this.#shift()
      await this.#committed()
    } catch (error) {
      this.#stopped = true
      this.#context.events.stop(asStorageError(error))
    }
  }

  /** One message, in the slot that was acquired. No promise is made for a handler and a storage that make none. */
  #withSlot(): Outcome | Promise<Outcome> {
    const { slots } = this.#context
    let outcome: Outcome | Promise<Outcome>
    try {
      outcome = this.#one()
    } catch (error) {
      slots.release(false)
      throw error
    }
    if (outcome instanceof Promise) return this.#releaseAfter(outcome)
    slots.release(outcome.used)
    return outcome
  }

  async #releaseAfter(step: Promise<Outcome>): Promise<Outcome> {
    let outcome = UNUSED
    try {
      outcome = await step
      return outcome
    } finally {
      this.#context.slots.release(outcome.used)
    }
  }

  // ----- the order of things ---------------------------------------------------------------------------------------------------

  /** Passes over what needs no handler, in order; answers the next message that does, or null. */
  #next(): MessageEntry | null {
    const { queue, version } = this.lane
    if (version !== this.#version) {
      this.#version = version
      this.#begun = 0
    }
    for (;;) {
      const entry = queue.at(this.#begun)
      if (entry === undefined) return null
      if (entry.kind === 'gap') {
        if (!entry.told) this.#context.events.gap(entry.frame)
        entry.told = true
      } else if (entry.state === 'queued') {
        if (entry.repeats === null) return entry
        this.#context.events.repeated(this.#message(entry, 1), entry.repeats)
        this.#done(entry)
      }
      if (this.#begun > 0 || !this.#shift()) this.#begun++
    }
  }

  /** Takes away what is settled at the front of the queue. False: the first entry is not. */
  #shift(): boolean {
    const { queue, memory, version } = this.lane
    let shifted = false
    for (;;) {
      const entry = queue.at(0)
      if (entry === undefined) return shifted
      if (entry.kind === 'gap') {
        if (!entry.told) return shifted
        memory.record.moveOver(entry.frame.epoch, entry.frame.to)
        this.#moved = true
        this.#context.store.touch(memory)
      } else {
        if (entry.state === 'acked') this.#settle(entry)
        if (entry.state !== 'settled') return shifted
        memory.record.moveTo(entry.epoch, entry.seq)
        this.#mark = {
          epoch: entry.epoch,
          seq: entry.seq,
          urgent: entry.urgent || this.#mark?.urgent === true,
          version,
        }
        this.#context.store.touch(memory)
      }
      queue.shift()
      if (this.#begun > 0) this.#begun--
      shifted = true
    }
  }

  /** Handled, as far as the application is concerned. */
  #done(entry: MessageEntry): void {
    // In manual mode the record may only cover what is handled without a gap: the older ones come first.
    if (this.#context.settings.mode === 'manual') entry.state = 'acked'
    else this.#settle(entry)
  }

  #settle(entry: MessageEntry): void {
    const { memory } = this.lane
    const { store } = this.#context
    const { dedupId, at } = entry.message
    entry.state = 'settled'
    memory.record.setHandled(entry.epoch, entry.seq)
    store.touch(memory)
    if (dedupId !== null) store.touchDedup(memory, memory.dedup.remember(dedupId, entry.epoch, entry.seq, at))
  }

  /** Has everything that changed recorded, then tells of it. Null: done at once. */
  #commit(begun = false): Promise<void> | null {
    const mark = this.#mark
    if (mark === null && !begun && !this.#moved) return null
    this.#mark = null
    this.#moved = false
    const saved = this.#context.store.save()
    if (saved !== null) return saved.then(() => this.#tell(mark))
    this.#tell(mark)
    return null
  }

  async #committed(): Promise<void> {
    const saved = this.#commit()
    if (saved !== null) await saved
  }

  #tell(mark: Mark | null): void {
    if (mark === null || mark.version !== this.lane.version) return
    this.#context.events.handled(this.lane, mark.epoch, mark.seq, mark.urgent)
  }

  // ----- one message -----------------------------------------------------------------------------------------------------------

  #one(): Outcome | Promise<Outcome> {
    const entry = this.#next()
    if (entry === null || this.#stopped) return UNUSED
    const { memory, version } = this.lane
    const { record } = memory
    const attempt = record.attemptsOf(entry.epoch, entry.seq) + 1
    record.setStarted(entry.epoch, entry.seq, attempt)
    this.#context.store.touch(memory)
    const saved = this.#commit(true)
    if (saved === null) return this.#start(entry, attempt)
    return saved.then(() => {
      if (this.lane.version === version && !this.#stopped) return this.#start(entry, attempt)
      // Dropped meanwhile: the server sends it again.
      record.takeBack(entry.epoch, entry.seq)
      return UNUSED
    })
  }

  #start(entry: MessageEntry, attempt: number): Outcome | Promise<Outcome> {
    const message = this.#message(entry, attempt)
    entry.state = 'started'
    try {
      const result = this.#context.handle(message)
      if (isThenable(result)) return this.#ended(entry, message, result)
    } catch (error) {
      return this.#failed(entry, message, error)
    }
    return this.#succeeded(entry)
  }

  async #ended(entry: MessageEntry, message: Message, result: PromiseLike<unknown>): Promise<Outcome> {
    try {
      await result
    } catch (error) {
      return this.#failed(entry, message, error)
    }
    return this.#succeeded(entry)
  }

  #succeeded(entry: MessageEntry): Outcome {
    if (this.#context.settings.mode === 'auto') this.#done(entry)
    return DONE
  }

  #failed(entry: MessageEntry, message: Message, error: unknown): Outcome {
    const { settings, events, random } = this.#context
    const { retry, poison } = settings
    const { key, attempt } = message
    if (entry.state === 'started') entry.state = 'queued'
    if (error === RELEASED) return DONE
    events.failed(message, new PostriderError('handler_error', messageOf(error), { cause: error, key }))
    // It was acknowledged before the handler threw: that counts.
    if (entry.state !== 'queued') return DONE
    if (attempt < retry.attempts) return { used: true, pauseMs: retryDelay(retry, attempt, random) }
    if (poison === 'stop') {
      this.#stopped = true
      events.stop(new PostriderError('handler_failed', messageOf(error), { cause: error, key }))
      return DONE
    }
    if (poison === 'park' && !events.park(entry, message, error)) {
      this.#stopped = true
      events.stop(new PostriderError('parked_full', messageOf(error), { cause: error, key }))
      return DONE
    }
    this.#done(entry)
    if (poison === 'park') events.parked(message, error)
    else events.skipped(message, error)
    return DONE
  }

  #message(entry: MessageEntry, attempt: number): Message {
    return new Message(this.lane.name, entry, attempt, (message) => this.#acknowledged(entry, message))
  }

  #acknowledged(entry: MessageEntry, message: Message): void {
    if (this.#context.settings.mode !== 'manual') this.#context.events.acknowledged(message)
    else if (entry.state === 'started') this.#ackByHand(entry)
  }

  #ackByHand(entry: MessageEntry): void {
    entry.state = 'acked'
    this.#shift()
    this.#commit()?.catch(() => undefined) // the store has told the client
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#context.clock.after(ms, resolve)
      this.#cancelPause = () => {
        cancel()
        resolve()
      }
    })
    this.#cancelPause = null
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
