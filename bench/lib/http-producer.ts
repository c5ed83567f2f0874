// A producer over HTTP: several connections, as fast as the server answers or paced. Paced messages fall due in time,
// whether a connection is free or not, and their mark says when they fell due, so that a slow answer is not hidden by the
// requests that it held back.
import { HttpConnection } from './http-connection.js'
import { nowMicros } from './marks.js'
import type { ProducerOptions, ProducerRun } from './producer.js'

const PACE_MS = 1

class HttpProducer {
  readonly #options: ProducerOptions
  readonly #run: ProducerRun
  readonly #connections: readonly HttpConnection[]
  #turn = 0
  #settle: (error: Error | null) => void = () => {}

  constructor(options: ProducerOptions, run: ProducerRun) {
    this.#options = options
    this.#run = run
    const on = {
      idle: (connection: HttpConnection): void => this.#feed(connection),
      failed: (error: Error): void => this.#settle(error),
    }
    this.#connections = Array.from(
      { length: options.connections },
      (_, index) => new HttpConnection(options, run, index, on),
    )
  }

  async send(): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      this.#settle = (error) => (error === null ? resolve() : reject(error))
    })
    try {
      await Promise.all(this.#connections.map((connection) => connection.open()))
      this.#run.begin()
      if (this.#options.rate > 0) this.#pace()
      else for (const connection of this.#connections) this.#feed(connection)
      await settled
    } finally {
      for (const connection of this.#connections) connection.close()
    }
  }

  /** `connection` has nothing to do: give it the next request, or see whether all is answered. */
  #feed(connection: HttpConnection): void {
    if (this.#options.rate === 0) {
      const count = this.#run.take(this.#options.batch)
      if (count > 0) connection.push(count, nowMicros())
    }
    if (this.#run.exhausted && !this.#connections.some((each) => each.busy)) this.#settle(null)
  }

  #pace(): void {
    const { batch } = this.#options
    while (!this.#run.exhausted && this.#run.due >= Math.min(batch, this.#run.left)) {
      this.#connections[this.#turn]?.push(this.#run.take(batch), nowMicros())
      this.#turn = (this.#turn + 1) % this.#connections.length
    }
    if (!this.#run.exhausted) setTimeout(() => this.#pace(), PACE_MS)
  }
}

/** Sends the run's messages. Rejects when a connection cannot be opened or breaks; what had no answer is noted unknown. */
export const pushOverHttp = (options: ProducerOptions, run: ProducerRun): Promise<void> =>
  new HttpProducer(options, run).send()
