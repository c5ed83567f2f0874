// The numbers of what comes in: which packet is missing, which came twice. Pure.

/** `gap`: packets before it are missing, it counts all the same. `repeated`: it has been, or is too late; not to be used. */
export type Verdict = 'next' | 'gap' | 'repeated'

interface Stream {
  /** Null: any number fits, as what went before has been looked for. */
  last: number | null
  heardAt: number
}

export class Streams {
  readonly #streams = new Map<string, Stream>()

  /** A packet that carries something. */
  packet(id: string, number: number, now: number): Verdict {
    const { last } = this.#seen(id, now)
    if (last !== null && number <= last) return 'repeated'
    this.#streams.set(id, { last: number, heardAt: now })
    return last === null || number === last + 1 ? 'next' : 'gap'
  }

  /** Packets up to `number` were sent, and one of them did not get through. */
  mark(id: string, number: number, now: number): Verdict {
    const { last } = this.#seen(id, now)
    if (last !== null && number <= last) return 'repeated'
    this.#streams.set(id, { last: number, heardAt: now })
    return 'gap'
  }

  /** Everything that may be missing now is being looked for. */
  restart(): void {
    for (const stream of this.#streams.values()) stream.last = null
  }

  /** Forgets those that were not heard of since; they begin anew, or a gap is found that is none. */
  forget(before: number): void {
    for (const [id, { heardAt }] of this.#streams) if (heardAt < before) this.#streams.delete(id)
  }

  get size(): number {
    return this.#streams.size
  }

  #seen(id: string, now: number): Stream {
    return this.#streams.get(id) ?? { last: 0, heardAt: now }
  }
}
