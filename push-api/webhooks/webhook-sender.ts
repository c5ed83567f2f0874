// All webhooks on one node: a runner for each that is enabled, made and ended as the stored ones change.

import type { Webhook } from '../../core/ports/webhook-store.js'
import type { SenderParts } from './webhook-session.js'
import { WebhookRunner } from './webhook-runner.js'

/** What this node sends now: for metrics. */
export interface WebhookLag {
  /** Age of the oldest event that is read and not sent. Seconds; 0: there is none. */
  readonly oldestSeconds: number
  /** Events that are not sent. */
  readonly behind: number
  /** Webhooks that this node sends for. */
  readonly held: number
}

export class WebhookSender {
  readonly #parts: SenderParts
  readonly #runners = new Map<string, WebhookRunner>()
  #timer: NodeJS.Timeout | null = null
  #refreshing: Promise<void> | null = null
  #again = false
  #stopped = false

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = setInterval(() => this.refresh(), this.#parts.limits.refreshMs)
    this.refresh()
  }

  /** Looks at the stored webhooks: soon, and at once when a change of this node asks for it. */
  refresh(): void {
    if (this.#stopped) return
    if (this.#refreshing !== null) {
      this.#again = true
      return
    }
    this.#refreshing = this.#refresh().finally(() => {
      this.#refreshing = null
      if (!this.#again) return
      this.#again = false
      this.refresh()
    })
  }

  get lag(): WebhookLag {
    let oldest: number | null = null
    let behind = 0
    let held = 0
    for (const { session } of this.#runners.values()) {
      if (session === null) continue
      held++
      behind += session.behind
      const at = session.oldestAt
      if (at !== null && (oldest === null || at < oldest)) oldest = at
    }
    const oldestSeconds = oldest === null ? 0 : Math.max(0, (this.#parts.clock.now() - oldest) / 1000)
    return { oldestSeconds, behind, held }
  }

  /** Ends what is under way within a few seconds, and gives the leases back. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#refreshing
    await Promise.all(Array.from(this.#runners.values(), (runner) => runner.stop()))
    this.#runners.clear()
  }

  async #refresh(): Promise<void> {
    const { store, counters, log } = this.#parts
    let webhooks: readonly Webhook[]
    try {
      webhooks = await store.list()
    } catch (error) {
      counters.storeErrors++
      log.debug({ err: error }, 'webhook_store_failed')
      return
    }
    if (this.#stopped) return
    const enabled = new Map(webhooks.filter((webhook) => webhook.enabled).map((webhook) => [webhook.id, webhook]))
    const ended = [...this.#runners].filter(([id]) => !enabled.has(id))
    for (const [id] of ended) this.#runners.delete(id)
    for (const [id, webhook] of enabled) {
      const runner = this.#runners.get(id)
      if (runner === undefined) this.#runners.set(id, new WebhookRunner(this.#parts, webhook))
      else runner.update(webhook)
    }
    await Promise.all(ended.map(([, runner]) => runner.stop()))
    await this.#resealAll(webhooks)
  }

  /** After a rotation of the token secret: the old one may go once no webhook needs it. */
  async #resealAll(webhooks: readonly Webhook[]): Promise<void> {
    const { store, box, clock, counters, log } = this.#parts
    for (const webhook of webhooks) {
      if (webhook.secrets.every((kept) => box.isFresh(kept))) continue
      const secrets = webhook.secrets.map((kept) => {
        const text = box.open(kept, webhook.id)
        return text === null ? kept : { ...box.seal(text, webhook.id), until: kept.until }
      })
      if (!secrets.some((kept, i) => kept.sealedBy !== webhook.secrets[i]?.sealedBy)) continue
      try {
        const updatedAt = Math.max(clock.now(), webhook.updatedAt + 1)
        await store.put({ ...webhook, secrets, updatedAt }, webhook, new Map())
      } catch (error) {
        counters.storeErrors++
        log.debug({ err: error, webhook: webhook.id }, 'webhook_store_failed')
      }
    }
  }
}
