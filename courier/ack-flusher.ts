// Carries the acks of all couriers of a node to the store: one batch and one timer for all. At most one batch is under way;
// what comes meanwhile makes the next one. An ack is stored after the delay and one call of the store; where a call takes longer
// than the delay, after at most two.

import type { AckItem } from '../core/ports/mailbox.js'
import { backoffMs } from './backoff.js'
import type { HostedCourier } from './hosted-courier.js'
import type { NodeServices } from './node-services.js'

/** Acks of one call; a store may hold up everything else for as long as it works on one. */
const BATCH = 1_000
/** After so many failures, acks of a connection that has ended are given up: the device gets those messages again. */
const LATE_ATTEMPTS = 10

interface Waiter {
  readonly courier: HostedCourier
  resolve(): void
}

export class AckFlusher {
  private readonly services: () => NodeServices
  private readonly delayMs: number
  private list: HostedCourier[] = []
  private timer: NodeJS.Timeout | undefined = undefined
  private immediate: NodeJS.Immediate | undefined = undefined
  private running = false
  private hurry = false
  private failures = 0
  private waiters: Waiter[] = []
  /** Since when something waits for the batch under way to end; null: nothing does. */
  private waitingSince: number | null = null

  /** `delayMs`: how long an ack may wait for company. */
  constructor(services: () => NodeServices, delayMs: number) {
    this.services = services
    this.delayMs = delayMs
  }

  /** The courier has something for the store. Takes no promise and no timer of its own. */
  want(courier: HostedCourier, urgent: boolean): void {
    if (!courier.inFlush) {
      courier.inFlush = true
      this.list.push(courier)
    }
    if (this.running) {
      this.hurry ||= urgent
      this.waitingSince ??= this.services().clock.monotonic()
    } else if (this.failures === 0) this.arm(urgent ? 0 : this.delayMs)
    else this.arm(backoffMs(this.failures, this.services().random))
  }

  /** The store answers other questions again: what it did not take is tried now, and not when the wait is over. */
  retry(): void {
    if (this.failures === 0 || this.running || this.list.length === 0) return
    clearTimeout(this.timer)
    this.timer = undefined
    this.arm(0)
  }

  /**
   * Resolves when the store has everything that the courier knows, or could not take it. In the second case it is tried
   * again later; whoever claims the device meanwhile may repeat messages, never lose one.
   */
  settle(courier: HostedCourier): Promise<void> {
    if (!courier.machine.unsettled && !courier.machine.wireUntold) return Promise.resolve()
    return new Promise((resolve) => {
      this.waiters.push({ courier, resolve })
      this.want(courier, true)
    })
  }

  stop(): void {
    clearTimeout(this.timer)
    clearImmediate(this.immediate)
  }

  private arm(ms: number): void {
    if (ms === 0) {
      this.immediate ??= setImmediate(() => void this.run())
    } else {
      this.timer ??= setTimeout(() => void this.run(), ms)
    }
  }

  private async run(): Promise<void> {
    clearTimeout(this.timer)
    clearImmediate(this.immediate)
    this.timer = this.immediate = undefined
    if (this.running) return
    this.running = true
    this.hurry = false
    this.waitingSince = null
    for (let left = this.list.length; left > 0; left -= BATCH) {
      if (!(await this.flush(this.list.splice(0, BATCH)))) break
    }
    this.running = false
    this.answerWaiters()
    if (this.list.length === 0) return
    if (this.failures > 0) this.arm(backoffMs(this.failures, this.services().random))
    else this.arm(this.hurry ? 0 : this.delayLeft())
  }

  /** What has waited for the store already need not wait for as much again. */
  private delayLeft(): number {
    const waited = this.waitingSince === null ? 0 : this.services().clock.monotonic() - this.waitingSince
    return Math.max(0, this.delayMs - waited)
  }

  /** False: the store did not take it. */
  private async flush(couriers: readonly HostedCourier[]): Promise<boolean> {
    const { mailbox, counters, clock, contact, log } = this.services()
    const asked: HostedCourier[] = []
    const items: AckItem[] = []
    for (const courier of couriers) {
      courier.inFlush = false
      const item = courier.machine.takeFlush()
      if (item === null) continue
      asked.push(courier)
      const { position, sent, received } = item
      items.push({
        device: courier.device,
        position,
        ...(sent === null ? {} : { sent }),
        ...(received === null ? {} : { received }),
      })
    }
    if (items.length === 0) return true
    const askedAt = clock.monotonic()
    try {
      const results = await mailbox.ack(items)
      this.failures = 0
      counters.flushes++
      asked.forEach((courier, i) => {
        if (results[i]?.counted === false) counters.acksOfUnknownEpochs++
        courier.machine.flushDone()
      })
      contact.answered(askedAt)
      return true
    } catch (error) {
      this.failures++
      counters.flushErrors++
      log.warn({ err: error, items: items.length }, 'acks could not be stored; they are tried again')
      for (const courier of asked) this.failed(courier)
      return false
    }
  }

  private failed(courier: HostedCourier): void {
    if (courier.isClosed && ++courier.lateFailures > LATE_ATTEMPTS) this.services().counters.acksDropped++
    else courier.machine.flushFailed()
  }

  private answerWaiters(): void {
    const failing = this.failures > 0
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) {
      if (failing || !waiter.courier.machine.unsettled) waiter.resolve()
      else this.waiters.push(waiter)
    }
  }
}
