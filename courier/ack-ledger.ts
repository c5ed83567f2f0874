// What one connection's device acknowledged in one log, what was put on the wire there and received, and how much of that the
// store has.

import type { Position } from '../core/model/message.js'
import type { FlushItem } from './machine-types.js'

export class AckLedger {
  /** The low-water mark; kept after it was flushed, for a sweep that finds the store behind it. The empty epoch: none. */
  ackedEpoch = ''
  ackedSeq = 0
  /** Messages acknowledged since the last flush was taken. */
  unflushed = 0
  /** A flush failed, or was lost by the store: repeat it. */
  again = false
  /** A flush is on its way to the store. */
  flushing = false
  /** An ack of an epoch that this connection does not deliver (any more): handled before a reset, say. Told once. */
  other: Position | null = null

  /** The last message put on the wire, the last one received, and how far the store was told. The empty epoch: none. */
  wireEpoch = ''
  wireSeq = 0
  receivedEpoch = ''
  receivedSeq = 0
  toldEpoch = ''
  toldSeq = 0
  toldReceived = 0

  /** The low-water mark moves over `messages` more. */
  acked(epoch: string, seq: number, messages: number): void {
    this.ackedEpoch = epoch
    this.ackedSeq = seq
    this.unflushed += messages
  }

  /** The same by a position that a device names, which may be old: then false. */
  ackedUpTo(epoch: string, seq: number, messages: number): boolean {
    if (epoch === this.ackedEpoch && seq <= this.ackedSeq) return false
    this.acked(epoch, seq, Math.max(1, messages))
    return true
  }

  /** An ack beside the low-water mark. False: it is the last one again. */
  aside(epoch: string, seq: number): boolean {
    if (this.other?.epoch === epoch && this.other.seq === seq) return false
    this.other = { epoch, seq }
    return true
  }

  onWire(epoch: string, seq: number): void {
    this.wireEpoch = epoch
    this.wireSeq = seq
  }

  onReceived(epoch: string, seq: number): void {
    this.receivedEpoch = epoch
    this.receivedSeq = seq
  }

  get position(): Position | null {
    return this.ackedEpoch === '' ? null : { epoch: this.ackedEpoch, seq: this.ackedSeq }
  }

  get wireUntold(): boolean {
    return this.wireSeq !== this.toldSeq || this.wireEpoch !== this.toldEpoch || this.receivedSeq !== this.toldReceived
  }

  get acksWait(): boolean {
    return this.unflushed > 0 || this.again || this.other !== null
  }

  /** Acks wait for the store, or are on their way to it. */
  get unsettled(): boolean {
    return this.acksWait || this.flushing
  }

  /** What to tell the store; null when there is nothing, or a flush is on its way. */
  take(): FlushItem | null {
    if (this.flushing || !(this.acksWait || this.wireUntold)) return null
    this.flushing = true
    if (this.other !== null) {
      const position = this.other
      this.other = null
      return { position, sent: null, received: null }
    }
    const { wireEpoch, wireSeq, receivedEpoch, receivedSeq } = this
    const sent = wireSeq !== this.toldSeq || wireEpoch !== this.toldEpoch ? { epoch: wireEpoch, seq: wireSeq } : null
    const received = receivedSeq === this.toldReceived ? null : { epoch: receivedEpoch, seq: receivedSeq }
    // Never the position that the connection began at: it may stand on exceptions that a failover takes back.
    const acked = this.unflushed > 0 || this.again ? this.position : null
    this.toldEpoch = wireEpoch
    this.toldSeq = wireSeq
    this.toldReceived = receivedSeq
    this.again = false
    this.unflushed = 0
    return { position: acked ?? { epoch: wireEpoch, seq: 0 }, sent, received }
  }

  done(): void {
    this.flushing = false
  }

  /** Nothing is forgotten: the same or later positions are taken next. */
  failed(): void {
    this.flushing = false
    this.again = this.ackedEpoch !== ''
    this.toldEpoch = ''
    this.toldSeq = 0
    this.toldReceived = 0
  }
}
