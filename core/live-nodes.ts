// Which nodes are alive, for those who met a claim and want to know whether anybody stands behind it. The bus is asked at most
// ten times a second, and only when somebody wants to know; nothing is asked for each device.

import type { Clock } from './clock.js'
import type { Bus } from './ports/bus.js'

/** What the bus said may be so old. */
const FRESH_MS = 100
/** Longer nobody waits for an answer. */
const PATIENCE_MS = 300

export class LiveNodes {
  readonly #bus: Pick<Bus, 'nodes'>
  readonly #clock: Pick<Clock, 'monotonic'>
  /** Null: the bus has not answered yet, or not lately. */
  #alive: ReadonlySet<string> | null = null
  #askedAt = -Infinity
  #asking: Promise<void> | null = null

  constructor(bus: Pick<Bus, 'nodes'>, clock: Pick<Clock, 'monotonic'>) {
    this.#bus = bus
    this.#clock = clock
  }

  /**
   * Tells of a node whether it is known to be gone: it left, or has said nothing for so long that its name is free. A node that
   * joined less than 100 ms ago may be taken for gone; while the bus does not answer, none is. Never rejects.
   */
  async look(): Promise<(node: string) => boolean> {
    const now = this.#clock.monotonic()
    if (now - this.#askedAt >= FRESH_MS && this.#asking === null) {
      this.#askedAt = now
      this.#asking = this.#ask()
    }
    if (this.#asking !== null) await atMost(this.#asking, PATIENCE_MS)
    const alive = this.#asking === null ? this.#alive : null
    return (node) => alive !== null && !alive.has(node)
  }

  async #ask(): Promise<void> {
    try {
      this.#alive = new Set(await this.#bus.nodes())
    } catch {
      // Who asks about claims is told of the outage by the store itself.
      this.#alive = null
    }
    this.#asking = null
  }
}

async function atMost(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}
