/** Who may run the handler now. Who comes first is served first. */
export interface Slots {
  /** True: now. False: not any more. A promise: wait for either. */
  acquire(): boolean | Promise<boolean>
  /** Gives back what was acquired; `used`: the handler was run meanwhile. */
  release(used: boolean): void
  /** Nobody is admitted any more. */
  close(): void
}

class Queue {
  readonly #waiting: Array<(admitted: boolean) => void> = []
  closed = false

  wait(): Promise<boolean> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** False: nobody waits. */
  admitOne(): boolean {
    const next = this.#waiting.shift()
    next?.(true)
    return next !== undefined
  }

  close(): void {
    this.closed = true
    for (const turnAway of this.#waiting.splice(0)) turnAway(false)
  }
}

/** So many handlers at once. */
export function limitedSlots(limit: number): Slots {
  const queue = new Queue()
  let free = limit
  return {
    acquire() {
      if (queue.closed) return false
      if (free === 0) return queue.wait()
      free--
      return true
    },
    release() {
      if (!queue.admitOne()) free++
    },
    close: () => queue.close(),
  }
}

/** As many as somebody has asked for: each `ask` admits one, once. */
export interface Demand extends Slots {
  ask(): void
  /** Takes back what was asked for and not given yet. */
  withdraw(): void
}

export function demandedSlots(): Demand {
  const queue = new Queue()
  let asked = 0
  return {
    ask() {
      if (!queue.admitOne()) asked++
    },
    withdraw() {
      asked = 0
    },
    acquire() {
      if (queue.closed) return false
      if (asked === 0) return queue.wait()
      asked--
      return true
    },
    release(used) {
      if (!used) this.ask()
    },
    close: () => queue.close(),
  }
}
