// A backend that does as the documentation asks: every message has a dedup id, and is pushed again until it is accepted,
// whatever happened to the request. The ledger is told what was accepted, and where.

import type { Place } from './ledger.js'
import { writeMark } from './payload.js'
import { pause } from './wait.js'

/** Who is told what was accepted. */
export interface AcceptedWatch {
  accepted(device: string, number: number, place: Place): void
}

export interface ProducerOptions {
  readonly url: () => string
  readonly apiKey: string
  readonly ledger: AcceptedWatch
  readonly devices: readonly string[]
  /** Requests at one time; each has devices of its own, so that a device's messages are accepted in order. Default 2. */
  readonly lanes?: number
  /** Messages of a request. Default 50. */
  readonly batch?: number
  /** Messages of a request that go to one device, one behind the other. Default 1. */
  readonly run?: number
  /** What the payloads say as their time. Default: this process's `performance.now`. */
  readonly now?: () => number
  /** Messages a second, all lanes together. Default: as fast as they are accepted. */
  readonly rate?: number
  /** Bytes of a payload, at least. Default: a mark alone. */
  readonly payloadBytes?: number
  readonly ttl?: number
  /** Of each device, when another producer has given the numbers before. Default 1. */
  readonly firstNumber?: number
}

interface Item {
  readonly device: string
  readonly dedupId: string
  readonly payload: string
  readonly ttl?: number
}

interface Outgoing {
  readonly item: Item
  readonly number: number
}

interface Accepted {
  readonly seq: number
  readonly epoch: string
}

function isAccepted(value: unknown): value is Accepted {
  return (
    typeof value === 'object' &&
    value !== null &&
    'seq' in value &&
    typeof value.seq === 'number' &&
    'epoch' in value &&
    typeof value.epoch === 'string'
  )
}

/** Of one producer: two with the same dedup ids would be one. */
let producers = 0

export class RoadProducer {
  readonly #options: ProducerOptions
  readonly #id = ++producers
  readonly #numbers = new Map<string, number>()
  #running: Promise<unknown> | null = null
  #stopping = false
  #abandoned = false
  #waiting: Array<() => void> = []
  accepted = 0
  /** Answers that named an earlier acceptance. */
  duplicates = 0
  /** Requests without an answer, and what they failed of. */
  readonly failures = new Map<string, number>()
  /** How long the slowest answer that was a refusal took, milliseconds. */
  slowestRefusal = 0

  constructor(options: ProducerOptions) {
    this.#options = options
  }

  start(): this {
    const { devices, lanes = 2, batch = 50, rate } = this.#options
    this.#stopping = false
    const paceMs = rate === undefined ? 0 : (1_000 * batch * lanes) / rate
    this.#running = Promise.all(
      Array.from({ length: lanes }, (_, lane) =>
        this.#lane(
          devices.filter((_device, i) => i % lanes === lane),
          paceMs,
        ),
      ),
    )
    return this
  }

  /** Resolves when everything that was begun is accepted. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
  }

  /** Gives up what is not accepted yet: for the end of a test that failed. */
  abandon(): void {
    this.#stopping = true
    this.#abandoned = true
  }

  /** Resolves in the moment in which the next answer with an acceptance has come. */
  nextAnswer(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Pushes `count` messages to each of its devices, in requests of at most `batch`; resolves when all are accepted. */
  async push(count: number): Promise<void> {
    const { devices, batch = 50 } = this.#options
    for (const device of devices) {
      for (let left = count; left > 0; left -= batch)
        await this.#deliver(Array.from({ length: Math.min(left, batch) }, () => this.#next(device)))
    }
  }

  async #lane(devices: readonly string[], paceMs: number): Promise<void> {
    const { batch = 50, run = 1 } = this.#options
    if (devices.length === 0) return
    let due = performance.now()
    let turn = 0
    while (!this.#stopping) {
      const messages: Outgoing[] = []
      while (messages.length < batch)
        messages.push(this.#next(devices[Math.floor(turn++ / run) % devices.length] ?? ''))
      await this.#deliver(messages)
      due += paceMs
      const early = due - performance.now()
      if (early > 0) await pause(early)
      else if (early < -1_000) due = performance.now() // what an outage took is not made good in a burst
    }
  }

  #next(device: string): Outgoing {
    const { payloadBytes, ttl, firstNumber = 1 } = this.#options
    const number = (this.#numbers.get(device) ?? firstNumber - 1) + 1
    this.#numbers.set(device, number)
    const item = {
      device,
      dedupId: `${this.#id}-${number}`,
      payload: writeMark(number, payloadBytes, this.#options.now?.()),
    }
    return { number, item: ttl === undefined ? item : { ...item, ttl } }
  }

  /** Resolves when all are accepted. */
  async #deliver(messages: readonly Outgoing[]): Promise<void> {
    for (let left = messages; left.length > 0 && !this.#abandoned;) {
      const results = await this.#request(left)
      if (results === null) await pause(20)
      else {
        const again = left.filter(({ item, number }, i) => {
          const result = results[i]
          if (!isAccepted(result)) return true
          this.accepted++
          if ('duplicate' in result && result.duplicate === true) this.duplicates++
          this.#options.ledger.accepted(item.device, number, { seq: result.seq, epoch: result.epoch })
          return false
        })
        if (again.length < left.length) for (const resolve of this.#waiting.splice(0)) resolve()
        if (again.length > 0) {
          this.#failed(JSON.stringify(results.find((result) => !isAccepted(result))))
          await pause(50)
        }
        left = again
      }
    }
  }

  /** The results, or null when there are none: then nobody knows what was stored. */
  async #request(messages: readonly Outgoing[]): Promise<readonly unknown[] | null> {
    const { url, apiKey } = this.#options
    const from = performance.now()
    try {
      const response = await fetch(`${url()}/v1/messages`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ messages: messages.map(({ item }) => item) }),
        signal: AbortSignal.timeout(5_000),
      })
      const body: unknown = await response.json()
      if (response.status === 200 && typeof body === 'object' && body !== null && 'results' in body) {
        if (Array.isArray(body.results)) return body.results
      }
      this.slowestRefusal = Math.max(this.slowestRefusal, performance.now() - from)
      this.#failed(`${response.status} ${JSON.stringify(body)}`)
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
      this.#failed(cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause))
    }
    return null
  }

  #failed(why: string): void {
    this.failures.set(why, (this.failures.get(why) ?? 0) + 1)
  }
}
