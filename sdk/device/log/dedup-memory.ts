// The producers' dedup ids of the messages that a device handled last. Within one history the server sees to it that an id is
// one message. A store that lost data has forgotten its ids too, and a producer's retry becomes a new message under a new epoch:
// after a `reset` the ids from before it tell the device that it has handled that one.

/** Ids that are remembered for a log. */
export const DEDUP_KEPT = 1_024
/** An id means the same message for this long, by the server's clock: the server's own default. Milliseconds. */
export const DEDUP_WINDOW_MS = 86_400_000

export interface DedupEntry {
  /** Counts the ids of the log from 1; says which place of the ring it has. */
  readonly index: number
  readonly id: string
  readonly epoch: string
  readonly seq: number
  /** When the server stored the message. */
  readonly at: number
}

export class DedupMemory {
  readonly #entries = new Map<string, DedupEntry>()
  readonly #ring: Array<DedupEntry | undefined> = []
  #count = 0
  /** Ids up to this index are from before the last reset. */
  #guarded: number

  constructor(entries: Iterable<DedupEntry> = [], guarded = 0) {
    for (const entry of entries) this.#place(entry)
    this.#guarded = guarded
  }

  get guarded(): number {
    return this.#guarded
  }

  /** In no particular order. */
  entries(): Iterable<DedupEntry> {
    return this.#entries.values()
  }

  /** A message with an id was handled. The entry takes the place of the oldest one, if all places are taken. */
  remember(id: string, epoch: string, seq: number, at: number): DedupEntry {
    const entry = { index: this.#count + 1, id, epoch, seq, at }
    this.#place(entry)
    return entry
  }

  /** The server lost data, or the device was purged. */
  reset(): void {
    this.#guarded = this.#count
  }

  /** The message of another history with this id that was handled before, or null. */
  find(id: string, epoch: string, at: number): DedupEntry | null {
    if (this.#guarded === 0) return null
    const entry = this.#entries.get(id)
    if (entry === undefined || entry.index > this.#guarded || entry.epoch === epoch) return null
    return Math.abs(at - entry.at) < DEDUP_WINDOW_MS ? entry : null
  }

  #place(entry: DedupEntry): void {
    const slot = slotOf(entry)
    const old = this.#ring[slot]
    // The id may have come again meanwhile, and have another place.
    if (old !== undefined && this.#entries.get(old.id) === old) this.#entries.delete(old.id)
    this.#ring[slot] = entry
    const known = this.#entries.get(entry.id)
    if (known === undefined || known.index < entry.index) this.#entries.set(entry.id, entry)
    this.#count = Math.max(this.#count, entry.index)
  }
}

/** The place of an entry in the ring. */
export const slotOf = (entry: DedupEntry): number => entry.index % DEDUP_KEPT
