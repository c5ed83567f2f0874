/**
 * Those who have come and have not yet said what they want: bounded, and never closed to the next one. When it is full, the
 * one that has waited longest is put out. So a crowd of silent sockets costs a newcomer nothing, as long as it says what it
 * wants before as many others have come after it.
 */
export class WaitingRoom<Guest> {
  readonly #max: number
  readonly #putOut: (guest: Guest) => void
  /** In the order in which they came. */
  readonly #guests = new Set<Guest>()

  /** `putOut` ends the guest; it has left already. */
  constructor(max: number, putOut: (guest: Guest) => void) {
    this.#max = max
    this.#putOut = putOut
  }

  get size(): number {
    return this.#guests.size
  }

  has(guest: Guest): boolean {
    return this.#guests.has(guest)
  }

  /** A guest who is there already goes to the end of the line. */
  enter(guest: Guest): void {
    this.#guests.delete(guest)
    this.#guests.add(guest)
    if (this.#guests.size > this.#max) this.putOutOldest()
  }

  /** Idempotent. */
  leave(guest: Guest): void {
    this.#guests.delete(guest)
  }

  /** False: nobody is there. */
  putOutOldest(): boolean {
    for (const oldest of this.#guests) {
      this.#guests.delete(oldest)
      this.#putOut(oldest)
      return true
    }
    return false
  }
}
