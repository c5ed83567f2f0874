// Messages that were put aside because their handler kept failing. They are acknowledged: the server has done its part, and the
// application decides what becomes of them.

import { PostriderError } from '../errors.js'
import { MessageEntry, messageKey } from '../log/entry.js'
import { Message } from '../message.js'
import type { StateStore } from '../storage/state-store.js'
import { parkedKey, writeParked, type StoredParked } from '../storage/stored-values.js'

export interface ParkedMessage {
  readonly message: Message
  /** What the handler threw last. */
  readonly error: string
}

export class Parking {
  readonly #store: StateStore
  readonly #max: number
  /** By number; numbers grow. */
  readonly #parked: Map<number, StoredParked>
  #next = 1

  constructor(store: StateStore, max: number) {
    this.#store = store
    this.#max = max
    this.#parked = new Map(store.parked)
    for (const number of this.#parked.keys()) this.#next = Math.max(this.#next, number + 1)
  }

  /** Goes into the storage together with the record that the message is handled. False: no more fit. */
  park(log: string, entry: MessageEntry, attempts: number, error: string): boolean {
    if (this.#parked.size >= this.#max) return false
    // The payload may share memory with its neighbours on the wire.
    const message = { ...entry.message, payload: entry.message.payload.slice() }
    const parked = { log, epoch: entry.epoch, message, attempts, error }
    const number = this.#next++
    this.#parked.set(number, parked)
    this.#store.put(parkedKey(number), writeParked(parked))
    return true
  }

  /** Oldest first. */
  list(): readonly ParkedMessage[] {
    return Array.from(this.#parked.values(), (parked) => ({ message: messageOf(parked), error: parked.error }))
  }

  /** Forgets one, by its key. Resolves when that is in the storage; false: there is none. */
  async remove(key: string): Promise<boolean> {
    for (const [number, parked] of this.#parked) {
      if (keyOf(parked) !== key) continue
      this.#parked.delete(number)
      this.#store.put(parkedKey(number), null)
      await this.#store.save()
      return true
    }
    return false
  }

  /** Calls `handle` for one, by its key, and forgets it when that resolves. */
  async retry(key: string, handle: (message: Message) => unknown): Promise<void> {
    const found = [...this.#parked.values()].find((parked) => keyOf(parked) === key)
    if (found === undefined) throw new PostriderError('bad_option', `no message ${key} is parked`)
    await handle(messageOf(found, found.attempts + 1))
    await this.remove(key)
  }
}

const keyOf = ({ log, epoch, message }: StoredParked): string => messageKey(log, epoch, message.seq)

function messageOf({ log, epoch, message, attempts }: StoredParked, attempt = attempts): Message {
  return new Message(log, new MessageEntry(epoch, message), attempt, () => undefined)
}
