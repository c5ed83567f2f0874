// When something must happen to which of very many connections, with one timer for all: a wheel of slots, one for each tick,
// and every connection in the slot at which it is looked at next. A tick looks into one slot, not at all connections.
//
//   slot      0    1    2   …   (turn)
//   look at   now  +1   +2  …   what is further away is looked at once a turn and put in again
//
// Deadlines are wall-clock times (a token ends by the wall clock), ticks are not: when the wall clock is set, nothing is more
// than a turn late.

/** What is kept in the wheel. */
export interface Timed {
  /** Wall clock, milliseconds; Infinity: none. */
  readonly deadline: number
  /** The wheel's own note: the slot that it is in. Starts as `NO_SLOT`. */
  slot: number
  /** The deadline has passed. What has no later deadline afterwards (nor Infinity) is told again at the next tick. */
  expire(): void
}

export const NO_SLOT = -1

/** Slots of a turn: with ticks of half a second, a minute. */
const SLOTS = 120

export class DeadlineWheel<T extends Timed> {
  readonly #tickMs: number
  readonly #slots: Array<Set<T>>
  /** The slot that was looked into last, and its time: monotonic. */
  #at = 0
  #time: number

  /** `monotonic`: now, milliseconds. */
  constructor(tickMs: number, monotonic: number, slots = SLOTS) {
    this.#tickMs = tickMs
    this.#time = monotonic
    this.#slots = Array.from({ length: slots }, () => new Set<T>())
  }

  /** Call it for what is new, and whenever a deadline has become an earlier one. A later one is found by itself. */
  watch(item: T, now: number): void {
    const { deadline } = item
    if (deadline === Infinity) return
    const turn = this.#slots.length
    const ticks = Math.min(turn - 1, Math.max(1, Math.ceil((deadline - now) / this.#tickMs)))
    // How far away the slot is that it is in already.
    if (item.slot !== NO_SLOT && (item.slot - this.#at + turn) % turn <= ticks) return
    this.forget(item)
    item.slot = (this.#at + ticks) % turn
    this.#slots[item.slot]?.add(item)
  }

  forget(item: T): void {
    this.#slots[item.slot]?.delete(item)
    item.slot = NO_SLOT
  }

  /** Tells everybody whose deadline has passed. To be called once a tick; ticks that were missed are made up for. */
  advance(monotonic: number, now: number): void {
    for (let made = 0; this.#time + this.#tickMs <= monotonic && made < this.#slots.length; made++) {
      this.#time += this.#tickMs
      this.#at = (this.#at + 1) % this.#slots.length
      this.#look(now)
    }
    // After a freeze of more than a turn every slot was looked into once.
    if (this.#time + this.#tickMs <= monotonic) this.#time = monotonic
  }

  #look(now: number): void {
    const due = this.#slots[this.#at]
    if (due === undefined || due.size === 0) return
    this.#slots[this.#at] = new Set()
    for (const item of due) item.slot = NO_SLOT
    for (const item of due) {
      if (item.deadline <= now) item.expire()
      this.watch(item, now)
    }
  }
}
