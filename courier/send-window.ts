// What one connection was sent and has not acknowledged, oldest first.
//
// Packet ids run on from a random start, so an acknowledged id is found by its distance from the oldest one: no map, no
// search. An ack that comes before those of older messages waits in its place; only the oldest ones leave, together, and the
// last that left is the low-water mark. Places of waiting acks stay taken: what may be repeated after a cut is bounded by the
// window, in whatever order a device acknowledges.

/** Couriers use 0x8000–0xFFFF; the rest belongs to the MQTT host. */
export const FIRST_PACKET_ID = 0x8000
/** How many packet ids a courier has. A window is far smaller, so a distance tells every id in it from all others. */
export const PACKET_IDS = 0x8000

const ID_MASK = PACKET_IDS - 1
const SMALLEST = 8
/** Shared by all idle windows, never written: `push` allocates before it writes. */
const NOTHING: number[] = []

/** What `settle` answers for an id that is not in the window, or was acknowledged before. */
export const UNKNOWN_ID = -1

export interface WindowSnapshot {
  readonly firstId: number
  readonly epochs: readonly string[]
  readonly seqs: readonly number[]
  /** Negative (`~size`): acknowledged, waiting for an older one. */
  readonly sizes: readonly number[]
  readonly ats: readonly number[]
}

export class SendWindow {
  /** Messages between the low-water mark and the last one sent. */
  count = 0
  /** Their bytes, by `messageSize`. */
  bytes = 0
  /** The last message that left by `settle`. */
  leftEpoch = ''
  leftSeq = 0

  private firstId: number
  private first = 0
  // Four rings of one capacity, a power of two; undefined while nothing is in flight, so that an idle connection has none.
  private epochs: string[] | undefined = undefined
  private seqs = NOTHING
  private sizes = NOTHING
  private ats = NOTHING

  /** `firstPacketId`: any number; only its place in the courier's range counts. */
  constructor(firstPacketId: number) {
    this.firstId = FIRST_PACKET_ID + (firstPacketId & ID_MASK)
  }

  /** The id that the next message will have. */
  get nextId(): number {
    return FIRST_PACKET_ID + ((this.firstId - FIRST_PACKET_ID + this.count) & ID_MASK)
  }

  /** Adds a message, accepted at `at` (milliseconds, for who asks `leftAt`); returns its packet id. */
  push(epoch: string, seq: number, size: number, at = 0): number {
    if (this.epochs === undefined || this.count === this.epochs.length) this.grow()
    const epochs = this.epochs ?? []
    const place = (this.first + this.count) & (epochs.length - 1)
    epochs[place] = epoch
    this.seqs[place] = seq
    this.sizes[place] = size
    this.ats[place] = at
    const id = this.nextId
    this.count++
    this.bytes += size
    return id
  }

  /** Acknowledges a packet id. Returns how many messages left the window (0: an older one is missing), or UNKNOWN_ID. */
  settle(packetId: number): number {
    const distance = (packetId - this.firstId) & ID_MASK
    const epochs = this.epochs
    if (distance >= this.count || packetId < FIRST_PACKET_ID || epochs === undefined) return UNKNOWN_ID
    const mask = epochs.length - 1
    const at = (this.first + distance) & mask
    const size = this.sizes[at] ?? 0
    if (size < 0) return UNKNOWN_ID
    this.sizes[at] = ~size
    if (distance > 0) return 0
    let left = 0
    let oldest = at
    while (left < this.count) {
      const mark = this.sizes[oldest] ?? 0
      if (mark >= 0) break
      this.bytes -= ~mark
      this.leftEpoch = epochs[oldest] ?? ''
      this.leftSeq = this.seqs[oldest] ?? 0
      oldest = (oldest + 1) & mask
      left++
    }
    this.first = oldest
    this.count -= left
    this.firstId = FIRST_PACKET_ID + ((this.firstId - FIRST_PACKET_ID + left) & ID_MASK)
    return left
  }

  /**
   * Acknowledges everything up to the last message of `epoch` whose seq is at most `seq`; how many left. Seqs increase over a
   * window, whatever their epochs.
   */
  settleUpTo(epoch: string, seq: number): number {
    const epochs = this.epochs
    if (epochs === undefined) return 0
    const mask = epochs.length - 1
    let left = 0
    for (let i = 0; i < this.count; i++) {
      const at = (this.first + i) & mask
      if ((this.seqs[at] ?? 0) > seq) break
      if (epochs[at] === epoch) left = i + 1
    }
    for (let i = 0; i < left; i++) {
      const at = (this.first + i) & mask
      const mark = this.sizes[at] ?? 0
      this.bytes -= mark < 0 ? ~mark : mark
      this.leftEpoch = epochs[at] ?? ''
      this.leftSeq = this.seqs[at] ?? 0
    }
    this.first = (this.first + left) & mask
    this.count -= left
    this.firstId = FIRST_PACKET_ID + ((this.firstId - FIRST_PACKET_ID + left) & ID_MASK)
    return left
  }

  /** When the message was accepted that left `nth` to last (1: the last one); known until the next one is pushed. */
  leftAt(nth: number): number {
    return this.ats[(this.first - nth) & ((this.epochs?.length ?? 1) - 1)] ?? 0
  }

  /** Its seq, likewise. */
  leftSeqAt(nth: number): number {
    return this.seqs[(this.first - nth) & ((this.epochs?.length ?? 1) - 1)] ?? 0
  }

  /** Gives the rings back when nothing is in flight. */
  trim(): void {
    if (this.count > 0 || this.epochs === undefined) return
    this.epochs = undefined
    this.seqs = NOTHING
    this.sizes = NOTHING
    this.ats = NOTHING
    this.first = 0
  }

  snapshot(): WindowSnapshot {
    const at = Array.from({ length: this.count }, (_, i) => (this.first + i) & ((this.epochs?.length ?? 1) - 1))
    return {
      firstId: this.firstId,
      epochs: at.map((i) => this.epochs?.[i] ?? ''),
      seqs: at.map((i) => this.seqs[i] ?? 0),
      sizes: at.map((i) => this.sizes[i] ?? 0),
      ats: at.map((i) => this.ats[i] ?? 0),
    }
  }

  restore(saved: WindowSnapshot): void {
    this.epochs = undefined
    this.seqs = NOTHING
    this.sizes = NOTHING
    this.ats = NOTHING
    this.first = this.count = this.bytes = 0
    this.firstId = saved.firstId
    saved.seqs.forEach((seq, i) => {
      const mark = saved.sizes[i] ?? 0
      this.push(saved.epochs[i] ?? '', seq, mark < 0 ? ~mark : mark, saved.ats[i] ?? 0)
      this.sizes[i] = mark
    })
  }

  private grow(): void {
    const old = this.epochs ?? []
    const capacity = Math.max(SMALLEST, old.length * 2)
    const epochs: string[] = Array.from({ length: capacity }, () => '')
    const seqs: number[] = Array.from({ length: capacity }, () => 0)
    const sizes: number[] = Array.from({ length: capacity }, () => 0)
    const ats: number[] = Array.from({ length: capacity }, () => 0)
    for (let i = 0; i < this.count; i++) {
      const from = (this.first + i) & (old.length - 1)
      epochs[i] = old[from] ?? ''
      seqs[i] = this.seqs[from] ?? 0
      sizes[i] = this.sizes[from] ?? 0
      ats[i] = this.ats[from] ?? 0
    }
    this.first = 0
    this.epochs = epochs
    this.seqs = seqs
    this.sizes = sizes
    this.ats = ats
  }
}
