// What a device remembers of one log. Two things that must not be mixed up:
//
//   handled   per epoch, the highest seq whose handling was recorded. It only grows; it decides that a message is acknowledged
//             without running the handler. Of the last 16 epochs.
//   position  where to go on: what the next hello says. Messages and gaps move it in their order; a reset sets it, also backwards.
//
// With one number for both, a store that lost data and gave old seqs to new messages would have them taken for the old ones.

import type { WirePosition } from '../../../protocol/frames/frame-types.js'

/** Epochs whose records are kept; the server keeps as many. */
export const EPOCHS_KEPT = 16

/** Messages begun and not recorded that are remembered: as many as the largest window that a server grants by default. */
const STARTED_KEPT = 1_024

/** A message that the handler was started for, and whose handling is not recorded. */
export interface Started {
  readonly epoch: string
  readonly seq: number
  /** How often the handler was started, 1 or more. */
  readonly attempts: number
}

const NONE: readonly Started[] = []

export class LogRecord {
  /** Oldest first, by the last change. */
  readonly #handled: Map<string, number>
  #position: WirePosition | null
  #started: readonly Started[]
  /** The epoch that changed last. */
  #last: string | null = null

  constructor(
    position: WirePosition | null = null,
    handled: Iterable<WirePosition> = [],
    started: readonly Started[] = [],
  ) {
    this.#position = position
    this.#handled = new Map(handled)
    this.#started = started
  }

  /** Null: the device knows no place in the log. */
  get position(): WirePosition | null {
    return this.#position
  }

  get handled(): ReadonlyMap<string, number> {
    return this.#handled
  }

  get started(): readonly Started[] {
    return this.#started
  }

  /** True: the handling of [epoch, seq], or of a later message of the epoch, was recorded. */
  wasHandled(epoch: string, seq: number): boolean {
    const highest = this.#handled.get(epoch)
    return highest !== undefined && seq <= highest
  }

  /** How often the handler was started for a message that was not recorded: 0 for one that it never was. */
  attemptsOf(epoch: string, seq: number): number {
    if (this.#started.length === 0) return 0
    return this.#started.find((each) => each.epoch === epoch && each.seq === seq)?.attempts ?? 0
  }

  /** The next hello says this. The record is left as it is. */
  moveTo(epoch: string, seq: number): void {
    this.#position = [epoch, seq]
  }

  /** Nothing up to [epoch, seq] will come any more. */
  moveOver(epoch: string, seq: number): void {
    if (this.#position === null || seq > this.#position[1]) this.#position = [epoch, seq]
  }

  /** Everything of the epoch up to `seq` is handled. */
  setHandled(epoch: string, seq: number): void {
    const before = this.#handled.get(epoch) ?? 0
    if (epoch !== this.#last) {
      this.#handled.delete(epoch) // and set again: the one that changed last comes last
      this.#last = epoch
    }
    this.#handled.set(epoch, Math.max(before, seq))
    if (this.#handled.size > EPOCHS_KEPT) {
      const [oldest] = this.#handled.keys()
      if (oldest !== undefined) this.#handled.delete(oldest)
    }
    const [first] = this.#started
    if (first === undefined) return
    // Mostly there is one, and it is this one.
    if (this.#started.length === 1 && first.epoch === epoch && first.seq <= seq) this.#started = NONE
    else this.#started = this.#started.filter((each) => each.epoch !== epoch || each.seq > seq)
  }

  /** The handler is about to be started for the message, the `attempts`-th time. */
  setStarted(epoch: string, seq: number, attempts: number): void {
    if (this.#started.length === 0) {
      this.#started = [{ epoch, seq, attempts }]
      return
    }
    const rest = this.#started.filter((each) => each.epoch !== epoch || each.seq !== seq)
    this.#started = [...rest.slice(1 - STARTED_KEPT), { epoch, seq, attempts }]
  }

  /** What `setStarted` said did not come to pass: the handler was not called. */
  takeBack(epoch: string, seq: number): void {
    this.#started = this.#started.flatMap((each) => {
      if (each.epoch !== epoch || each.seq !== seq) return [each]
      return each.attempts > 1 ? [{ ...each, attempts: each.attempts - 1 }] : []
    })
  }
}
