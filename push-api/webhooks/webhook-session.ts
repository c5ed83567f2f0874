// Sending for one webhook, for as long as this node has its lease: reads the logs ahead, sends, writes down how far it has got.
// It begins no request that it could not end before another node may have the lease, by its own clock: a node that was frozen
// sends nothing more before it has asked again.

import type { Clock } from '../../core/clock.js'
import type { Logger } from '../../core/log.js'
import type { EventLog } from '../../core/ports/event-log.js'
import type { Uplink } from '../../core/ports/uplink.js'
import type { Lease, ProgressChange, Webhook, WebhookStore } from '../../core/ports/webhook-store.js'
import type { SecretBox } from '../../core/security/secret-box.js'
import { parseWebhookSecret, signWebhook } from '../../core/security/webhook-signature.js'
import { backoffMs } from './backoff.js'
import type { WebhookCounters } from './counters.js'
import { type Delivery, DeliveryQueue } from './delivery-queue.js'
import { deliveryOfEvent, deliveryOfUplink, type LogName, LOGS } from './event-body.js'
import type { WebhookLimits } from './limits.js'
import type { Poster } from './post.js'
import type { ReceiverHealth } from './receiver-health.js'
import type { Slots } from './slots.js'

/** What all webhooks of a node share. */
export interface SenderParts {
  readonly store: WebhookStore
  readonly events: Pick<EventLog, 'read' | 'end'>
  readonly uplink: Pick<Uplink, 'read' | 'end'>
  readonly poster: Pick<Poster, 'post'>
  readonly box: SecretBox
  readonly slots: Slots
  readonly node: string
  readonly limits: WebhookLimits
  readonly counters: WebhookCounters
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
}

const NO_CHANGE: ProgressChange = { cursors: new Map(), park: [], unpark: [] }
const PAGE = 200
const PAGE_BYTES = 1024 * 1024
/** The part of a lease's time that its holder uses: clocks run differently, and an answer takes its time. */
const LEASE_USED = 0.8
/** How long requests under way may take when the session ends in good order. Milliseconds. */
const LEAVE_MS = 2_000

/** The logs that a webhook's events come from. */
export function logsOf({ events }: Pick<Webhook, 'events'>): readonly LogName[] {
  return LOGS.filter((log) => (log === 'uplink' ? events.includes('uplink') : events.some((type) => type !== 'uplink')))
}

export class WebhookSession {
  readonly #parts: SenderParts
  readonly #webhook: Webhook
  readonly #health: ReceiverHealth
  readonly #token: number
  readonly #queue: DeliveryQueue
  readonly #cursors: Map<string, string>
  readonly #behind = new Map<LogName, number>()
  readonly #secrets: ReadonlyArray<{ readonly bytes: Uint8Array; readonly until: number | null }>
  readonly #abort = new AbortController()
  /** By the monotonic clock. */
  #leaseUntil: number
  #keptAt: number
  #storedAt = -Infinity
  #onTheWay = 0
  #leaving = false
  #wake: () => void = () => undefined

  /** `askedAt`: the monotonic time before the lease was asked for. */
  constructor(parts: SenderParts, webhook: Webhook, health: ReceiverHealth, lease: Lease, askedAt: number) {
    this.#parts = parts
    this.#webhook = webhook
    this.#health = health
    this.#token = lease.token
    this.#queue = new DeliveryQueue(parts.limits, lease.progress)
    this.#cursors = new Map(lease.progress.cursors)
    this.#leaseUntil = askedAt + parts.limits.leaseMs * LEASE_USED
    this.#keptAt = askedAt
    this.#secrets = webhook.secrets.flatMap((kept) => {
      const text = parts.box.open(kept, webhook.id)
      const bytes = text === null ? null : parseWebhookSecret(text)
      return bytes === null ? [] : [{ bytes, until: kept.until }]
    })
  }

  /** When the oldest event happened that was read and is not sent; null: all are. */
  get oldestAt(): number | null {
    return this.#queue.oldestAt
  }

  /** Events that are not sent: read and not read. */
  get behind(): number {
    let sum = this.#queue.waiting
    for (const count of this.#behind.values()) sum += count
    return sum
  }

  /** Begins nothing more; `run` ends soon. */
  leave(): void {
    this.#leaving = true
    this.#wake()
  }

  /** Until `leave`, or until the lease is lost: false. Never rejects. */
  async run(): Promise<boolean> {
    const { clock, counters, limits, log } = this.#parts
    if (!this.#maySign()) {
      counters.secretsUnreadable++
      log.error({ webhook: this.#webhook.id }, 'webhook_secret_unreadable')
    }
    let leaveBy = Infinity
    let readAt = -Infinity
    let more = false
    for (;;) {
      if (this.#leaving && leaveBy === Infinity) leaveBy = clock.monotonic() + LEAVE_MS
      if (this.#leaving && (this.#onTheWay === 0 || clock.monotonic() >= leaveBy)) break
      try {
        if (!(await this.#keep(false))) return this.#lost()
        const now = clock.monotonic()
        // Not for every request that ends.
        if (!this.#leaving && (more || now - readAt >= limits.pollMs / 4)) {
          readAt = now
          more = await this.#readAhead()
        }
      } catch (error) {
        counters.storeErrors++
        log.debug({ err: error, webhook: this.#webhook.id }, 'webhook_store_failed')
      }
      if (clock.monotonic() >= this.#leaseUntil) return this.#lost()
      this.#pump()
      await this.#rest(more ? 0 : limits.pollMs)
    }
    this.#abort.abort()
    try {
      await this.#keep(true)
      await this.#parts.store.release(this.#webhook.id, this.#token)
    } catch (error) {
      counters.storeErrors++
      log.debug({ err: error, webhook: this.#webhook.id }, 'webhook_store_failed')
    }
    return true
  }

  #lost(): false {
    this.#leaving = true
    this.#abort.abort()
    this.#parts.counters.leasesLost++
    this.#parts.log.warn({ webhook: this.#webhook.id }, 'webhook_lease_lost')
    return false
  }

  /** Writes down how far it has got, and keeps the lease, when it is time for either. False: the lease is another's. */
  async #keep(now: boolean): Promise<boolean> {
    const { store, clock, limits } = this.#parts
    const at = clock.monotonic()
    const mayStore = now || at - this.#storedAt >= limits.commitMs
    const pending = mayStore ? this.#queue.changes() : null
    if (pending === null && at - this.#keptAt < limits.leaseMs / 3) return true
    const held = await store.commit(this.#webhook.id, this.#token, pending?.change ?? NO_CHANGE, limits.leaseMs)
    if (!held) return false
    this.#leaseUntil = at + limits.leaseMs * LEASE_USED
    this.#keptAt = at
    if (pending !== null) {
      this.#storedAt = at
      this.#queue.stored(pending)
    }
    return true
  }

  /** Reads a page of each log that has room. True: there is more. */
  async #readAhead(): Promise<boolean> {
    let more = false
    for (const log of logsOf(this.#webhook)) {
      const limit = Math.min(PAGE, this.#queue.room(log))
      if (limit <= 0 || this.#queue.parkedCount >= this.#parts.limits.parkedMax) continue
      const after = this.#cursors.get(log) ?? null
      const full = log === 'events' ? await this.#readEvents(after, limit) : await this.#readUplink(after, limit)
      more ||= full && this.#queue.room(log) > 0
    }
    return more
  }

  async #readEvents(after: string | null, limit: number): Promise<boolean> {
    const { events, counters } = this.#parts
    const page = await events.read({ after, limit })
    if (page === null) return this.#begin('events', await events.end())
    counters.dropped.log_full += page.missed
    for (const event of page.events) {
      this.#queue.add('events', event.id, this.#webhook.events.includes(event.type) ? deliveryOfEvent(event) : null)
    }
    if (page.next !== null && page.next !== after) {
      this.#cursors.set('events', page.next)
      // What was dropped is passed, too.
      if (page.events.length === 0) this.#queue.add('events', page.next, null)
    }
    this.#behind.set('events', page.behind)
    return page.behind > 0
  }

  async #readUplink(after: string | null, limit: number): Promise<boolean> {
    const { uplink } = this.#parts
    const page = await uplink.read({ after, limit, maxBytes: PAGE_BYTES })
    if (page === null) return this.#begin('uplink', await uplink.end())
    for (const item of page.uplinks) {
      this.#cursors.set('uplink', item.id)
      this.#queue.add('uplink', item.id, deliveryOfUplink(item))
    }
    return page.more
  }

  /** The cursor is of another kind of store: nobody knows what was sent. */
  #begin(log: LogName, end: string | null): false {
    this.#parts.log.warn({ webhook: this.#webhook.id, log }, 'webhook_cursor_unknown')
    if (end === null) this.#cursors.delete(log)
    else {
      this.#cursors.set(log, end)
      this.#queue.add(log, end, null)
    }
    return false
  }

  /** Starts as many requests as there may be. */
  #pump(): void {
    const { clock, limits, slots, counters } = this.#parts
    for (;;) {
      const now = clock.monotonic()
      if (this.#leaving || now >= this.#leaseUntil || !this.#maySign()) return
      if (this.#onTheWay >= this.#health.allowed(now, limits.concurrency) || !slots.take()) return
      const delivery = this.#queue.next(now)
      if (delivery === null) {
        slots.release()
        return
      }
      if (clock.now() - delivery.at > limits.giveUpMs) {
        counters.dropped.too_old++
        this.#queue.finished(delivery)
        slots.release()
        continue
      }
      this.#onTheWay++
      void this.#attempt(delivery).finally(() => {
        this.#onTheWay--
        slots.release()
        this.#pump()
        this.#wake()
      })
    }
  }

  async #attempt(delivery: Delivery): Promise<void> {
    const { poster, clock, counters, limits, random, log } = this.#parts
    const { id, url } = this.#webhook
    const { messageId, body } = delivery
    const at = clock.now()
    const headers = signWebhook(this.#signing(at), { id: messageId, at, body })
    const outcome = await poster.post({ url, headers, body, signal: this.#abort.signal })
    const now = clock.monotonic()
    if (outcome.ok) {
      counters.sent++
      this.#health.succeeded()
      this.#queue.finished(delivery)
      return
    }
    if (this.#abort.signal.aborted) return
    const { reason, down, waitMs } = outcome
    counters.failed[reason]++
    log.debug({ webhook: id, event: messageId, reason }, 'webhook_attempt_failed')
    let paused: boolean
    if (down) {
      this.#queue.returned(delivery)
      paused = this.#health.down(now, waitMs)
    } else {
      const wait = Math.max(waitMs, backoffMs(this.#queue.failuresOf(delivery), limits.retry, random))
      counters.parked += this.#queue.failed(delivery, now + wait)
      paused = this.#health.refused(now)
    }
    if (!paused) return
    counters.pauses++
    log.warn({ webhook: id, reason }, 'webhook_paused')
  }

  #signing(now: number): readonly Uint8Array[] {
    return this.#secrets.flatMap(({ bytes, until }) => (until === null || until > now ? [bytes] : []))
  }

  #maySign(): boolean {
    return this.#secrets.length > 0
  }

  /** Until something happens, or for so long. */
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
