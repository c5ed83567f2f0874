import { StoreUnavailable } from '../errors.js'

/** Lets calls in until it is closed, and closing waits for those inside. */
export class CallGate {
  #inside = 0
  #closed = false
  #whenEmpty: Array<() => void> = []

  async run<T>(call: () => Promise<T>): Promise<T> {
    this.check()
    this.#inside++
    try {
      return await call()
    } finally {
      if (--this.#inside === 0) {
        for (const done of this.#whenEmpty) done()
        this.#whenEmpty = []
      }
    }
  }

  /** Throws StoreUnavailable once it is closed. */
  check(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#inside > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
  }
}
