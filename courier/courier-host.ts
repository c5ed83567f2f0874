// The couriers of one node: who is connected, who is coming and who is leaving; what the bus brings; what is periodic.

import type { LiveNodes } from '../core/live-nodes.js'
import type { Bus, BusHandler, Kick, Notice } from '../core/ports/bus.js'
import { PostriderError } from '../core/errors.js'
import { atMost } from './backoff.js'
import { ConnectionGone, type Courier, type CourierHost, type OpenRequest } from './courier-api.js'
import { HostedCourier } from './hosted-courier.js'
import type { NodeServices } from './node-services.js'
import { takeDevice } from './take-device.js'

export interface CourierHostParts {
  readonly services: NodeServices
  readonly bus: Bus
  readonly nodes: LiveNodes
  readonly newClaimId: () => string
  readonly kickTimeoutMs: number
  readonly tickMs: number
  readonly pingMs: number
  readonly stopTimeoutMs: number
  /** Couriers by device: the host's own map, which the sweeper walks too. */
  readonly couriers: Map<string, HostedCourier>
  /** Couriers by claim that are opening or leaving: kicks and notices may name them. */
  readonly aside: Map<string, HostedCourier>
}

export class NodeCourierHost implements CourierHost, BusHandler {
  private readonly parts: CourierHostParts
  private readonly opening = new Map<string, Promise<void>>()
  private ticker: NodeJS.Timeout | undefined = undefined
  private tickedAt = 0
  /** Milliseconds during which this process ran: a frozen one must not blame its devices for the time. */
  private awake = 0
  private pinging = false
  private pingedAt = 0
  private stopping: Promise<void> | undefined = undefined

  constructor(parts: CourierHostParts) {
    this.parts = parts
  }

  get size(): number {
    return this.parts.couriers.size
  }

  async start(): Promise<void> {
    const { bus, services, tickMs } = this.parts
    await bus.join(services.node, this)
    services.sweeper.start()
    this.tickedAt = services.clock.monotonic()
    this.ticker = setInterval(() => this.tick(), tickMs)
  }

  // ----- connections ---------------------------------------------------------------------------------------------------

  open(request: OpenRequest): Promise<Courier> {
    const { device } = request
    const opened = this.openAfter(this.opening.get(device), request)
    const done = opened.then(
      () => {},
      () => {}, // the caller of `open` gets the error
    )
    this.opening.set(device, done)
    void done.then(() => {
      if (this.opening.get(device) === done) this.opening.delete(device)
    })
    return opened
  }

  private async openAfter(earlier: Promise<void> | undefined, request: OpenRequest): Promise<Courier> {
    const { services, bus, nodes, newClaimId, kickTimeoutMs, couriers, aside } = this.parts
    await earlier
    if (this.stopping !== undefined)
      throw new PostriderError('overloaded', 'this node is shutting down; try another one')
    if (!request.isAlive()) throw new ConnectionGone()
    const { device, transport } = request
    const claimId = newClaimId()
    const courier = new HostedCourier(device, claimId, transport, services)
    aside.set(claimId, courier) // before the claim is stored: from then on notices and kicks may come for it
    try {
      const granted = await takeDevice({ services, bus, nodes, request, claimId, kickTimeoutMs })
      if (!request.isAlive() || courier.isClosed || this.isStopping) throw new ConnectionGone()
      aside.delete(claimId)
      // Its kick was lost: the claim that is stored now is proof enough.
      couriers.get(device)?.machine.close('taken_over')
      couriers.set(device, courier)
      services.counters.claims++
      courier.claimed(granted)
      return courier
    } catch (error) {
      // The claim may be stored: end it as a connection that has been one. Nobody waits for that.
      void courier.ended()
      throw error
    }
  }

  private get isStopping(): boolean {
    return this.stopping !== undefined
  }

  stop(): Promise<void> {
    this.stopping ??= this.drain()
    return this.stopping
  }

  private async drain(): Promise<void> {
    const { services, bus, couriers, aside, stopTimeoutMs } = this.parts
    await atMost(this.closeAll(), stopTimeoutMs)
    if (couriers.size + aside.size > 0) {
      const devices = couriers.size + aside.size
      services.log.warn(
        { devices },
        'the store did not take the last acks of these devices: they may get messages again',
      )
    }
    clearInterval(this.ticker)
    services.sweeper.stop()
    services.reads.stop()
    services.flusher.stop()
    await bus.leave(services.node)
  }

  private async closeAll(): Promise<void> {
    const { couriers, aside } = this.parts
    await Promise.all(this.opening.values())
    const closing = [...couriers.values()].map((courier) => courier.close('draining'))
    await Promise.all([...closing, ...[...aside.values()].map((courier) => courier.over)])
  }

  // ----- the bus -------------------------------------------------------------------------------------------------------

  onNotices(notices: readonly Notice[]): void {
    const { services, couriers, aside } = this.parts
    services.contact.check()
    for (const notice of notices) {
      const courier = couriers.get(notice.device)
      if (courier !== undefined && courier.claimId === notice.claimId) courier.notice(notice)
      else if (aside.size > 0) aside.get(notice.claimId)?.notice(notice)
    }
  }

  async onKick(kick: Kick): Promise<void> {
    const { couriers, aside } = this.parts
    const current = couriers.get(kick.device)
    const courier = current?.claimId === kick.claimId ? current : aside.get(kick.claimId)
    if (courier === undefined || !courier.machine.kick(kick.claimId, kick.reason)) return
    await courier.over
  }

  onGap(): void {
    this.parts.services.sweeper.now()
  }

  // ----- time ----------------------------------------------------------------------------------------------------------

  private tick(): void {
    const { services, couriers, tickMs } = this.parts
    const now = services.clock.monotonic()
    this.awake += Math.round(Math.min(now - this.tickedAt, 2 * tickMs))
    this.tickedAt = now
    services.contact.check()
    for (const courier of couriers.values()) {
      courier.machine.tick(this.awake)
      if (courier.machine.wireUntold) services.flusher.want(courier, false)
    }
    if (!this.pinging && now - this.pingedAt >= this.parts.pingMs) void this.ping(now)
  }

  /** Shows that the store can be reached, also when no device has traffic. */
  private async ping(now: number): Promise<void> {
    const { services } = this.parts
    this.pinging = true
    this.pingedAt = now
    try {
      await services.mailbox.ping()
      services.contact.answered(now)
      services.flusher.retry()
    } catch (error) {
      services.counters.pingErrors++
      services.log.debug({ err: error }, 'the store does not answer')
    }
    this.pinging = false
  }
}
