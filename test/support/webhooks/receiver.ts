// A receiver of webhooks, as a backend would write one: real HTTP, signatures verified by the library of Standard Webhooks.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { LocalListener } from '../local-listener.js'
import { Webhook } from 'standardwebhooks'
import { until } from '../road/wait.js'

export interface Received {
  readonly id: string
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

/** What it does with an attempt: a status, after so many milliseconds. */
export interface Behaviour {
  readonly status: number
  readonly delayMs?: number
  readonly headers?: Readonly<Record<string, string>>
}

export class Receiver {
  /** What was taken (answered with 2xx), in order; the same event may be there twice. */
  readonly taken: Received[] = []
  /** Why attempts were not believed. */
  readonly refusals: string[] = []
  attempts = 0
  /** Requests that are being answered at this moment, and the most there ever were. */
  underWay = 0
  mostUnderWay = 0
  secrets: string[] = []
  behave: (attempt: number, event: Received) => Behaviour = () => ({ status: 204 })
  readonly #listener = new LocalListener((request, response) => void this.#answer(request, response))

  static async start(t: Test): Promise<Receiver> {
    const receiver = new Receiver()
    await receiver.up()
    t.teardown(() => receiver.down())
    return receiver
  }

  get url(): string {
    return `${this.#listener.origin}/hook?tenant=1`
  }

  /** Listens, on the port that it had. */
  up(): Promise<void> {
    return this.#listener.up()
  }

  /** Nobody listens, and connections are cut. */
  down(): Promise<void> {
    return this.#listener.down()
  }

  /** The first time that each event was taken, in order. */
  get events(): readonly Received[] {
    return [...new Map(this.taken.toReversed().map((event) => [event.id, event])).values()].toReversed()
  }

  /** Until so many different events of the type were taken. */
  untilTaken(type: string, count: number): Promise<void> {
    const taken = (): number => this.events.filter((event) => event.type === type).length
    return until(
      `${count} events ${type}`,
      () => taken() >= count,
      120_000,
      () => `${taken()} were taken, ${this.attempts} attempts`,
    )
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    response.on('close', () => this.underWay--)
    let body = ''
    request.setEncoding('utf8')
    for await (const chunk of request) body += String(chunk)
    const event = this.#verified(request, body)
    if (event === null) {
      response.writeHead(401).end()
      return
    }
    const { status, delayMs = 0, headers = {} } = this.behave(++this.attempts, event)
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
    // Whoever is cut off does not know whether it was taken: such an event is sent again.
    if (status < 300 && !response.destroyed) this.taken.push(event)
    response.writeHead(status, headers).end()
  }

  #verified(request: IncomingMessage, body: string): Received | null {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([key, value]) => [key, String(value)]))
    const faults: string[] = []
    for (const secret of this.secrets) {
      try {
        const value: unknown = new Webhook(secret).verify(body, headers)
        const fields = new Map(Object.entries(typeof value === 'object' && value !== null ? value : {}))
        const data: unknown = fields.get('data')
        return {
          id: headers['webhook-id'] ?? '',
          type: String(fields.get('type')),
          data: typeof data === 'object' && data !== null ? Object.fromEntries(Object.entries(data)) : {},
        }
      } catch (error) {
        faults.push(String(error))
      }
    }
    this.refusals.push(faults.join(', '))
    return null
  }
}
