// One connected device: the machine, and what carries out its effects. Holds no timer and no closure; everything periodic is
// the node's.

import { type ClaimGranted } from '../core/ports/mailbox.js'
import type { Notice } from '../core/ports/bus.js'
import type { Position, StoredMessage } from '../core/model/message.js'
import type { CloseCode } from '../protocol/codes.js'
import type { GapReason, WirePosition } from '../protocol/frames/frame-types.js'
import { inboxLog } from '../protocol/log-names.js'
import type { Histogram } from '../core/metrics/histogram.js'
import { atMost, backoffMs, pause } from './backoff.js'
import { TOO_EARLY, type Courier, type CourierHello } from './courier-api.js'
import { traceparentOf } from '../core/model/trace-context.js'
import { DeliverySpans } from './delivery-spans.js'
import type { DeviceTransport } from './device-transport.js'
import { CourierMachine } from './machine.js'
import type { DeviceThen } from './courier-counters.js'
import type { CourierEffects } from './machine-types.js'
import type { NodeServices } from './node-services.js'

const RELEASE_ATTEMPTS = 5

/** Stands in for the transport of a connection that is over, so that nothing of the socket is kept. */
const GONE: DeviceTransport = {
  sendMessage() {},
  sendWelcome() {},
  sendReset() {},
  sendGap() {},
  bufferedBytes: () => 0,
  close() {},
}

export class HostedCourier implements Courier, CourierEffects {
  readonly device: string
  readonly claimId: string
  readonly machine: CourierMachine
  keptSubscription: string | null = null
  /** In the flusher's list. */
  inFlush = false
  /** Flushes that failed after the connection had ended. */
  lateFailures = 0

  private readonly node: NodeServices
  /** Wall clock, milliseconds: since when messages could be sent; Infinity: they cannot. */
  private servedSince = Infinity
  /** The inbox's name in frames; a plain device has no use for it. */
  private log = ''
  private transport: DeviceTransport
  private farewell: Promise<void> | undefined = undefined
  /** Of the traced messages in flight; null: there was none yet. */
  private spans: DeliverySpans | null = null

  constructor(device: string, claimId: string, transport: DeviceTransport, node: NodeServices) {
    this.device = device
    this.claimId = claimId
    this.node = node
    this.transport = transport
    this.machine = new CourierMachine(claimId, Math.floor(node.random() * 0x8000), node.machine, this)
  }

  // ----- what the broker calls (courier-api.ts) ------------------------------------------------------------------------

  begin(mode: 'plain' | 'stream'): void {
    this.node.contact.check()
    if (mode === 'plain') this.servedSince = Math.min(this.servedSince, this.node.clock.now())
    this.machine.begin(mode)
  }

  hello({ cursors, window }: CourierHello): boolean {
    this.log = inboxLog(this.device)
    const place = cursors.get(this.log)
    return this.machine.hello(place === undefined ? null : { epoch: place[0], seq: place[1] }, window)
  }

  pause(): void {
    this.servedSince = Infinity
    this.machine.pause()
  }

  async keepSubscription(filter: string | null): Promise<void> {
    const askedAt = this.node.clock.monotonic()
    const kept = await this.node.mailbox.keepSubscription(this.device, this.claimId, filter)
    this.node.contact.answered(askedAt)
    if (kept) return
    // The claim is gone; the sweep finds out why, and closes.
    this.node.counters.staleClaimsRefused++
    await this.node.sweeper.sweep([this])
  }

  acked(packetId: number): boolean {
    if (this.machine.pageWaits) this.node.contact.check()
    return this.machine.acked(packetId)
  }

  ackedUpTo(log: string, [epoch, seq]: WirePosition): number {
    if (this.log === '') return TOO_EARLY
    if (log !== this.log) {
      this.node.counters.acksOfUnknownLogs++
      return 0
    }
    if (this.machine.pageWaits) this.node.contact.check()
    return this.machine.ackedUpTo({ epoch, seq })
  }

  received(log: string, epoch: string, seq: number): void {
    if (log === this.log) this.machine.received(epoch, seq)
  }

  drained(): void {
    this.node.contact.check()
    this.machine.drained()
  }

  heard(): void {
    this.machine.heard()
  }

  letGo(): void {
    this.machine.letGo()
  }

  get rests(): boolean {
    return this.machine.rests
  }

  close(code: CloseCode): Promise<void> {
    this.machine.close(code)
    return this.over
  }

  ended(): Promise<void> {
    this.machine.close(null)
    return this.over
  }

  // ----- what the node calls -------------------------------------------------------------------------------------------

  claimed(granted: ClaimGranted): void {
    this.keptSubscription = granted.subscription
    this.machine.claimed(granted)
  }

  notice(notice: Notice): void {
    this.machine.notice(notice.epoch, notice.claimId, notice.message)
  }

  /** Resolves when a closed courier has flushed and released. */
  get over(): Promise<void> {
    return this.farewell ?? Promise.resolve()
  }

  get isClosed(): boolean {
    return this.machine.state === 'closed'
  }

  // ----- effects of the machine ----------------------------------------------------------------------------------------

  sendMessage(epoch: string, message: StoredMessage, packetId: number, redelivered: boolean, prev: number): void {
    this.transport.sendMessage(this.log, epoch, message, packetId, redelivered, prev)
    const { measures, counters, tracer } = this.node
    if (measures && !redelivered) this.measure(counters.acceptToSent, message.at)
    if (tracer === null || message.attributes === null) return
    const traceparent = traceparentOf(message.attributes)
    if (traceparent === null) return
    this.spans ??= new DeliverySpans(tracer, this.device)
    this.spans.sent(traceparent, { epoch, seq: message.seq, redelivered })
  }

  handled(at: number, seq: number): void {
    const { measures, counters } = this.node
    if (measures) this.measure(counters.acceptToHandled, at)
    if (this.spans !== null) this.spans.handled(seq)
  }

  /** Two clocks: the store's, and this node's. */
  private measure(seconds: Readonly<Record<DeviceThen, Histogram>>, at: number): void {
    const took = Math.max(0, this.node.clock.now() - at) / 1000
    seconds[at >= this.servedSince ? 'connected' : 'away'].observe(took)
  }

  sendWelcome(position: Position, head: number): void {
    const { node, claimId } = this
    this.servedSince = node.clock.now()
    const logs = new Map([[this.log, { position, head }]])
    this.transport.sendWelcome({ time: node.clock.now(), node: node.node, session: claimId, logs })
  }

  sendReset(position: Position, head: number): void {
    this.transport.sendReset(this.log, { position, head })
  }

  sendGap(epoch: string, from: number, to: number, reason: GapReason): void {
    this.transport.sendGap(this.log, epoch, from, to, reason)
  }

  bufferedBytes(): number {
    return this.transport.bufferedBytes()
  }

  wantRead(): void {
    this.node.reads.want(this)
  }

  wantFlush(urgent: boolean): void {
    this.node.flusher.want(this, urgent)
  }

  closing(code: CloseCode | null): void {
    this.node.leaving(this)
    this.farewell = this.leave(code)
  }

  // ----- the end -------------------------------------------------------------------------------------------------------

  /**
   * Flushes, releases, then ends the socket: a device that reconnects at once finds its acks stored. A store that does not
   * answer delays the end of the socket by the grace time only. Never rejects.
   */
  private async leave(code: CloseCode | null): Promise<void> {
    const settled = this.settle()
    if (code !== null) {
      this.node.counters.closesByCode[code]++
      this.node.log.debug({ device: this.device, code }, 'connection closed by the server')
      await atMost(settled, this.node.closeGraceMs)
      this.transport.close(code)
    }
    await settled
    this.spans?.over()
    this.transport = GONE
    this.node.left(this)
  }

  private async settle(): Promise<void> {
    await this.node.flusher.settle(this)
    for (let failures = 1; ; failures++) {
      try {
        await this.node.mailbox.release(this.device, this.claimId)
        return
      } catch (error) {
        if (failures === RELEASE_ATTEMPTS) {
          // Harmless but for what the status says: the next connection of the device claims by force.
          this.node.counters.releasesFailed++
          this.node.log.warn({ err: error, device: this.device }, 'a claim could not be released')
          return
        }
        await pause(backoffMs(failures, this.node.random))
      }
    }
  }
}
