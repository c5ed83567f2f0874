// What only stream mode has in the courier's machine: the hello, the place at which delivery begins because of it, and acks
// that name positions.
//
//   begin('stream') ──▶ waits for hello ──hello──▶ the store is asked ──its answer──▶ welcome, reset or gaps; delivery begins
//        (holds noWelcome)     │ helloMs                (again, if a hold or a failure came between)
//                              ▼
//                       closed: protocol_error
//
// Nothing is sent before the welcome. The hello's position is resolved by the store, in the step that gives the place to begin
// at (design, Positions); the machine only says what it found.

import type { ResumeResult } from '../core/ports/mailbox.js'
import type { Position } from '../core/model/message.js'
import { Hold } from './holds.js'
import { DeliveryMachine } from './machine-delivery.js'

type Resumed = Extract<ResumeResult, { kind: 'resumed' }>

/** An ack before the hello. */
export const TOO_EARLY = -1

/** How long nobody has waited yet: the next tick begins to count. */
const NOT_YET = -1

export class ResumeMachine extends DeliveryMachine {
  /** `waiting` for the hello; `asking` the store; `done`: welcome is sent. `none`: not a stream device. */
  protected greeting: 'none' | 'waiting' | 'asking' | 'done' = 'none'
  /** The position in the hello. */
  protected brought: Position | null = null
  /** The end of the log when delivery began: the device may have handled messages up to there on earlier connections. */
  protected headAtWelcome = 0
  private waitsSince = NOT_YET

  /** A stream device is there: it must say hello. */
  protected expectHello(): void {
    this.tells = true
    if (this.greeting === 'none') this.greeting = 'waiting'
    if (this.greeting !== 'done') this.holds |= Hold.noWelcome
    this.waitsSince = NOT_YET
  }

  /**
   * The device says where it wants to go on (null: it remembers nothing) and how many messages it takes. False: a hello does
   * not belong here (a second one, or no stream subscription).
   */
  hello(position: Position | null, window: number): boolean {
    if (this.phase === 'closed') return true
    if (this.greeting !== 'waiting' || (this.holds & Hold.notSubscribed) !== 0) return false
    this.greeting = 'asking'
    this.brought = position
    this.windowSize = Math.max(1, Math.min(window, this.context.limits.windowMax))
    this.askIfNeeded()
    return true
  }

  /** The position to resume from; null when that is not to be asked (now). Answered by `resumed` or `readFailed`. */
  takeResume(): { readonly position: Position | null } | null {
    if (!this.shouldResume()) return null
    this.asked = false
    this.reading = true
    return { position: this.brought }
  }

  resumed(result: ResumeResult): void {
    if (this.phase !== 'open' || !this.reading) return
    this.reading = false
    if (result.kind === 'not_owner') return this.close(this.lostClaim(result.claim, result.generation))
    // A claim in doubt may have ended before this was read, and the device may have unsubscribed: asked again later.
    if (this.holds !== Hold.noWelcome) return
    this.greeting = 'done'
    this.context.counters.hellos[result.found]++
    this.place.start(result.position, result.head, result.lastEpoch)
    this.headAtWelcome = result.head
    this.place.learn(result.head, result.lastEpoch)
    this.greet(result)
    this.lift(Hold.noWelcome)
  }

  /** What the device is told of its place. Gaps here lie below the cursor, so they do not change `prev`. */
  protected greet({ found, position, head, gaps }: Resumed): void {
    this.effects.sendWelcome(position, head)
    if (found === 'past' || found === 'unknown') this.effects.sendReset(position, head)
    for (const { from, to, reason } of gaps) {
      this.context.counters.gapsTold[reason]++
      this.effects.sendGap(position.epoch, from, to, reason)
    }
  }

  /**
   * The part of an ack that can be about messages there are. Of the epoch that still grows, the device cannot have handled
   * what neither stood in the log at the welcome nor was sent since; believed, such an ack would count for what comes next.
   */
  protected believed(epoch: string, seq: number): number {
    return epoch === this.place.lastEpoch ? Math.min(seq, Math.max(this.place.sent, this.headAtWelcome)) : seq
  }

  /** The hello is late. `now`: milliseconds of the tick. */
  protected helloIsLate(now: number): boolean {
    if (this.greeting !== 'waiting' || (this.holds & Hold.notSubscribed) !== 0) return false
    if (this.waitsSince === NOT_YET) this.waitsSince = now
    return now - this.waitsSince >= this.context.limits.helloMs
  }

  protected override hasQuestion(): boolean {
    return this.shouldResume() || super.hasQuestion()
  }

  private shouldResume(): boolean {
    return this.greeting === 'asking' && this.phase === 'open' && this.holds === Hold.noWelcome && !this.reading
  }
}
