// Was the promise kept? The sending side notes what was accepted, the receiving side what arrived, each per device by the
// numbers of the marks; the verdict compares them. Numbers of a device are given 1, 2, 3 … by one producer, one request at
// a time, so that order of number is order of acceptance.

/** What became of the numbers 1..sent of a device range. */
export interface SentSummary {
  /** Index of the first device; `sent[i]` is the highest number given to device `first + i`. */
  readonly first: number
  readonly sent: Uint32Array
  /** Pairs device, number that the server refused: they must not arrive. */
  readonly refused: Uint32Array
  /** Pairs device, number without an answer: they may arrive or not. */
  readonly unknown: Uint32Array
}

export interface ReceivedSummary {
  readonly first: number
  /** Highest number that arrived, per device. */
  readonly highest: Uint32Array
  /** Pairs device, number that were jumped over and never came. */
  readonly missing: Uint32Array
  /** Arrivals in all, repeated ones included. */
  readonly received: number
  readonly repeated: number
  readonly reordered: number
  /** Arrived at a device that they were not for, or without a readable mark. */
  readonly foreign: number
}

export interface Verdict {
  readonly accepted: number
  /** Distinct messages that arrived. */
  readonly delivered: number
  readonly lost: number
  readonly repeated: number
  readonly reordered: number
  /** Refused, and delivered all the same. */
  readonly unexpected: number
  readonly foreign: number
}

/** The receiving side's notes. */
export class ReceivedLedger {
  readonly #first: number
  readonly #highest: Uint32Array
  readonly #missing = new Map<number, Set<number>>()
  received = 0
  repeated = 0
  reordered = 0
  foreign = 0

  constructor(first: number, devices: number) {
    this.#first = first
    this.#highest = new Uint32Array(devices)
  }

  /** Message `number` of `device` arrived at `device`. */
  note(device: number, number: number): void {
    const index = device - this.#first
    const highest = this.#highest[index]
    if (highest === undefined || number < 1) {
      this.foreign++
      return
    }
    this.received++
    if (number === highest + 1) this.#highest[index] = number
    else this.#outOfLine(index, highest, number)
  }

  get distinct(): number {
    return this.received - this.repeated
  }

  #outOfLine(index: number, highest: number, number: number): void {
    const missing = this.#missing.get(index) ?? new Set<number>()
    if (number > highest) {
      for (let skipped = highest + 1; skipped < number; skipped++) missing.add(skipped)
      this.#highest[index] = number
      this.#missing.set(index, missing)
    } else if (missing.delete(number)) this.reordered++
    else this.repeated++
  }

  summary(): ReceivedSummary {
    const missing = [...this.#missing].flatMap(([index, numbers]) =>
      [...numbers].flatMap((number) => [index + this.#first, number]),
    )
    return {
      first: this.#first,
      highest: this.#highest.slice(),
      missing: Uint32Array.from(missing),
      received: this.received,
      repeated: this.repeated,
      reordered: this.reordered,
      foreign: this.foreign,
    }
  }
}

/** The sending side's notes. */
export class SentLedger {
  readonly #first: number
  readonly #sent: Uint32Array
  readonly #refused: number[] = []
  readonly #unknown: number[] = []

  constructor(first: number, devices: number) {
    this.#first = first
    this.#sent = new Uint32Array(devices)
  }

  /** The next number of `device`. */
  next(device: number): number {
    const number = (this.#sent[device - this.#first] ?? 0) + 1
    this.#sent[device - this.#first] = number
    return number
  }

  refused(device: number, number: number): void {
    this.#refused.push(device, number)
  }

  unknown(device: number, number: number): void {
    this.#unknown.push(device, number)
  }

  summary(): SentSummary {
    return {
      first: this.#first,
      sent: this.#sent.slice(),
      refused: Uint32Array.from(this.#refused),
      unknown: Uint32Array.from(this.#unknown),
    }
  }
}

function addPairs(target: Map<number, Set<number>>, pairs: Uint32Array): void {
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const device = pairs[i] ?? 0
    const numbers = target.get(device) ?? new Set<number>()
    numbers.add(pairs[i + 1] ?? 0)
    target.set(device, numbers)
  }
}

/** Compares what was accepted with what arrived. Ranges of devices may be split differently on the two sides. */
export function judge(sent: readonly SentSummary[], received: readonly ReceivedSummary[]): Verdict {
  const refused = new Map<number, Set<number>>()
  const unknown = new Map<number, Set<number>>()
  const missing = new Map<number, Set<number>>()
  const highest = new Map<number, number>()
  let arrivals = 0
  let [repeated, reordered, foreign] = [0, 0, 0]
  for (const part of sent) {
    addPairs(refused, part.refused)
    addPairs(unknown, part.unknown)
  }
  for (const part of received) {
    addPairs(missing, part.missing)
    part.highest.forEach((number, i) => highest.set(part.first + i, number))
    arrivals += part.received
    repeated += part.repeated
    reordered += part.reordered
    foreign += part.foreign
  }
  let [accepted, lost, unexpected] = [0, 0, 0]
  const none: ReadonlySet<number> = new Set<number>()
  for (const part of sent) {
    part.sent.forEach((count, i) => {
      const device = part.first + i
      const top = highest.get(device) ?? 0
      const absent = missing.get(device) ?? none
      const no = refused.get(device) ?? none
      const open = unknown.get(device) ?? none
      accepted += count - no.size - open.size
      for (const number of no) if (number <= top && !absent.has(number)) unexpected++
      for (const number of absent) if (number <= count && !no.has(number) && !open.has(number)) lost++
      for (let number = top + 1; number <= count; number++) if (!no.has(number) && !open.has(number)) lost++
      if (top > count) unexpected += top - count
    })
  }
  return { accepted, delivered: arrivals - repeated, lost, repeated, reordered, unexpected, foreign }
}

/** True when nothing was lost, repeated, reordered or misdirected. */
export const isClean = (verdict: Verdict): boolean =>
  verdict.lost + verdict.repeated + verdict.reordered + verdict.unexpected + verdict.foreign === 0
