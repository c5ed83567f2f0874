// Work in the background: begun again and again, never twice at the same time, and over when the store is closed.

export interface BackgroundOptions {
  readonly intervalMs: number
  readonly round: () => Promise<void>
  readonly failed: (error: unknown) => void
}

export class Background {
  readonly #timer: NodeJS.Timeout
  #round: Promise<void> | null = null
  #closed = false

  constructor({ intervalMs, round, failed }: BackgroundOptions) {
    this.#timer = setInterval(() => {
      if (this.#round !== null) return
      this.#round = round()
        .catch(failed)
        .finally(() => {
          this.#round = null
        })
    }, intervalMs)
    this.#timer.unref()
  }

  /** To be asked between two steps of a round. */
  get closed(): boolean {
    return this.#closed
  }

  /** Waits for the round under way. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#round
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
