// Publishes of one node, in the order of the calls: one script is under way at a time, and takes all that came meanwhile. So
// nothing overtakes, whatever becomes of a script, and many publishes share its price.

import { StoreUnavailable } from '../../../errors.js'

/** Of one script: it keeps Redis busy. */
const STEP_COUNT = 128
const STEP_BYTES = 1024 * 1024
/** What may wait. */
const MOST_COUNT = 20_000
const MOST_BYTES = 64 * 1024 * 1024

interface Waiting<T> {
  readonly item: T
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** `store` takes a step; resolves with what each came to: null or an error. */
export class PublishQueue<T> {
  readonly #store: (items: readonly T[]) => Promise<ReadonlyArray<Error | null>>
  #waiting: Array<Waiting<T>> = []
  #bytes = 0
  #running = false
  #last: Promise<void> = Promise.resolve()

  constructor(store: (items: readonly T[]) => Promise<ReadonlyArray<Error | null>>) {
    this.#store = store
  }

  add(item: T, bytes: number): Promise<void> {
    if (this.#waiting.length >= MOST_COUNT || this.#bytes + bytes > MOST_BYTES) {
      return Promise.reject(new StoreUnavailable('too much waits to be published'))
    }
    this.#bytes += bytes
    const done = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ item, bytes, resolve, reject })
    })
    this.#last = done.catch(() => undefined)
    if (!this.#running) void this.#run()
    return done
  }

  /** Resolves when everything that was added has ended in some way. */
  async settled(): Promise<void> {
    await this.#last
  }

  async #run(): Promise<void> {
    this.#running = true
    // What comes in this turn of the event loop goes together.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      let count = 0
      let bytes = 0
      for (const waiting of this.#waiting) {
        if (count > 0 && (count === STEP_COUNT || bytes + waiting.bytes > STEP_BYTES)) break
        bytes += waiting.bytes
        count++
      }
      const step = this.#waiting.splice(0, count)
      this.#bytes -= bytes
      try {
        const outcomes = await this.#store(step.map(({ item }) => item))
        for (const [i, { resolve, reject }] of step.entries()) {
          const error = outcomes[i] ?? null
          if (error === null) resolve()
          else reject(error)
        }
      } catch (error) {
        for (const { reject } of step) reject(error)
      }
    }
    // In the same turn as the last look at what waits: what comes later starts anew.
    this.#running = false
  }
}
