// The courier of one connected device, as a pure state machine: events in, effects out. No I/O and no clock; the time comes
// with `tick`. Everything that decides about delivery is here; the shell (hosted-courier.ts) only carries it out.
//
//                     claimed
//    ┌──────────┐   (position)   ┌─────────────┐   read's answer: sent ≥ head    ┌──────┐
//    │ claiming ├───────────────▶│ catching-up │◀───────────────────────────────▶│ live │──┐ notice sent+1:
//    └────┬─────┘                └──────┬──────┘  a notice or sweep that does    └──┬───┘◀─┘ straight to the wire
//         │                             │         not fit: read                     │
//         │ kick, ended                 │ kick, close, ended, read says diverged    │
//         ▼                             ▼ or not_owner, sweep, deadline             ▼
//       ┌───────────────────────────────────────────────────────────────────────────────┐
//       │ closed: sends nothing; PUBACKs that still come in count and are flushed       │
//       └───────────────────────────────────────────────────────────────────────────────┘
//
// Beside the state stands the set of holds (holds.ts): while it is not empty nothing is read or sent; acks always count.
//
// An ack moves the cursor contiguously over what this connection was sent (send-window.ts), so exceptions leave no gap.
// machine-delivery.ts says what order rests on, machine-resume.ts what stream mode adds.

import type { ClaimGranted, HeadResult } from '../core/ports/mailbox.js'
import type { Position } from '../core/model/message.js'
import type { SweepFinding } from './courier-counters.js'
import { Hold } from './holds.js'
import { ResumeMachine, TOO_EARLY } from './machine-resume.js'
import type { FlushItem } from './machine-types.js'
import { UNKNOWN_ID } from './send-window.js'

export class CourierMachine extends ResumeMachine {
  /** What the shell was asked for since the last flush was taken. */
  protected flushWanted: 'no' | 'soon' | 'now' = 'no'
  /** When the sweep asked: `sent`, whether the store had all acks, and whether the courier rested. */
  protected sweptSent = 0
  protected sweptSettled = false
  protected sweptIdle = false

  // ----- the connection ------------------------------------------------------------------------------------------------

  claimed(granted: ClaimGranted): void {
    if (this.phase !== 'claiming') return
    this.phase = 'open'
    this.generation = granted.generation
    this.place.start(granted.position, granted.head, granted.lastEpoch)
    // a notice may have overtaken the claim's answer
    this.place.learn(granted.head, granted.lastEpoch)
  }

  /** The device has a mailbox subscription. One of stream mode must say hello before it gets anything. */
  begin(mode: 'plain' | 'stream' = 'plain'): void {
    if (mode === 'stream') this.expectHello()
    this.lift(Hold.notSubscribed)
  }

  /** Stops sending. The place in the log stays, acks in flight count. */
  pause(): void {
    this.hold(Hold.notSubscribed)
  }

  /** Sends nothing more, for good. Acks of what is in flight count; `close` follows. */
  letGo(): void {
    this.hold(Hold.leaving)
  }

  /** Nothing is in flight, and nothing about to be. */
  get rests(): boolean {
    const still = (this.holds & Hold.leaving) !== 0 || (this.page === undefined && !this.reading)
    return this.window.count === 0 && still
  }

  /** The node may have lost its claims unknowingly: nothing is sent until a sweep that began after this has confirmed it. */
  unconfirmed(): void {
    if (this.phase === 'open') this.hold(Hold.claimsUnconfirmed)
  }

  /** Another connection took the device, or it was revoked. A kick that names another claim is ignored: false. */
  kick(claimId: string, reason: 'taken_over' | 'revoked'): boolean {
    if (!this.isMine(claimId)) return false
    this.close(reason)
    return true
  }

  // ----- acks ----------------------------------------------------------------------------------------------------------

  /** A PUBACK. False: the id is not in flight; ignored and counted. */
  acked(packetId: number): boolean {
    const left = this.window.settle(packetId)
    if (left === UNKNOWN_ID) {
      this.context.counters.unknownAcks++
      return false
    }
    this.context.counters.acked++
    this.stall.reads()
    if (left > 0) {
      this.tellHandled(left)
      this.lowWater(left)
    }
    return true
  }

  /**
   * An ack frame: everything up to here is handled. A fact about the device, which may go beyond what this connection has
   * been sent: a handler may have begun on an earlier one. How many messages left the window, or TOO_EARLY.
   */
  ackedUpTo({ epoch, seq }: Position): number {
    if (this.greeting === 'none' || this.greeting === 'waiting') return this.phase === 'closed' ? 0 : TOO_EARLY
    if (this.greeting === 'asking') {
      if (this.acks.aside(epoch, seq)) this.wantFlush('soon')
      return 0
    }
    const upTo = this.believed(epoch, seq)
    const left = this.window.settleUpTo(epoch, upTo)
    this.context.counters.acked += left
    this.tellHandled(left)
    this.stall.reads()
    const { place } = this
    const isOurs = left > 0 || epoch === place.epoch
    if (isOurs || epoch === place.lastEpoch) place.ownAcks = Math.max(place.ownAcks, upTo)
    const isNew = isOurs ? this.acks.ackedUpTo(epoch, upTo, left) : this.acks.aside(epoch, upTo)
    if (isNew) this.wantFlush(this.acks.unflushed * 2 >= this.windowSize ? 'now' : 'soon')
    if (this.page !== undefined) this.pump()
    else this.askIfNeeded()
    return left
  }

  /** The device has received everything up to here: it shows that it reads, and nothing else. */
  received(epoch: string, seq: number): void {
    this.stall.reads()
    this.acks.onReceived(epoch, seq)
  }

  /** What the store is to be told now; null when nothing. Answered by `flushDone` or `flushFailed`. */
  takeFlush(): FlushItem | null {
    this.flushWanted = 'no'
    return this.acks.take()
  }

  flushDone(): void {
    this.acks.done()
    if (this.acks.acksWait) this.wantFlush('soon')
  }

  /** Asks for another flush; how soon is the shell's decision. */
  flushFailed(): void {
    this.acks.failed()
    if (this.acks.acksWait) this.wantFlush('soon')
  }

  /** Acks wait for the store, or are on their way to it. */
  get unsettled(): boolean {
    return this.acks.unsettled
  }

  /** The watermarks of what was sent and received are newer than what the store was told. */
  get wireUntold(): boolean {
    return this.acks.wireUntold
  }

  // ----- the transport and time ----------------------------------------------------------------------------------------

  /** The transport's buffer fell below its limit. */
  drained(): void {
    this.lift(Hold.socketFull)
  }

  /** A byte came from the device. Cheap: the next tick takes it up. */
  heard(): void {
    this.stall.stir()
  }

  /** `now`: monotonic milliseconds. Called a few times a second; deadlines are kept to that precision, never early. */
  tick(now: number): void {
    if (this.phase !== 'open') return
    const { limits } = this.context
    if (this.helloIsLate(now)) return this.close('protocol_error')
    if (this.stall.silentFor(now, this.window.count > 0) >= limits.unackedMs) return this.close('slow_consumer')
    if ((this.holds & Hold.socketFull) !== 0) {
      const buffered = this.effects.bufferedBytes()
      if (buffered < limits.bufferLimit) this.lift(Hold.socketFull)
      else if (this.stall.stuckFor(now, buffered) >= limits.fullBufferMs) return this.close('slow_consumer')
    }
    // A page that waits is read again: its messages may have expired or been cancelled meanwhile, which the store decides.
    if (this.page !== undefined && ++this.pageTicks > 1) this.dropPage()
    this.window.trim()
    this.askIfNeeded()
  }

  // ----- the sweep -----------------------------------------------------------------------------------------------------

  /** The sweep asks the store now: which ack should it compare with the cursor? */
  sweepAsked(): Position | null {
    // One interval is time enough for a notice that was only late.
    this.context.counters.noticesLost += this.suspects
    this.suspects = 0
    this.sweptSent = this.place.sent
    this.sweptSettled = !this.unsettled
    this.sweptIdle = this.isIdle()
    return this.acks.position
  }

  /**
   * What the sweep saw. `confirms`: it asked after the last `unconfirmed`. Findings:
   * - close: the claim is gone.
   * - look: another epoch, or less than was sent: only a read can tell what became of the log.
   * - head: messages that no notice told of.
   * - ack: the stored cursor is behind what was flushed (a failover lost it): flush again.
   * - resync: messages pend that a courier at rest does not have. Never seen without loss of data; a new connection begins
   *   at the cursor.
   */
  swept(seen: HeadResult | null, confirms: boolean): SweepFinding | null {
    if (this.phase !== 'open') return null
    const { counters } = this.context
    if (seen === null || seen.claim === null || !this.isMine(seen.claim.claimId)) {
      counters.sweepFindings.close++
      this.close(seen === null ? 'resync' : this.lostClaim(seen.claim, seen.generation))
      return 'close'
    }
    const finding = this.sweepFinding(seen)
    if (finding !== null) counters.sweepFindings[finding]++
    if (finding === 'resync') {
      this.close('resync')
      return finding
    }
    if (finding === 'look') this.lookAgain()
    if (finding === 'head') {
      counters.noticesMissed += seen.head - this.place.head
      this.suspects = seen.head - this.place.head
      this.suspectsAfter = this.place.head
      this.suspectsTo = seen.head
      if (this.reading) this.place.rememberNews(seen.lastEpoch, seen.head)
      else this.place.remember(seen.lastEpoch, seen.head)
    }
    if (finding === 'ack') {
      this.acks.again = true
      this.wantFlush('soon')
    }
    if (confirms) this.lift(Hold.claimsUnconfirmed)
    this.pump()
    return finding
  }

  protected sweepFinding(seen: HeadResult): SweepFinding | null {
    const { place } = this
    if (!place.look && (seen.lastEpoch !== place.lastEpoch || seen.head < this.sweptSent)) return 'look'
    if (seen.head > place.head) return 'head'
    if (this.sweptSettled && seen.ackedSeq !== null && seen.ackedSeq > seen.cursor.seq) return 'ack'
    // Both at the question and at the answer, with nothing sent between: what pends cannot be on its way.
    const rests = this.sweptIdle && this.isIdle() && place.sent === this.sweptSent
    return rests && this.holds === 0 && seen.pending > 0 ? 'resync' : null
  }

  /** The oldest `left` messages in flight are acknowledged. */
  protected lowWater(left: number): void {
    this.acks.acked(this.window.leftEpoch, this.window.leftSeq, left)
    this.wantFlush(this.acks.unflushed * 2 >= this.windowSize ? 'now' : 'soon')
    if (this.page !== undefined) this.pump()
    else this.askIfNeeded()
  }

  private tellHandled(left: number): void {
    for (let nth = left; nth > 0; nth--) this.effects.handled(this.window.leftAt(nth), this.window.leftSeqAt(nth))
  }

  protected isIdle(): boolean {
    return this.window.count === 0 && !this.unsettled && this.state === 'live'
  }

  private wantFlush(when: 'soon' | 'now'): void {
    if (this.flushWanted === when || this.flushWanted === 'now') return
    this.flushWanted = when
    this.effects.wantFlush(when === 'now')
  }
}
