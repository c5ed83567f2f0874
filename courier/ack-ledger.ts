// What one connection's device acknowledged in one log, what was put on the wire there, and how much of both the store has.

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

  /** The last message put on the wire, and how far the store was told of it. The empty epoch: none. */
  wireEpoch = ''
  wireSeq = 0
  toldEpoch = ''
  toldSeq = 0

  /** The low-water mark moves over `messages` more. */
  acked(epoch: string, seq: number, messages: number): void {
    this.ackedEpoch = epoch
    this.ackedSeq = seq
    this.unflushed += messages
  }

  onWire(epoch: string, seq: number): void {
    this.wireEpoch = epoch
    this.wireSeq = seq
  }

  get position(): Position | null {
    return this.ackedEpoch === '' ? null : { epoch: this.ackedEpoch, seq: this.ackedSeq }
  }

  get wireUntold(): boolean {
    return this.wireSeq !== this.toldSeq || this.wireEpoch !== this.toldEpoch
  }

  get acksWait(): boolean {
    return this.unflushed > 0 || this.again
  }

  /** Acks wait for the store, or are on their way to it. */
  get unsettled(): boolean {
    return this.acksWait || this.flushing
  }

  /** What to tell the store; null when there is nothing, or a flush is on its way. */
  take(): FlushItem | null {
    if (this.flushing || !(this.acksWait || this.wireUntold)) return null
    const sent = this.wireUntold ? { epoch: this.wireEpoch, seq: this.wireSeq } : null
    // Never the position that the connection began at: it may stand on exceptions that a failover takes back.
    const acked = this.acksWait ? this.position : null
    this.toldEpoch = this.wireEpoch
    this.toldSeq = this.wireSeq
    this.flushing = true
    this.again = false
    this.unflushed = 0
    return { position: acked ?? { epoch: this.wireEpoch, seq: 0 }, sent }
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
  }
}
