// The half of the courier's machine that moves messages from the log to the transport: notices, pages, window, holds. The
// other half, and the picture of the states, is machine.ts.
//
// Order (G2) rests on one fact: a message is sent only as the successor of the position [epoch, sent], either because a
// notice says that it is (same epoch, seq = sent + 1, nothing else outstanding), or because the store, asked with that very
// position, says so. The protected methods are the rules; the simulation puts wrong ones in their place to see them caught.

import type { Claim, PageEntry, ReadResult } from '../core/ports/mailbox.js'
import { messageSize, type Position, type StoredMessage } from '../core/model/message.js'
import type { CloseCode, ExceptionReason } from '../protocol/codes.js'
import type { GapReason } from '../protocol/frames/frame-types.js'
import { AckLedger } from './ack-ledger.js'
import { Hold } from './holds.js'
import { LogPlace } from './log-place.js'
import type { CourierEffects, CourierState, MachineContext, PageRequest } from './machine-types.js'
import { SendWindow } from './send-window.js'
import { StallWatch } from './stall-watch.js'

export class DeliveryMachine {
  readonly claimId: string
  protected phase: 'claiming' | 'open' | 'closed' = 'claiming'
  protected holds: number = Hold.notSubscribed
  protected readonly place = new LogPlace()
  protected readonly window: SendWindow
  protected page: readonly PageEntry[] | undefined = undefined
  protected pageAt = 0
  /** Where the page ends; reached when its last entry is. */
  protected pageEnd: Position | undefined = undefined
  /** Ticks that the page has waited for the window or the socket. */
  protected pageTicks = 0
  protected asked = false
  protected reading = false
  /** The store's generation when the claim was made. */
  protected generation = ''
  protected readonly acks = new AckLedger()
  protected readonly stall = new StallWatch()
  /** Messages that may be in flight. */
  protected windowSize: number
  /** A stream device: it is told of gaps. */
  protected tells = false
  /** Messages in (suspectsAfter, suspectsTo] that a sweep found, and of which no notice has come yet: late, or lost. */
  protected suspects = 0
  protected suspectsAfter = 0
  protected suspectsTo = 0

  protected readonly context: MachineContext
  protected readonly effects: CourierEffects

  /** `firstPacketId`: random per connection, else a stale PUBACK acknowledges a new message. */
  constructor(claimId: string, firstPacketId: number, context: MachineContext, effects: CourierEffects) {
    this.claimId = claimId
    this.window = new SendWindow(firstPacketId)
    this.context = context
    this.effects = effects
    this.windowSize = context.limits.window
  }

  get state(): CourierState {
    if (this.phase !== 'open') return this.phase
    return this.reading || this.page !== undefined || this.place.hasMore ? 'catching-up' : 'live'
  }

  /** Messages sent and not yet below the low-water mark. */
  get inFlight(): number {
    return this.window.count
  }

  /** Part of a page waits for the window or the socket: a PUBACK may make the machine send. */
  get pageWaits(): boolean {
    return this.page !== undefined
  }

  /** The device waits for messages. */
  get subscribed(): boolean {
    return this.phase === 'open' && (this.holds & Hold.notSubscribed) === 0
  }

  /** The set of holds, as bits of `Hold`. */
  get holdsNow(): number {
    return this.holds
  }

  /** Ends the connection; `null`: its socket has ended. Only the first call does anything. */
  close(code: CloseCode | null): void {
    if (this.phase === 'closed') return
    this.phase = 'closed'
    this.dropPage()
    this.effects.closing(code)
  }

  // ----- news of the log -----------------------------------------------------------------------------------------------

  /** The hot path: when everything fits, the message goes out without a look into the store. */
  notice(epoch: string, claimId: string, message: StoredMessage): void {
    if (!this.isMine(claimId) || this.phase === 'closed') return
    const { place } = this
    const { seq } = message
    if (this.suspects > 0 && seq > this.suspectsAfter && seq <= this.suspectsTo) this.suspects--
    if (this.isLive() && this.followsEpoch(epoch) && this.followsSeq(seq)) {
      const size = messageSize(message)
      if (this.hasRoom(size)) {
        if (seq > place.head) place.head = seq
        this.context.counters.noticesTaken++
        this.send(epoch, message, size, false)
        return
      }
      this.context.counters.windowWaits++
    }
    if (this.reading || this.phase === 'claiming') place.rememberNews(epoch, seq)
    else {
      place.remember(epoch, seq)
      this.pump()
    }
  }

  /** What to read now; null when there is nothing (any more). Answered by `readDone` or `readFailed`. */
  takeRead(): PageRequest | null {
    this.asked = false
    if (!this.shouldRead()) return null
    this.reading = true
    const { pageMessages, pageBytes } = this.context.limits
    return {
      position: { epoch: this.place.epoch, seq: this.place.sent },
      maxMessages: Math.max(pageMessages, this.windowSize),
      maxBytes: pageBytes,
    }
  }

  readDone(result: ReadResult): void {
    if (this.phase !== 'open' || !this.reading) return
    this.reading = false
    if (result.kind === 'diverged') return this.close('resync')
    if (result.kind === 'not_owner') return this.close(this.lostClaim(result.claim, result.generation))
    const known = this.place.head
    const sameEpoch = this.place.lastEpoch === result.lastEpoch
    if (sameEpoch && result.head > known) this.context.counters.noticesMissed += result.head - known
    this.place.learn(result.head, result.lastEpoch)
    // What a held courier gets is read again later: a claim that is in doubt may have ended before this was read, and a
    // device that is not subscribed may stay so for long.
    if ((this.holds & ~Hold.socketFull) !== 0) return
    this.page = result.entries
    this.pageEnd = result.next
    this.pageAt = 0
    this.pageTicks = 0
    this.pump()
  }

  /** The store could not be read. The shell waits as it sees fit, then calls `retryRead`. */
  readFailed(): void {
    this.reading = false
    if (this.place.newsEpoch !== '') this.place.look = true
  }

  retryRead(): void {
    this.askIfNeeded()
  }

  // ----- the rules -----------------------------------------------------------------------------------------------------

  protected isMine(claimId: string): boolean {
    return claimId === this.claimId
  }

  protected isLive(): boolean {
    return this.phase === 'open' && this.holds === 0 && !this.reading && this.page === undefined && !this.place.look
  }

  protected followsEpoch(epoch: string): boolean {
    return epoch === this.place.lastEpoch
  }

  protected followsSeq(seq: number): boolean {
    return seq === this.place.sent + 1
  }

  protected hasRoom(size: number): boolean {
    const { limits } = this.context
    const { count, bytes } = this.window
    return count === 0 || (count < this.windowSize && bytes + size <= limits.windowBytes)
  }

  /** What a message says came before it, so that the device finds out when a frame is missing. */
  protected prev(): number {
    return this.place.told
  }

  /** An exception that the device is told of; the others only lengthen the step. */
  protected isTold(reason: ExceptionReason): reason is 'overflow' | 'retention' {
    return reason === 'overflow' || reason === 'retention'
  }

  /** Only a stored successor under the generation of the claim shows that another connection took over (design, 3). */
  protected lostClaim(stored: Claim | null, generation: string): CloseCode {
    return stored !== null && generation === this.generation ? 'taken_over' : 'resync'
  }

  // ----- how it is done ------------------------------------------------------------------------------------------------

  protected lookAgain(): void {
    if (this.reading) this.place.mixNews()
    else this.place.look = true
  }

  protected hold(reason: Hold): void {
    this.holds |= reason
    if (reason !== Hold.socketFull) this.dropPage()
  }

  protected lift(reason: Hold): void {
    if ((this.holds & reason) === 0) return
    this.holds &= ~reason
    if (this.phase === 'open') this.pump()
  }

  /** Always safe: the position is all that a courier needs. */
  protected dropPage(): void {
    this.page = undefined
    this.pageEnd = undefined
  }

  protected send(epoch: string, message: StoredMessage, size: number, redelivered: boolean): void {
    const { place, window } = this
    const { counters, limits } = this.context
    if (window.count === 0) this.stall.stir()
    const packetId = window.push(epoch, message.seq, size, message.at)
    const prev = this.prev()
    place.advance(epoch, message.seq)
    place.told = message.seq
    this.acks.onWire(epoch, message.seq)
    counters.sent++
    if (redelivered) counters.redelivered++
    this.effects.sendMessage(epoch, message, packetId, redelivered, prev)
    if (this.effects.bufferedBytes() >= limits.bufferLimit) this.socketIsFull()
  }

  private socketIsFull(): void {
    this.holds |= Hold.socketFull
    this.stall.bufferIsFull()
    this.context.counters.socketWaits++
  }

  /** Sends what the page has as far as window and holds allow, then asks for more. */
  protected pump(): void {
    if (this.page !== undefined && !this.sendPage()) return
    this.askIfNeeded()
  }

  /** False: something of the page is left. */
  private sendPage(): boolean {
    const { place } = this
    const page = this.page ?? []
    for (; this.pageAt < page.length; this.pageAt++) {
      const entry = page[this.pageAt]
      if (entry === undefined) break
      if (entry.kind === 'exception') {
        if (this.tells && !this.tellException(entry)) return false
        place.advance(entry.epoch, entry.to)
      } else {
        if (this.holds !== 0) return false
        const size = messageSize(entry.message)
        if (!this.hasRoom(size)) {
          this.context.counters.windowWaits++
          return false
        }
        if (this.tells) this.tellLeftOut(entry.epoch, entry.message.seq)
        this.send(entry.epoch, entry.message, size, entry.redelivered)
      }
    }
    if (this.pageEnd !== undefined) {
      if (this.tells && this.pageEnd.seq > place.sent) {
        if (this.holds !== 0) return false
        this.tellLeftOut(this.pageEnd.epoch, this.pageEnd.seq + 1)
      }
      place.advance(this.pageEnd.epoch, this.pageEnd.seq)
    }
    this.dropPage()
    return true
  }

  /** False: nothing may be sent now. */
  private tellException({ epoch, from, to, reason }: Extract<PageEntry, { kind: 'exception' }>): boolean {
    const told = this.isTold(reason)
    if (!told && from <= Math.max(this.place.sent, this.place.ownAcks) + 1) return true
    if (this.holds !== 0) return false
    this.tellLeftOut(epoch, from)
    if (told) this.tellGap(epoch, from, to, reason)
    return true
  }

  /** A page leaves out what the cursor has passed meanwhile. If not by this device's own acks, somebody else handled it. */
  private tellLeftOut(epoch: string, next: number): void {
    const from = Math.max(this.place.sent, this.place.ownAcks) + 1
    if (from < next) this.tellGap(epoch, from, next - 1, 'handled-elsewhere')
  }

  private tellGap(epoch: string, from: number, to: number, reason: GapReason): void {
    this.place.told = to
    this.context.counters.gapsTold[reason]++
    this.effects.sendGap(epoch, from, to, reason)
  }

  /** The store is to be asked for something. */
  protected hasQuestion(): boolean {
    return this.shouldRead()
  }

  private shouldRead(): boolean {
    if (this.phase !== 'open' || this.holds !== 0 || this.reading || this.page !== undefined) return false
    return this.place.look || (this.place.sent < this.place.head && this.hasRoom(0))
  }

  protected askIfNeeded(): void {
    if (this.asked || !this.hasQuestion()) return
    this.asked = true
    this.effects.wantRead()
  }
}
