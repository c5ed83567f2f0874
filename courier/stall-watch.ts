// Whether a device has stopped reading or acknowledging. Events only leave marks; the tick, which knows the time, reads them:
// so the hot path needs no clock. A deadline is kept to the precision of the tick and is never early.

export class StallWatch {
  /** Since the last tick something showed that the device lives, or it was sent its first message in flight. */
  private stirred = false
  private aliveAt = 0
  /** Bytes in the full buffer at the last tick; -1: it has just become full, or the device has just shown that it reads. */
  private buffered = -1
  private movedAt = 0

  stir(): void {
    this.stirred = true
  }

  /** A PUBACK: who acknowledges also reads. */
  reads(): void {
    this.stirred = true
    this.buffered = -1
  }

  bufferIsFull(): void {
    this.buffered = -1
  }

  /** Milliseconds that messages have been in flight with no byte from the device. */
  silentFor(now: number, inFlight: boolean): number {
    if (this.stirred || !inFlight) {
      this.stirred = false
      this.aliveAt = now
    }
    return now - this.aliveAt
  }

  /** Milliseconds that the full buffer, now of `bytes`, has not lost a byte. */
  stuckFor(now: number, bytes: number): number {
    if (this.buffered < 0 || bytes < this.buffered) this.movedAt = now
    this.buffered = bytes
    return now - this.movedAt
  }
}
