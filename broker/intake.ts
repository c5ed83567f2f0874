// What of a device's bytes is looked at now, and what has to wait. Waiting means that the socket is not read: TCP slows the
// device down, and nothing is lost. Pure; the connection asks before each packet.

import type { RateTable } from '../core/limits/rate-table.js'
import { TokenBucket } from '../core/limits/token-bucket.js'
import { ACK_COST, PACKETS_PER_TURN, type BrokerLimits } from './limits.js'

/** Why a connection is not read for a while. `turn`: others have theirs first. */
export type ThrottleReason = 'publishes' | 'publishes_of_address' | 'packets' | 'bytes' | 'turn'

export type IntakeLimits = Pick<BrokerLimits, 'publishesPerDevice' | 'packetsPerDevice' | 'bytesPerDevice'>

export interface Wait {
  readonly reason: ThrottleReason
  /** 0: only until the next turn. */
  readonly ms: number
}

const TURN_IS_OVER: Wait = { reason: 'turn', ms: 0 }

const PUBLISH = 3
const SUBSCRIBE = 8
const UNSUBSCRIBE = 10
const PINGREQ = 12
const DISCONNECT = 14

export class Intake {
  readonly #limits: IntakeLimits
  readonly #publishes: TokenBucket
  readonly #packets: TokenBucket
  readonly #bytes: TokenBucket
  #thisTurn = 0

  constructor(limits: IntakeLimits, now: number) {
    this.#limits = limits
    this.#publishes = new TokenBucket(limits.publishesPerDevice, now)
    this.#packets = new TokenBucket(limits.packetsPerDevice, now)
    this.#bytes = new TokenBucket(limits.bytesPerDevice, now)
  }

  nextTurn(): void {
    this.#thisTurn = 0
  }

  /** Bytes have come. They are looked at in any case; a wait is for those after them. */
  received(count: number, now: number): Wait | null {
    const { bytesPerDevice } = this.#limits
    this.#bytes.spend(bytesPerDevice, count, now)
    const ms = this.#bytes.wait(bytesPerDevice, now)
    return ms === 0 ? null : { reason: 'bytes', ms }
  }

  /** A packet was more work than it looked: what is missing has to be earned before the next one. */
  charge(packets: number, now: number): void {
    this.#packets.spend(this.#limits.packetsPerDevice, packets, now)
  }

  /** A PUBLISH that was counted should not have been: it answers what the device was sent. */
  giveBack(now: number, address: string, ofAddress: RateTable): void {
    this.#publishes.spend(this.#limits.publishesPerDevice, -1, now)
    ofAddress.giveBack(address, now)
  }

  /** Counts a packet that begins with the byte `first`. A wait: it does not begin now and was not counted. */
  begin(first: number, now: number, address: string, ofAddress: RateTable): Wait | null {
    if (this.#thisTurn >= PACKETS_PER_TURN) return TURN_IS_OVER
    this.#thisTurn++
    const { publishesPerDevice, packetsPerDevice } = this.#limits
    switch (first >> 4) {
      case PUBLISH: {
        const ms = this.#publishes.wait(publishesPerDevice, now, 1)
        if (ms > 0) return { reason: 'publishes', ms }
        if (ofAddress.limits && !ofAddress.take(address, now)) {
          return { reason: 'publishes_of_address', ms: ofAddress.wait(address, now) }
        }
        this.#publishes.spend(publishesPerDevice, 1, now)
        return null
      }
      case DISCONNECT:
        return null
      default: {
        const type = first >> 4
        const cost = type === SUBSCRIBE || type === UNSUBSCRIBE || type === PINGREQ ? 1 : ACK_COST
        const ms = this.#packets.wait(packetsPerDevice, now, cost)
        if (ms > 0) return { reason: 'packets', ms }
        this.#packets.spend(packetsPerDevice, cost, now)
        return null
      }
    }
  }
}
