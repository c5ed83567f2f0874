// Was the promise kept? Pure: a history in, the verdict out.
//
// An SDK device: its handler runs once for each accepted message, in the order of the log, whatever happened.
// A plain device: each connection brings its messages in order, none twice. On a later connection a message comes again only if it
// was not acknowledged, as far as the server can know: every acknowledgement of it was written less than 500 ms before something
// broke, or while it was broken, or so short before the end of its connection that it can have been on the way.

import type { Connection, DeviceHistory, Fault, History, Place } from './history.js'

/** Acknowledged less than this before a node was killed, a message may come again, as long as the store is not slower than that. */
export const ACK_GRACE_MS = 500
/** What was broken may have its effects for so long after it was mended. */
export const SETTLE_MS = 1_000
/** So long can an acknowledgement be on its way, on a busy machine. */
export const ON_THE_WAY_MS = 250
/** A second connection closes the first within 2 s (G7), and it takes some time until that is seen. */
export const OVERLAP_MS = 2_500

export interface Verdict {
  readonly accepted: number
  /** Accepted messages that arrived, or were handled. */
  readonly delivered: number
  readonly lost: readonly string[]
  /** Lost as a fault allows it: of the tail that a master took with it. */
  readonly lostTail: number
  readonly reordered: readonly string[]
  /** The handler ran again. */
  readonly handledAgain: readonly string[]
  /** A plain device got a message again that it had acknowledged in time, or twice on one connection. */
  readonly repeated: readonly string[]
  /** A plain device got a message again as it may. */
  readonly repeats: number
  /** Of these, not marked with DUP. */
  readonly unmarked: number
  /** Nobody accepted it, or it bears the place of another one; a gap; a client that gave up. */
  readonly wrong: readonly string[]
  /** An SDK device had handled what the store has lost, and was not told. */
  readonly untold: readonly string[]
  /** Two connections of a device stood for too long. */
  readonly overlaps: readonly string[]
}

interface Notes {
  readonly lost: string[]
  readonly reordered: string[]
  readonly handledAgain: string[]
  readonly repeated: string[]
  readonly wrong: string[]
  readonly untold: string[]
  readonly overlaps: string[]
  accepted: number
  delivered: number
  lostTail: number
  repeats: number
  unmarked: number
}

/** What is wrong, and may never be. */
export const PROBLEMS = ['lost', 'reordered', 'handledAgain', 'repeated', 'wrong', 'untold', 'overlaps'] as const

/** `slackMs`: how long the machine may have kept devices from seeing what had happened, and nodes from reading what devices wrote. */
export function judge({ devices, faults }: Pick<History, 'devices' | 'faults'>, slackMs = 0): Verdict {
  const notes: Notes = {
    lost: [],
    reordered: [],
    handledAgain: [],
    repeated: [],
    wrong: [],
    untold: [],
    overlaps: [],
    accepted: 0,
    delivered: 0,
    lostTail: 0,
    repeats: 0,
    unmarked: 0,
  }
  for (const [id, device] of devices) {
    const epochs = epochsOf(device)
    notes.accepted += device.accepted.size
    notes.wrong.push(...misplaced(id, device), ...device.troubles.map((what) => `${id}: ${what}`))
    if (device.kind === 'sdk') judgeHandling(id, device, epochs, faults, notes)
    else judgeArrivals(id, device, epochs, faults, slackMs, notes)
    judgeOverlaps(id, device, faults, OVERLAP_MS + slackMs, notes)
    for (const [number, place] of device.accepted) {
      if (device.seen.has(number)) notes.delivered++
      else if (inLostTail(place, epochs, faults)) notes.lostTail++
      else notes.lost.push(`${id} ${number}: seq ${place.seq} of ${place.epoch}`)
    }
  }
  return notes
}

/** One stretch of a log's history. */
interface Stretch {
  readonly rank: number
  readonly firstSeq: number
  /** Infinity: the last one. Else the first seq of the next one. */
  endSeq: number
}

/** The epochs of a device's log by what was accepted in them, in order. */
function epochsOf({ accepted }: DeviceHistory): ReadonlyMap<string, Stretch> {
  const epochs = new Map<string, Stretch>()
  const first = new Map<string, { at: number; seq: number }>()
  for (const { epoch, seq, at } of accepted.values()) {
    const known = first.get(epoch)
    first.set(epoch, known === undefined ? { at, seq } : { at: Math.min(at, known.at), seq: Math.min(seq, known.seq) })
  }
  let last: Stretch | null = null
  for (const [epoch, { seq }] of [...first].toSorted(([, a], [, b]) => a.at - b.at)) {
    if (last !== null) last.endSeq = seq
    last = { rank: epochs.size, firstSeq: seq, endSeq: Infinity }
    epochs.set(epoch, last)
  }
  return epochs
}

/** Places must be given in the order of the numbers, each once. */
function misplaced(id: string, { accepted }: DeviceHistory): readonly string[] {
  const wrong: string[] = []
  const taken = new Set<string>()
  for (const [number, { seq, epoch }] of accepted) {
    if (taken.has(`${epoch} ${seq}`)) wrong.push(`${id} ${number}: accepted at ${seq} of ${epoch}, as another one`)
    taken.add(`${epoch} ${seq}`)
  }
  return wrong
}

/** Its epoch went on without it, and it was accepted while that may be. */
function inLostTail(
  { seq, epoch, at }: Place,
  epochs: ReadonlyMap<string, Stretch>,
  faults: readonly Fault[],
): boolean {
  const stretch = epochs.get(epoch)
  if (stretch === undefined || seq < stretch.endSeq) return false
  return faults.some(({ losesTail, from, to }) => losesTail === true && from <= at && at <= to)
}

/** Seen where it is not: the store lost it after that, and it was accepted anew. */
const isGhost = (at: number, place: Place | undefined, faults: readonly Fault[]): boolean =>
  faults.some(
    ({ losesTail, from, to }) =>
      losesTail === true && from <= at && at <= to && (place === undefined || at < place.at + SETTLE_MS),
  )

function judgeHandling(
  id: string,
  { accepted, handled, resets }: DeviceHistory,
  epochs: ReadonlyMap<string, Stretch>,
  faults: readonly Fault[],
  notes: Notes,
): void {
  const seen = new Set<number>()
  let last: { rank: number; seq: number } | null = null
  for (const { number, epoch, seq, at } of handled) {
    const what = `${id} ${number}: seq ${seq} of ${epoch}`
    const place = accepted.get(number)
    if (seen.has(number)) notes.handledAgain.push(what)
    seen.add(number)
    const stretch = epochs.get(epoch)
    if (stretch !== undefined && seq >= stretch.endSeq && !resets.some((reset) => reset > at)) notes.untold.push(what)
    if (place === undefined || place.seq !== seq || place.epoch !== epoch) {
      if (!isGhost(at, place, faults)) notes.wrong.push(`${what}, accepted at ${place?.seq ?? 'no place'}`)
      continue
    }
    const rank = stretch?.rank ?? 0
    if (
      last !== null &&
      (rank < last.rank || (rank === last.rank && seq <= last.seq)) &&
      !notes.handledAgain.includes(what)
    )
      notes.reordered.push(`${what}, after ${last.seq}`)
    last = { rank, seq }
  }
}

function judgeArrivals(
  id: string,
  { accepted, arrivals, acks }: DeviceHistory,
  epochs: ReadonlyMap<string, Stretch>,
  faults: readonly Fault[],
  slackMs: number,
  notes: Notes,
): void {
  const seen = new Set<number>()
  const here = new Map<Connection, { readonly numbers: Set<number>; last: number }>()
  /** Highest place that arrived so far on any connection. */
  let newest = 0
  const rankOf = (epoch: string): number => epochs.get(epoch)?.rank ?? 0
  for (const { connection, number, seq, dup, at } of arrivals) {
    const what = `${id} ${number}: seq ${seq} on ${connection.node ?? 'a connection'}`
    const place = accepted.get(number)
    const on = here.get(connection) ?? { numbers: new Set(), last: 0 }
    here.set(connection, on)
    if (place === undefined || place.seq !== seq) {
      if (!isGhost(at, place, faults)) notes.wrong.push(`${what}, accepted at ${place?.seq ?? 'no place'}`)
      seen.add(number)
      continue
    }
    // Later epochs are behind earlier ones, whatever their seqs.
    const order = rankOf(place.epoch) * 2 ** 40 + seq
    if (on.numbers.has(number)) notes.repeated.push(`${what}, twice on one connection`)
    else if (order < on.last) notes.reordered.push(`${what}, behind a later one`)
    else if (seen.has(number)) {
      const earlier = (acks.get(number) ?? []).filter((ack) => ack.connection.startedAt < connection.startedAt)
      if (earlier.every((ack) => isExcused(ack.at, ack.connection, faults, slackMs))) {
        notes.repeats++
        if (!dup) notes.unmarked++
      } else notes.repeated.push(`${what}, acknowledged`)
    } else if (order < newest) notes.reordered.push(`${what}, for the first time behind a later one`)
    on.numbers.add(number)
    seen.add(number)
    on.last = Math.max(on.last, order)
    newest = Math.max(newest, order)
  }
}

function isExcused(at: number, connection: Connection, faults: readonly Fault[], slackMs: number): boolean {
  if (at > connection.endedAt - ON_THE_WAY_MS) return true
  return faults.some(
    ({ from, to, node, graceMs = ACK_GRACE_MS }) =>
      (node === null || node === connection.node) && from - graceMs - slackMs < at && at < to + SETTLE_MS,
  )
}

function judgeOverlaps(
  id: string,
  { connections }: DeviceHistory,
  faults: readonly Fault[],
  limitMs: number,
  notes: Notes,
): void {
  for (const [i, later] of connections.entries()) {
    for (const earlier of connections.slice(Math.max(0, i - 4), i)) {
      const both = Math.min(earlier.endedAt, later.endedAt) - later.startedAt
      if (both <= limitMs) continue
      const broken = ({ from, to }: Fault): boolean =>
        from < later.startedAt + limitMs && later.startedAt < to + SETTLE_MS
      if (!faults.some(broken)) notes.overlaps.push(`${id}: two connections for ${Math.round(both)} ms`)
    }
  }
}
