// The one ordered way out of a connection: Aedes' packets and the courier's. What is written in one turn of the event loop
// leaves as one write to the socket, because the write is what costs.

import type { Wire } from './wire.js'

/**
 * Bytes handed to the socket at once. No more is given before the socket has passed it on, so that every piece that leaves
 * is seen: a device that reads slowly but reads is told from one that does not.
 */
export const PIECE_BYTES = 16 * 1024

/** The owner is told of an emptied queue only if it had held so much: below, nobody stops writing. */
export const LOW_WATER_BYTES = 4 * 1024

/** Bytes that a queued piece costs beside its own. */
const PIECE_COST = 128

const NOTHING: Buffer[] = []

/** Who writes at the end of the turn what has come together in it. */
export interface LateWriter {
  writeLate(): void
}

export interface OutputOwner {
  /** All that was written has been given to the wire, after there was much of it. Who had stopped writing may go on. */
  outputEmptied(): void
}

/**
 * Flushes every output that was written to; one for all connections of a node. Not at the end of this turn but of the next:
 * what has arrived meanwhile is on its way to the disk by then, and the writes to the devices fill the time that it takes.
 * An idle event loop gets there at once.
 */
export class TurnFlusher {
  #dirty: Output[] = []

  add(output: Output): void {
    if (this.#dirty.push(output) === 1) setImmediate(this.#nextTurn)
  }

  readonly #nextTurn = (): void => {
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty
    this.#dirty = []
    for (const output of dirty) output.flush()
  }
}

export class Output {
  readonly #wire: Wire
  readonly #flusher: TurnFlusher
  readonly #owner: OutputOwner
  /** Not yet given to the wire; the shared empty list while there is nothing, so that idle connections own no array. */
  #queue: Buffer[] = NOTHING
  #queued = 0
  /** To be asked for more before the next flush. */
  #late: LateWriter | null = null
  /** The owner is told when the queue is empty. */
  #tell = false
  #state: 'idle' | 'scheduled' | 'blocked' | 'finished' = 'idle'

  constructor(wire: Wire, flusher: TurnFlusher, owner: OutputOwner) {
    this.#wire = wire
    this.#flusher = flusher
    this.#owner = owner
  }

  /** Bytes written that the operating system has not taken yet. */
  get buffered(): number {
    return this.#queued + this.#wire.buffered
  }

  /** About what it takes to hold them: many small pieces take more than their bytes. */
  get cost(): number {
    return this.buffered + this.#queue.length * PIECE_COST
  }

  write(bytes: Buffer): void {
    if (this.#state === 'finished') return
    if (this.#queue === NOTHING) this.#queue = [bytes]
    else this.#queue.push(bytes)
    this.#queued += bytes.length
    if (this.#queued >= LOW_WATER_BYTES) this.#tell = true
    if (this.#state !== 'idle') return
    this.#state = 'scheduled'
    this.#flusher.add(this)
  }

  /** Asks `writer` at the end of the turn, or when the wire takes more; once for each call. */
  later(writer: LateWriter): void {
    if (this.#state === 'finished') return
    this.#late = writer
    if (this.#state !== 'idle') return
    this.#state = 'scheduled'
    this.#flusher.add(this)
  }

  /** Gives the wire what it takes now. */
  flush(): void {
    if (this.#state === 'blocked' || this.#state === 'finished') return
    if (this.#late !== null && !this.#takeLate(this.#late)) return
    this.#state = 'idle'
    while (this.#queue.length > 0) {
      const piece = this.#takePiece()
      this.#queued -= piece.length
      if (this.#wire.write(piece)) continue
      this.#state = 'blocked'
      this.#tell = true
      return
    }
    if (!this.#tell) return
    this.#tell = false
    this.#owner.outputEmptied()
  }

  /** False: the writer has ended the connection. */
  #takeLate(late: LateWriter): boolean {
    this.#late = null
    this.#state = 'scheduled' // what is written now leaves with this flush
    late.writeLate()
    return !this.#isFinished()
  }

  #isFinished(): boolean {
    return this.#state === 'finished'
  }

  /** The wire takes more. */
  writable(): void {
    if (this.#state !== 'blocked') return
    this.#state = 'idle'
    this.flush()
  }

  /** Gives the wire what it takes now and drops the rest; takes nothing more. */
  finish(): void {
    this.#tell = false
    this.flush()
    this.#state = 'finished'
    this.#late = null
    this.#queue = NOTHING
    this.#queued = 0
  }

  /** The first queued bytes, at most PIECE_BYTES, as one buffer. */
  #takePiece(): Buffer {
    const queue = this.#queue
    let size = 0
    let count = 0
    for (const bytes of queue) {
      if (size + bytes.length > PIECE_BYTES) break
      size += bytes.length
      count++
    }
    const first = queue[0] ?? Buffer.alloc(0)
    if (count === 0) {
      queue[0] = first.subarray(PIECE_BYTES)
      return first.subarray(0, PIECE_BYTES)
    }
    if (count === queue.length) {
      this.#queue = NOTHING
      return count === 1 ? first : Buffer.concat(queue, size)
    }
    return count === 1 ? (queue.shift() ?? first) : Buffer.concat(queue.splice(0, count), size)
  }
}
