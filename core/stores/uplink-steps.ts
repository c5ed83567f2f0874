// Calls of uplink that come while a step of the store is under way share the next one, up to a bound: so what one process sends is
// stored in the order of its calls, and many small calls cost few steps.

import type { NewUplink, UplinkResult } from '../ports/uplink.js'

interface Waiting {
  readonly items: readonly NewUplink[]
  readonly resolve: (results: readonly UplinkResult[]) => void
  readonly reject: (reason: unknown) => void
}

export interface UplinkStepsOptions {
  /** Calls share a step up to about here; one call is never divided. */
  readonly maxItems: number
  readonly maxBytes: number
  /** One step: all of the calls or none. A rejection is that of every call in it. */
  readonly store: (calls: ReadonlyArray<readonly NewUplink[]>) => Promise<ReadonlyArray<readonly UplinkResult[]>>
}

export class UplinkSteps {
  readonly #options: UplinkStepsOptions
  #waiting: Waiting[] = []
  #running = false

  constructor(options: UplinkStepsOptions) {
    this.#options = options
  }

  append(items: readonly NewUplink[]): Promise<readonly UplinkResult[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ items, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    // What comes in this turn is in the first step.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const calls = this.#takeStep()
      try {
        const results = await this.#options.store(calls.map(({ items }) => items))
        for (const [i, { resolve }] of calls.entries()) resolve(results[i] ?? [])
      } catch (error) {
        for (const { reject } of calls) reject(error)
      }
    }
    this.#running = false
  }

  #takeStep(): readonly Waiting[] {
    const { maxItems, maxBytes } = this.#options
    let items = 0
    let bytes = 0
    let count = 0
    for (const call of this.#waiting) {
      items += call.items.length
      for (const { payload } of call.items) bytes += payload.byteLength
      if (count > 0 && (items > maxItems || bytes > maxBytes)) break
      count++
    }
    const step = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    return step
  }
}
