// Every listener of a process takes its sockets from one limit of open files. When it is used up, accepting fails for all of
// them; so the sockets together stay below it, and whoever only waits makes room for whoever comes.

import { readFileSync } from 'node:fs'

/** Somebody who can make room: the sockets of one kind that may be ended at no harm. */
export interface RoomMaker {
  readonly size: number
  /** Ends one of them; false: there was none. */
  putOutOldest(): boolean
}

export class SocketBudget {
  readonly max: number
  readonly #rooms: RoomMaker[] = []
  #open = 0

  /** `max`: sockets of all listeners together. */
  constructor(max: number) {
    this.max = max
  }

  get open(): number {
    return this.#open
  }

  addRoom(room: RoomMaker): void {
    this.#rooms.push(room)
  }

  /**
   * One socket more. Over the limit the largest room puts one out, which may be the new one if it is there already. False:
   * there is nobody to put out; the caller should end the new socket.
   */
  enter(): boolean {
    this.#open++
    if (this.#open <= this.max) return true
    const [largest] = this.#rooms.toSorted((a, b) => b.size - a.size)
    return largest !== undefined && largest.putOutOldest()
  }

  /** Once for each `enter`, when the socket has closed. */
  leave(): void {
    this.#open--
  }
}

const FILES = /^Max open files +(\d+|unlimited)/m

/** How many files this process may have open; null: it cannot be found out. Node has raised the soft limit to the hard one. */
export function openFilesLimit(read: () => string = () => readFileSync('/proc/self/limits', 'utf8')): number | null {
  try {
    const limit = FILES.exec(read())?.[1]
    return limit === undefined || limit === 'unlimited' ? null : Number(limit)
  } catch {
    return null // not Linux: the limit is the operator's business
  }
}

/** Files that are not sockets of clients: the store, the log, the listeners, the admin port. */
const OWN_FILES = 384
/** Sockets for whoever is not a connected device: those who wait for their answer, and requests. */
const SPARE_SOCKETS = 256

/** What of `files` open files is for the sockets of clients, and how many of those devices may take. */
export function shareFiles(files: number | null): { readonly sockets: number; readonly devices: number } {
  if (files === null) return { sockets: Infinity, devices: Infinity }
  const sockets = files - Math.min(OWN_FILES, Math.ceil(files / 4))
  return { sockets, devices: sockets - Math.min(SPARE_SOCKETS, Math.ceil(sockets / 4)) }
}
