// The sweep: asks the store, for every connected device of the node, what its courier should know. It catches every lost
// notice and every lost kick. In bounded batches, spread over the interval, never two at a time.

import type { HeadResult } from '../core/ports/mailbox.js'
import type { Position } from '../core/model/message.js'
import type { HostedCourier } from './hosted-courier.js'
import type { NodeServices } from './node-services.js'

/** Devices of one question. */
const BATCH = 500
/** Every device is asked for about so often within an interval that the next question comes before the interval is over. */
const SPREAD = 0.75

export class Sweeper {
  private readonly services: () => NodeServices
  private readonly couriers: ReadonlyMap<string, HostedCourier>
  private readonly periodMs: number
  private round: Iterator<HostedCourier> | undefined = undefined
  private roundBegan = 0
  private stepMs = 0
  private timer: NodeJS.Timeout | undefined = undefined
  private failedAt = -Infinity
  private stepping = false
  private stopped = true
  /** Rounds to do without a pause. */
  private rush = 0

  constructor(services: () => NodeServices, couriers: ReadonlyMap<string, HostedCourier>, intervalMs: number) {
    this.services = services
    this.couriers = couriers
    this.periodMs = intervalMs * SPREAD
  }

  start(): void {
    this.stopped = false
    this.schedule(this.periodMs)
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  /** Notices may have been lost, or claims: asks for every device as soon as possible. */
  now(): void {
    if (this.stopped) return
    this.rush = this.round === undefined && !this.stepping ? 1 : 2 // what the present round has asked for was too early
    if (!this.stepping) this.schedule(0)
  }

  private schedule(ms: number): void {
    clearTimeout(this.timer)
    if (!this.stopped) this.timer = setTimeout(() => void this.step(), ms)
  }

  private async step(): Promise<void> {
    const { clock, counters } = this.services()
    this.stepping = true
    if (this.round === undefined) {
      this.round = this.couriers.values()
      this.roundBegan = clock.monotonic()
      this.stepMs = this.periodMs / Math.max(1, Math.ceil(this.couriers.size / BATCH))
    }
    const batch = this.nextBatch(this.round)
    if (batch.length > 0) await this.sweep(batch)
    this.stepping = false
    if (batch.length === BATCH) return this.schedule(this.rush > 0 ? 0 : this.stepMs)
    this.round = undefined
    counters.sweeps++
    if (this.failedAt < this.roundBegan) counters.waiting.roundDone()
    if (this.rush > 0) this.rush--
    this.schedule(this.rush > 0 ? 0 : Math.max(0, this.periodMs - (clock.monotonic() - this.roundBegan)))
  }

  private nextBatch(round: Iterator<HostedCourier>): HostedCourier[] {
    const batch: HostedCourier[] = []
    while (batch.length < BATCH) {
      const { done, value } = round.next()
      if (done === true) break
      batch.push(value)
    }
    return batch
  }

  /** Asks for these and tells them. Never rejects. */
  async sweep(batch: readonly HostedCourier[]): Promise<void> {
    const { mailbox, clock, contact, counters, log } = this.services()
    const items: Array<{ device: string; acked: Position | null }> = batch.map((courier) => ({
      device: courier.device,
      acked: courier.machine.sweepAsked(),
    }))
    const askedAt = clock.monotonic()
    const lossesBefore = contact.losses
    let seen: ReadonlyArray<HeadResult | null>
    try {
      seen = await mailbox.heads(items)
    } catch (error) {
      counters.sweepErrors++
      this.failedAt = clock.monotonic()
      counters.waiting.failed(this.failedAt)
      log.warn({ err: error, devices: items.length }, 'the sweep could not ask the store; the next one will')
      return
    }
    contact.answered(askedAt)
    contact.check()
    const confirms = contact.losses === lossesBefore
    const now = clock.now()
    batch.forEach((courier, i) => {
      const { pending = 0, oldestPendingAt = null } = seen[i] ?? {}
      if (oldestPendingAt !== null && courier.machine.subscribed) {
        counters.waiting.saw(Math.max(0, now - oldestPendingAt), pending)
      }
      const found = courier.machine.swept(seen[i] ?? null, confirms)
      if (found === 'resync') {
        log.warn({ device: courier.device }, 'messages pend that an idle courier does not have; closed to resync')
      }
    })
  }
}
