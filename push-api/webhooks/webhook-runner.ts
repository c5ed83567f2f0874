// One webhook on one node: asks for its lease, sends while it has it, and asks again when it has not.

import type { Webhook } from '../../core/ports/webhook-store.js'
import { ReceiverHealth } from './receiver-health.js'
import { type SenderParts, WebhookSession } from './webhook-session.js'

export class WebhookRunner {
  readonly #parts: SenderParts
  readonly #health: ReceiverHealth
  #webhook: Webhook
  #session: WebhookSession | null = null
  #stopped = false
  #wake: () => void = () => undefined
  readonly #done: Promise<void>

  constructor(parts: SenderParts, webhook: Webhook) {
    this.#parts = parts
    this.#webhook = webhook
    this.#health = new ReceiverHealth(parts.limits, parts.random)
    this.#done = this.#run()
  }

  /** Null: this node has not the lease. */
  get session(): WebhookSession | null {
    return this.#session
  }

  /** As it is stored now. What changed counts from the next lease on, which is asked for at once. */
  update(webhook: Webhook): void {
    if (webhook.updatedAt === this.#webhook.updatedAt) return
    this.#webhook = webhook
    // Another address may be up.
    this.#health.succeeded()
    this.#session?.leave()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#session?.leave()
    this.#wake()
    await this.#done
  }

  async #run(): Promise<void> {
    const { store, node, limits, clock, counters, log } = this.#parts
    while (!this.#stopped) {
      const webhook = this.#webhook
      let inGoodOrder = false
      try {
        const askedAt = clock.monotonic()
        const lease = await store.acquire(webhook.id, node, limits.leaseMs)
        if (lease !== null) {
          counters.leases++
          this.#session = new WebhookSession(this.#parts, webhook, this.#health, lease, askedAt)
          if (this.#stopped || webhook !== this.#webhook) this.#session.leave()
          inGoodOrder = await this.#session.run()
        }
      } catch (error) {
        counters.storeErrors++
        log.debug({ err: error, webhook: webhook.id }, 'webhook_store_failed')
      } finally {
        this.#session = null
      }
      if (!inGoodOrder && !this.#stopped) await this.#rest(limits.refreshMs)
    }
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
