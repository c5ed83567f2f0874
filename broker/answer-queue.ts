/** Publishes of one connection that wait for the store; above that it is not read from. */
const WAITING_MAX = 64

interface Answer {
  readonly packet: Buffer
  ready: boolean
}

export interface AnswerQueueOwner {
  reply(packet: Buffer): void
  /** What was to be acknowledged could not be stored. */
  unstored(): void
  /** `busy` has become false. */
  answered(): void
}

/**
 * PUBACK and PUBREC packets in the order of the PUBLISH packets that they answer [MQTT-4.6.0-2], [MQTT-4.6.0-3], each when its
 * message is stored.
 */
export class AnswerQueue {
  readonly #owner: AnswerQueueOwner
  /** The first one waits. */
  readonly #waiting: Answer[] = []

  constructor(owner: AnswerQueueOwner) {
    this.#owner = owner
  }

  /** So much waits that nothing more should come. */
  get busy(): boolean {
    return this.#waiting.length >= WAITING_MAX
  }

  /** Nothing waits. */
  get empty(): boolean {
    return this.#waiting.length === 0
  }

  /** `stored` null: it is. */
  add(packet: Buffer, stored: Promise<void> | null): void {
    if (stored === null && this.#waiting.length === 0) {
      this.#owner.reply(packet)
      return
    }
    const answer = { packet, ready: stored === null }
    this.#waiting.push(answer)
    stored?.then(
      () => {
        answer.ready = true
        this.#flush()
      },
      () => this.#owner.unstored(),
    )
  }

  #flush(): void {
    const wasBusy = this.busy
    for (let first = this.#waiting[0]; first?.ready === true; first = this.#waiting[0]) {
      this.#waiting.shift()
      this.#owner.reply(first.packet)
    }
    if (wasBusy && !this.busy) this.#owner.answered()
  }
}
