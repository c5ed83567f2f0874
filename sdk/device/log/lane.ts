// One log of a device, on this side of the connection: checks that the server leaves nothing out, decides what each message
// needs, and keeps them in order. No I/O and no time.
//
// What arrives is queued. When the connection changes, what is queued is dropped, because the server sends it again; a message
// whose handler was started is kept aside, so that its second coming finds it and does not start it again.

import type { DataFrame, GapFrame, ResetFrame, WelcomeLog, WireMessage } from '../../../protocol/frames/frame-types.js'
import type { LogMemory } from '../storage/state-store.js'
import { MessageEntry, messageKey, type Entry } from './entry.js'
import { EntryQueue } from './entry-queue.js'

/** The server left out what it should have told, or repeats itself. `text` says what. */
export interface Broken {
  readonly text: string
}

/** Messages kept aside at most. More can only be there when the server never sends again what was acknowledged out of order. */
const KEPT_MAX = 4_096

const placeOf = (epoch: string, seq: number): string => `${epoch}/${seq}`

export class Lane {
  readonly memory: LogMemory
  readonly queue = new EntryQueue<Entry>()
  /** Started on an earlier connection, and not recorded. */
  readonly #kept = new Map<string, MessageEntry>()
  /** The last seq that this connection was told of; null: the log was not named on it. */
  #told: number | null = null
  /** The head of the log at the welcome. */
  #headThen = 0
  /** Grows whenever the queue was dropped. */
  version = 0

  constructor(memory: LogMemory) {
    this.memory = memory
  }

  get name(): string {
    return this.memory.name
  }

  /** The last welcome named it. */
  get named(): boolean {
    return this.#told !== null
  }

  /** Everything that was in the log at the welcome has been told. */
  get toldAll(): boolean {
    return this.#told === null || this.#told >= this.#headThen
  }

  /**
   * A new connection: it sends everything after the cursor again. The position stays: gaps that follow may be lost with the
   * connection, and the next hello must ask for them again.
   */
  welcome({ epoch, cursor, head }: WelcomeLog): void {
    this.#begin(epoch, cursor, head)
  }

  /** A new connection that does not name the log: the device is not in it any more. */
  leave(): void {
    this.#dropQueue()
    this.#told = null
  }

  /** The server cannot make sense of the device's place: the store lost data, or the log was purged. */
  reset({ epoch, cursor, head }: ResetFrame): void {
    this.memory.dedup.reset()
    this.memory.record.moveTo(epoch, cursor)
    this.#begin(epoch, cursor, head)
  }

  gap(frame: GapFrame): Broken | null {
    if (this.#told === null) return { text: `a gap in ${this.name}, which the welcome did not name` }
    // One that was told right after the welcome lies before the cursor.
    this.#told = Math.max(this.#told, frame.to)
    this.queue.push({ kind: 'gap', frame, told: false })
    return null
  }

  /** Each message at or below its epoch's record is settled already; one whose handler runs is found again. */
  data(frame: DataFrame): Broken | null {
    if (this.#told !== frame.prev) {
      const told = this.#told === null ? 'nothing' : `seq ${this.#told}`
      return { text: `${this.name}: the frame follows seq ${frame.prev}; ${told} was told before` }
    }
    for (const message of frame.messages) {
      this.queue.push(this.#entryFor(frame.epoch, message))
      this.#told = message.seq
    }
    return null
  }

  #entryFor(epoch: string, message: WireMessage): MessageEntry {
    const { record, dedup } = this.memory
    if (this.#kept.size > 0) {
      const place = placeOf(epoch, message.seq)
      const kept = this.#kept.get(place)
      if (kept !== undefined) {
        this.#kept.delete(place)
        return kept
      }
    }
    const entry = new MessageEntry(epoch, message)
    if (record.wasHandled(epoch, message.seq)) entry.state = 'settled'
    else if (message.dedupId !== null) {
      const first = dedup.find(message.dedupId, epoch, message.at)
      if (first !== null) entry.repeats = messageKey(this.name, first.epoch, first.seq)
    }
    return entry
  }

  #begin(epoch: string, cursor: number, head: number): void {
    this.#dropQueue()
    this.#told = cursor
    this.#headThen = head
    // What lies at or below the cursor does not come again.
    for (const [place, entry] of this.#kept) {
      if (entry.epoch === epoch && entry.seq <= cursor) this.#kept.delete(place)
    }
  }

  #dropQueue(): void {
    this.version++
    for (const [place, entry] of this.#kept) if (entry.state === 'settled') this.#kept.delete(place)
    for (const entry of this.queue.drain()) {
      if (entry.kind === 'message' && (entry.state === 'started' || entry.state === 'acked')) {
        this.#kept.set(placeOf(entry.epoch, entry.seq), entry)
      }
    }
    for (const place of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX) break
      this.#kept.delete(place)
    }
  }
}
