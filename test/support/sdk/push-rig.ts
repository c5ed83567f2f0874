// The push queue of the SDK before a server that is a function, with a clock that is moved by hand.

import { PushQueue, type PushQueueSettings } from '../../../sdk/server/push-queue.js'
import { PushError } from '../../../sdk/server/push-error.js'
import type { PushItem } from '../../../sdk/server/push-item.js'
import type { PushResult } from '../../../sdk/server/push-result.js'
import type { HttpRequest } from '../../../sdk/server/http-call.js'
import { settle } from './handling-rig.js'
import { ManualClock } from './manual-clock.js'

export const QUEUE: PushQueueSettings = {
  count: 4,
  bytes: 10_000,
  delayMs: 2,
  concurrency: 2,
  retryForMs: 60_000,
  retryMinMs: 100,
  retryMaxMs: 10_000,
  retryInboxFull: false,
  maxQueued: 100,
  maxQueuedBytes: 100_000,
}

export interface SentItem {
  readonly device: string
  readonly dedupId: string
  readonly payload: unknown
}

/** A request that waits for its answer. */
export interface Sent {
  readonly items: readonly SentItem[]
  readonly answer: (body: unknown) => void
  readonly fail: (error: PushError) => void
}

export class PushRig {
  readonly clock = new ManualClock()
  readonly sent: Sent[] = []
  readonly queue: PushQueue
  #ids = 0

  constructor(settings: Partial<PushQueueSettings> = {}) {
    this.queue = new PushQueue(
      { ...QUEUE, ...settings },
      { clock: this.clock, random: () => 1, newId: () => `id-${++this.#ids}`, call: (request) => this.#call(request) },
    )
  }

  #call({ body = '' }: HttpRequest): Promise<unknown> {
    const { messages: items }: { readonly messages: readonly SentItem[] } = JSON.parse(body)
    return new Promise((resolve, reject) => {
      this.sent.push({ items, answer: resolve, fail: reject })
    })
  }

  push(device: string, payload: unknown = 'x', more: Partial<PushItem> = {}): Promise<PushResult> {
    const result = this.queue.push({ device, payload, ...more })
    result.catch(() => undefined)
    return result
  }

  /** A push whose result is of no interest. */
  send(device: string, payload: unknown = 'x'): void {
    void this.push(device, payload)
  }

  /** The payloads of the requests that were sent since the last call. */
  async requests(ms = 2): Promise<ReadonlyArray<readonly unknown[]>> {
    await settle()
    this.clock.advance(ms)
    await settle()
    return this.sent.splice(0).map(({ items }) => items.map(({ payload }) => payload))
  }

  /** The next request that waits for its answer. */
  async next(ms = 2): Promise<Sent> {
    await settle()
    this.clock.advance(ms)
    await settle()
    const sent = this.sent.shift()
    if (sent === undefined) throw new Error('nothing was sent')
    return sent
  }
}

/** An answer that accepts all. */
export const accepted = ({ items }: Sent): object => ({
  results: items.map(({ device, payload }) => ({ device, seq: Number(payload) || 1, epoch: 'e' })),
})

export const refusal = (code: string): object => ({ error: { code, message: code } })
