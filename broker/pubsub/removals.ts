import type { QueuedMessage, SessionChange, SessionStore } from '../../core/ports/session-store.js'

/** Acknowledged messages are taken out of the store this late at most. Milliseconds. */
const DELAY_MS = 200
/** So many of all sessions are taken out at once. */
const FULL = 1_000

/**
 * Acknowledged messages that are still in the store. A late removal costs nothing but a redelivery after a crash, and many
 * acknowledgements share one write.
 */
export class Removals {
  readonly #flush: () => void
  #bySession = new Map<string, { numbers: number[]; bytes: number }>()
  #count = 0
  #timer: NodeJS.Timeout | null = null

  /** `flush` takes what is there. */
  constructor(flush: () => void) {
    this.#flush = flush
  }

  add(client: string, number: number, bytes: number): void {
    this.#note(client, [number], bytes)
    if (this.#count === FULL) this.#flush()
  }

  #note(client: string, numbers: readonly number[], bytes: number): void {
    const entry = this.#bySession.get(client)
    if (entry === undefined) this.#bySession.set(client, { numbers: [...numbers], bytes })
    else {
      entry.numbers.push(...numbers)
      entry.bytes += bytes
    }
    this.#count += numbers.length
    this.#timer ??= setTimeout(this.#flush, DELAY_MS)
  }

  /** What was taken could not be stored: later. */
  putBack(changes: readonly SessionChange[]): void {
    for (const change of changes) if (change.kind === 'remove') this.#note(change.client, change.numbers, change.bytes)
  }

  /** Reads on in a queue; without those that are acknowledged and only not taken out yet. As SessionStore.queue. */
  async read(
    store: Pick<SessionStore, 'queue'>,
    client: string,
    after: number,
    limit: number,
    maxBytes: number,
  ): Promise<readonly QueuedMessage[]> {
    for (let from = after; ;) {
      const page = await store.queue(client, from, limit, maxBytes)
      const acknowledged = new Set(this.#bySession.get(client)?.numbers)
      const messages = page.filter(({ number }) => !acknowledged.has(number))
      if (page.length === 0 || messages.length > 0) return messages
      from = page.at(-1)?.number ?? from
    }
  }

  /** Everything that waits. */
  take(): SessionChange[] {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const changes: SessionChange[] = []
    for (const [client, { numbers, bytes }] of this.#bySession) changes.push({ kind: 'remove', client, numbers, bytes })
    this.#bySession = new Map()
    this.#count = 0
    return changes
  }

  /** The session has ended: there is nothing to remove. */
  forget(client: string): void {
    const entry = this.#bySession.get(client)
    if (entry === undefined) return
    this.#count -= entry.numbers.length
    this.#bySession.delete(client)
  }
}
