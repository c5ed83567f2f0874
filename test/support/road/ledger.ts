// Was the promise kept? The ledger is told of every message that was accepted, of everything that each device saw and did,
// and of every cut; the verdict compares. A device's messages bear the numbers 1, 2, 3 … that its producer gave them.
//
// What may come twice: a message that the device had not acknowledged; or one whose acknowledgements were all made on a
// connection that a cut ended, less than the grace time before the cut.

/** Acknowledged less than this before a cut, a message may come again. */
export const ACK_GRACE_MS = 500

export interface LedgerOptions {
  readonly graceMs?: number
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

/** Where a message was accepted. */
export interface Place {
  readonly seq: number
  readonly epoch: string
}

interface Arrival {
  readonly number: number
  /** As the topic says it; null when it does not. */
  readonly seq: number | null
  readonly dup: boolean
}

interface Ack {
  readonly at: number
  readonly connection: Connection
}

interface Connection {
  readonly startedAt: number
  readonly arrivals: Arrival[]
}

interface DeviceNotes {
  readonly accepted: Map<number, Place>
  readonly connections: Connection[]
  /** By number. */
  readonly acks: Map<number, Ack[]>
  readonly cuts: number[]
  /** Numbers that arrived, on whichever connection: two of them may receive at one time. */
  readonly seen: Set<number>
}

/** One connection of one device, as the device saw it. */
export interface ConnectionNotes {
  /** `sentAt`: when its producer made it. */
  arrived(number: number, seq: number | null, dup: boolean, sentAt?: number): void
  /** Call it before the PUBACK is written: an acknowledgement must not look later than it was. */
  acked(number: number): void
  ended?(): void
}

export interface Verdict {
  readonly accepted: number
  /** Distinct messages that arrived. */
  readonly delivered: number
  /** Accepted, and never arrived. */
  readonly lost: readonly string[]
  /** Arrived again although acknowledged in time, or twice on one connection. */
  readonly repeated: readonly string[]
  /** Arrived after a later one: on one connection, or for the first time. */
  readonly reordered: readonly string[]
  /** Arrived without having been accepted, under another seq, or two messages under one seq. */
  readonly wrong: readonly string[]
  /** Came again as they may. */
  readonly repeats: number
  /** Of these, not marked with DUP. */
  readonly unmarked: number
}

export class RoadLedger {
  readonly #devices = new Map<string, DeviceNotes>()
  readonly #graceMs: number
  readonly #now: () => number
  /** Of the server, and so of every device. */
  readonly #cuts: number[] = []
  #accepted = 0
  #distinct = 0

  constructor(options: LedgerOptions = {}) {
    this.#graceMs = options.graceMs ?? ACK_GRACE_MS
    this.#now = options.now ?? (() => performance.now())
  }

  /** Answered with 2xx. A repeated answer must name the same place. */
  accepted(device: string, number: number, place: Place): void {
    const { accepted } = this.#notes(device)
    if (!accepted.has(number)) this.#accepted++
    const before = accepted.get(number)
    if (before !== undefined && (before.seq !== place.seq || before.epoch !== place.epoch))
      throw new Error(`${device} ${number}: accepted at ${before.seq}, and again at ${place.seq}`)
    accepted.set(number, place)
  }

  /** A connection of the device was accepted. */
  connected(device: string): ConnectionNotes {
    const notes = this.#notes(device)
    const connection: Connection = { startedAt: this.#now(), arrivals: [] }
    notes.connections.push(connection)
    const { seen } = notes
    return {
      arrived: (number, seq, dup) => {
        if (!seen.has(number)) this.#distinct++
        seen.add(number)
        connection.arrivals.push({ number, seq, dup })
      },
      acked: (number) => {
        const acks = notes.acks.get(number) ?? []
        acks.push({ at: this.#now(), connection })
        notes.acks.set(number, acks)
      },
    }
  }

  /** The server was killed, or the connection of this device torn, at this moment. */
  cut(device?: string, at = this.#now()): void {
    if (device === undefined) this.#cuts.push(at)
    else this.#notes(device).cuts.push(at)
  }

  /** Distinct messages that were accepted, and that arrived, so far. */
  get progress(): { readonly accepted: number; readonly arrived: number } {
    return { accepted: this.#accepted, arrived: this.#distinct }
  }

  verdict(): Verdict {
    const lost: string[] = []
    const repeated: string[] = []
    const reordered: string[] = []
    const wrong: string[] = []
    let [accepted, delivered, repeats, unmarked] = [0, 0, 0, 0]
    for (const [device, notes] of this.#devices) {
      accepted += notes.accepted.size
      wrong.push(...misplaced(device, notes.accepted))
      const seen = new Set<number>()
      /** Highest seq that arrived so far on any connection. */
      let newest = 0
      for (const [index, connection] of notes.connections.entries()) {
        const here = new Set<number>()
        let last = 0
        for (const { number, seq, dup } of connection.arrivals) {
          const what = `${device} ${number} on connection ${index + 1}`
          const place = notes.accepted.get(number)
          if (place === undefined || (seq !== null && seq !== place.seq)) {
            wrong.push(`${what}: seq ${seq}, accepted at ${place?.seq ?? 'no place'}`)
            continue
          }
          if (here.has(number)) repeated.push(`${what}: twice`)
          else if (place.seq < last) reordered.push(`${what}: seq ${place.seq} after ${last}`)
          else if (seen.has(number)) {
            if (!this.#mayRepeat(notes, number, connection)) repeated.push(`${what}: seq ${place.seq}, acknowledged`)
            else {
              repeats++
              if (!dup) unmarked++
            }
          } else if (place.seq < newest) reordered.push(`${what}: seq ${place.seq} for the first time after ${newest}`)
          here.add(number)
          seen.add(number)
          last = Math.max(last, place.seq)
          newest = Math.max(newest, place.seq)
        }
      }
      delivered += seen.size
      for (const [number, { seq }] of notes.accepted)
        if (!seen.has(number)) lost.push(`${device} ${number}: seq ${seq}`)
    }
    return { accepted, delivered, lost, repeated, reordered, wrong, repeats, unmarked }
  }

  #mayRepeat(notes: DeviceNotes, number: number, on: Connection): boolean {
    const acks = (notes.acks.get(number) ?? []).filter((ack) => ack.connection.startedAt < on.startedAt)
    const cuts = [...this.#cuts, ...notes.cuts]
    return acks.every(({ at, connection }) =>
      cuts.some((cut) => connection.startedAt <= cut && cut <= on.startedAt && cut - at < this.#graceMs),
    )
  }

  #notes(device: string): DeviceNotes {
    let notes = this.#devices.get(device)
    if (notes === undefined) {
      notes = { accepted: new Map(), connections: [], acks: new Map(), cuts: [], seen: new Set() }
      this.#devices.set(device, notes)
    }
    return notes
  }
}

/** Places must be given in the order of the numbers, each once. */
function misplaced(device: string, accepted: ReadonlyMap<number, Place>): readonly string[] {
  const wrong: string[] = []
  let last = 0
  for (const [number, { seq }] of [...accepted].toSorted(([a], [b]) => a - b)) {
    if (seq <= last) wrong.push(`${device} ${number}: accepted at ${seq}, one before it at ${last}`)
    last = Math.max(last, seq)
  }
  return wrong
}

/** True when nothing was lost, repeated against the promise, reordered, or wrong. */
export const isClean = ({ lost, repeated, reordered, wrong }: Verdict): boolean =>
  lost.length + repeated.length + reordered.length + wrong.length === 0
