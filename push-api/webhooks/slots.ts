/** So many at one time. */
export class Slots {
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  /** False: none is free. */
  take(): boolean {
    if (this.#free === 0) return false
    this.#free--
    return true
  }

  release(): void {
    this.#free++
  }
}
