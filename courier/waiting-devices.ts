// How long messages wait for the connected devices of a node, as the last sweep saw it. Only of devices that could be sent
// something: whoever has no subscription waits for nothing.

/** Seconds: how many devices wait longer than that. */
export const WAITING_OVER = ['1', '10', '60', '600'] as const
export type WaitingOver = (typeof WAITING_OVER)[number]

interface Round {
  /** Milliseconds. */
  oldest: number
  messages: number
  readonly over: Record<WaitingOver, number>
}

const noRound = (): Round => ({ oldest: 0, messages: 0, over: { '1': 0, '10': 0, '60': 0, '600': 0 } })

export class WaitingDevices {
  #last = noRound()
  #present = noRound()
  #failedSince: number | null = null

  /** A device whose oldest pending message has waited for `ageMs`. */
  saw(ageMs: number, pending: number): void {
    const round = this.#present
    if (ageMs > round.oldest) round.oldest = ageMs
    round.messages += pending
    for (const seconds of WAITING_OVER) if (ageMs > Number(seconds) * 1000) round.over[seconds]++
  }

  /** Every device was asked for. */
  roundDone(): void {
    this.#last = this.#present
    this.#present = noRound()
    this.#failedSince = null
  }

  /** The store could not be asked, at `now` (monotonic milliseconds): what waits goes on waiting. */
  failed(now: number): void {
    this.#failedSince ??= now
  }

  /** Milliseconds that the oldest message has waited; 0: none does. `now`: monotonic. */
  oldest(now: number): number {
    const { oldest } = this.#last
    return oldest === 0 || this.#failedSince === null ? oldest : oldest + now - this.#failedSince
  }

  get messages(): number {
    return this.#last.messages
  }

  get over(): Readonly<Record<WaitingOver, number>> {
    return this.#last.over
  }
}
