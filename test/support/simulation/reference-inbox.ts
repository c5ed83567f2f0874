// The contract of one device's record and log, written down a second time and independently of every driver, as functions
// over plain data. Each function is one atomic step. `rules` are the contract; the simulation breaks them one at a time.

import type {
  Claim,
  ClaimGranted,
  ClaimHeld,
  HeadResult,
  LogGap,
  PageEntry,
  ReadResult,
  ResumeResult,
} from '../../../core/ports/mailbox.js'
import type { Position } from '../../../core/model/message.js'
import type { PageRequest } from '../../../courier/machine-types.js'
import { simMessage } from './sim-message.js'
import { Violation } from './violation.js'

export interface InboxData {
  readonly generation: string
  /** [epoch, its first seq], in order. */
  readonly epochs: ReadonlyArray<readonly [string, number]>
  /** The generation in which the last epoch began. */
  readonly epochGeneration: string
  readonly head: number
  readonly cursor: number
  readonly pending: number
  /** Watermark of what was put on a wire. */
  readonly sent: number
  readonly claim: Claim | null
  /** How many claims had been made with the stored one: for the invariants only. */
  readonly claimOrder: number
  /** Seqs. */
  readonly exceptions: readonly number[]
  /** Those of them that a stream device is told of. */
  readonly overflowed: readonly number[]
  /** [dedup id, epoch, seq] */
  readonly dedup: ReadonlyArray<readonly [number, string, number]>
  /** The true identity of the message at seq 1, 2, 3, …; no rule may look at it. */
  readonly mids: readonly number[]
}

export interface InboxRules {
  /** Which acks count, and how far. */
  readonly ack: 'clamp' | 'in-list' | 'last-epoch' | 'last-epoch-clamped' | 'any'
  readonly epochCut: 'needed' | 'last'
  readonly epochsKept: number
  readonly newEpochAfterFailover: boolean
  readonly readChecksClaim: boolean
  readonly readChecksPosition: boolean
  readonly releaseChecksClaim: boolean
  readonly exceptionsMoveCursor: boolean
  readonly dedup: 'kept' | 'none' | 'forgets-handled'
  /** Pending messages; 0: no cap. More: the oldest becomes an exception. */
  readonly cap: number
  /** What a hello does whose position is past the end of its stretch, or unknown. */
  readonly helloPast: 'max' | 'set' | 'trust'
  readonly helloUnknown: 'ignore' | 'trust'
  /** Who says what became of the seqs between the hello's position and the cursor; `sdk`: all were handled elsewhere. */
  readonly helloGaps: 'server' | 'sdk'
  readonly helloChecksClaim: boolean
}

export const INBOX_RULES: InboxRules = {
  ack: 'clamp',
  epochCut: 'needed',
  epochsKept: 16,
  newEpochAfterFailover: true,
  readChecksClaim: true,
  readChecksPosition: true,
  releaseChecksClaim: true,
  exceptionsMoveCursor: true,
  dedup: 'kept',
  cap: 0,
  helloPast: 'max',
  helloUnknown: 'ignore',
  helloGaps: 'server',
  helloChecksClaim: true,
}

/** What the inbox tells the keeper of the ghost state. */
export interface InboxWitness {
  /** The cursor is to pass this message. */
  passed(mid: number, excepted: boolean, seq: number): void
  excepted(mid: number): void
  /** By overflow. */
  dropped(mid: number): void
}

export function newInbox(epoch: string, generation: string): InboxData {
  return {
    generation,
    epochs: [[epoch, 1]],
    epochGeneration: generation,
    head: 0,
    cursor: 0,
    pending: 0,
    sent: 0,
    claim: null,
    claimOrder: 0,
    exceptions: [],
    overflowed: [],
    dedup: [],
    mids: [],
  }
}

export const lastEpoch = (data: InboxData): string => data.epochs[data.epochs.length - 1]?.[0] ?? ''

export const midAt = (data: InboxData, seq: number): number => data.mids[seq - 1] ?? 0

const isException = (data: InboxData, seq: number): boolean => data.exceptions.includes(seq)

function endOfStretch(data: InboxData, index: number): number {
  const next = data.epochs[index + 1]
  return next === undefined ? data.head : next[1] - 1
}

export function epochOf(data: InboxData, seq: number): string {
  let found = data.epochs[0]?.[0] ?? ''
  for (const [epoch, first] of data.epochs) if (first <= seq) found = epoch
  return found
}

function resolve(
  data: InboxData,
  position: Position,
): { readonly kind: 'valid' | 'past' | 'unknown'; readonly seq: number } {
  const index = data.epochs.findIndex(([epoch]) => epoch === position.epoch)
  if (index < 0) return { kind: 'unknown', seq: 0 }
  const end = endOfStretch(data, index)
  return position.seq <= end ? { kind: 'valid', seq: position.seq } : { kind: 'past', seq: end }
}

export function deliverable(data: InboxData): number {
  let count = 0
  for (let seq = data.cursor + 1; seq <= data.head; seq++) if (!isException(data, seq)) count++
  return count
}

function overExceptions(data: InboxData, rules: InboxRules): InboxData {
  let { cursor } = data
  if (rules.exceptionsMoveCursor) while (cursor < data.head && isException(data, cursor + 1)) cursor++
  return cursor === data.cursor ? data : { ...data, cursor }
}

/** Moves the cursor forward to `to`, then over exceptions. */
export function moveCursor(data: InboxData, to: number, rules: InboxRules, witness: InboxWitness): InboxData {
  if (to <= data.cursor) return data
  if (to > data.head)
    throw new Violation('I4', `cursor ${to} is past the head ${data.head}: what comes next counts as handled`)
  let { pending } = data
  for (let seq = data.cursor + 1; seq <= to; seq++) {
    const excepted = isException(data, seq)
    if (!excepted) pending--
    witness.passed(midAt(data, seq), excepted, seq)
  }
  return overExceptions({ ...data, cursor: to, pending }, rules)
}

export function ack(data: InboxData, position: Position, rules: InboxRules, witness: InboxWitness): InboxData {
  const found = resolve(data, position)
  const isLast = position.epoch === lastEpoch(data)
  const to = {
    clamp: found.kind === 'unknown' ? 0 : found.seq,
    'in-list': found.kind === 'unknown' ? 0 : position.seq,
    'last-epoch': isLast ? position.seq : 0,
    'last-epoch-clamped': isLast ? found.seq : 0,
    any: position.seq,
  }[rules.ack]
  return moveCursor(data, to, rules, witness)
}

/** The watermark of what was sent: merged like an ack, moves nothing else. */
export function markSent(data: InboxData, position: Position): InboxData {
  const found = resolve(data, position)
  return found.kind !== 'unknown' && found.seq > data.sent ? { ...data, sent: found.seq } : data
}

export function except(data: InboxData, seq: number, rules: InboxRules, witness: InboxWitness): InboxData {
  witness.excepted(midAt(data, seq))
  const exceptions = [...data.exceptions, seq].toSorted((a, b) => a - b)
  return overExceptions({ ...data, exceptions, pending: data.pending - 1 }, rules)
}

export interface Appended {
  readonly data: InboxData
  readonly epoch: string
  readonly seq: number
  readonly mid: number
  readonly fresh: boolean
}

/** Appends message `mid` for dedup id `id`, or finds the first copy. `newEpoch` is a name that was never used. */
export function append(
  data: InboxData,
  id: number,
  mid: number,
  newEpoch: () => string,
  rules: InboxRules,
  witness: InboxWitness,
): Appended {
  const known = rules.dedup === 'none' ? undefined : data.dedup.find(([d]) => d === id)
  if (known !== undefined && !(rules.dedup === 'forgets-handled' && known[2] <= data.cursor)) {
    const [, epoch, seq] = known
    return { data, epoch, seq, mid: midAt(data, seq), fresh: false }
  }
  let next = data
  if (data.epochGeneration !== data.generation && rules.newEpochAfterFailover) {
    next = cutEpochs(
      { ...data, epochs: [...data.epochs, [newEpoch(), data.head + 1]], epochGeneration: data.generation },
      rules,
    )
  }
  const seq = next.head + 1
  const epoch = lastEpoch(next)
  next = {
    ...next,
    head: seq,
    pending: next.pending + 1,
    mids: [...next.mids, mid],
    dedup: [...next.dedup.filter(([d]) => d !== id), [id, epoch, seq]],
  }
  if (rules.cap > 0 && next.pending > rules.cap) {
    let oldest = next.cursor + 1
    while (isException(next, oldest)) oldest++
    next = except({ ...next, overflowed: [...next.overflowed, oldest] }, oldest, rules, witness)
    witness.dropped(midAt(next, oldest))
  }
  return { data: next, epoch, seq, mid, fresh: true }
}

function cutEpochs(data: InboxData, rules: InboxRules): InboxData {
  let next = data
  while (next.epochs.length > rules.epochsKept) {
    if (rules.epochCut === 'needed' && endOfStretch(next, 0) > next.cursor) break
    next = { ...next, epochs: next.epochs.slice(1) }
  }
  return next
}

export function read(data: InboxData, claimId: string, request: PageRequest, rules: InboxRules): ReadResult {
  if (data.claim?.claimId !== claimId && rules.readChecksClaim) {
    return { kind: 'not_owner', claim: data.claim, generation: data.generation }
  }
  const { position } = request
  if (rules.readChecksPosition && resolve(data, position).kind !== 'valid') return { kind: 'diverged' }
  const entries: PageEntry[] = []
  let count = 0
  let { seq } = position
  while (seq < data.head && count < request.maxMessages) {
    seq++
    const epoch = epochOf(data, seq)
    if (isException(data, seq)) {
      const reason = data.overflowed.includes(seq) ? 'overflow' : 'cancelled'
      entries.push({ kind: 'exception', epoch, from: seq, to: seq, reason })
    } else if (seq > data.cursor) {
      entries.push({
        kind: 'message',
        epoch,
        message: simMessage(seq, midAt(data, seq)),
        redelivered: seq <= data.sent,
      })
      count++
    }
  }
  const next = seq === position.seq ? position : { epoch: epochOf(data, seq), seq }
  return { kind: 'page', entries, next, head: data.head, lastEpoch: lastEpoch(data) }
}

/** A stream device's hello. */
export function resume(
  before: InboxData,
  claimId: string,
  position: Position | null,
  rules: InboxRules,
  witness: InboxWitness,
): { readonly data: InboxData; readonly answer: ResumeResult } {
  const found = position === null ? { kind: 'none' as const, seq: 0 } : resolve(before, position)
  const seq = position?.seq ?? 0
  let to = found.kind === 'none' || found.kind === 'unknown' ? 0 : found.seq
  if (found.kind === 'past' && rules.helloPast === 'trust') to = seq
  if (found.kind === 'past' && rules.helloPast === 'set' && to < before.cursor) {
    throw new Violation('I4', `cursor moves back from ${before.cursor} to ${to}: handled messages become pending again`)
  }
  if (found.kind === 'unknown' && rules.helloUnknown === 'trust') to = seq
  const data = moveCursor(before, to, rules, witness)
  if (data.claim?.claimId !== claimId && rules.helloChecksClaim) {
    return { data, answer: { kind: 'not_owner', claim: data.claim, generation: data.generation } }
  }
  const gaps: LogGap[] = []
  const from = found.kind === 'none' || found.kind === 'valid' ? seq : data.cursor
  for (let q = from + 1; q <= data.cursor; q++) {
    const told = !isException(data, q) || rules.helloGaps === 'sdk' ? 'handled-elsewhere' : 'overflow'
    if (told === 'overflow' && !data.overflowed.includes(q)) continue
    gaps.push({ from: q, to: q, reason: told })
  }
  return {
    data,
    answer: {
      kind: 'resumed',
      found: found.kind,
      position: { epoch: epochOf(data, data.cursor), seq: data.cursor },
      head: data.head,
      lastEpoch: lastEpoch(data),
      gaps,
    },
  }
}

export function claim(
  data: InboxData,
  mine: Claim,
  order: number,
  force: boolean,
): { readonly data: InboxData; readonly answer: ClaimGranted | ClaimHeld } {
  if (data.claim !== null && !force) return { data, answer: { ok: false, claim: data.claim } }
  return {
    data: { ...data, claim: mine, claimOrder: order },
    answer: {
      ok: true,
      position: { epoch: epochOf(data, data.cursor), seq: data.cursor },
      head: data.head,
      lastEpoch: lastEpoch(data),
      pending: data.pending,
      generation: data.generation,
      subscription: null,
    },
  }
}

export function release(data: InboxData, claimId: string, rules: InboxRules): InboxData {
  if (data.claim === null || (data.claim.claimId !== claimId && rules.releaseChecksClaim)) return data
  return { ...data, claim: null }
}

export function headOf(data: InboxData, acked: Position | null): HeadResult {
  const found = acked === null ? null : resolve(data, acked)
  return {
    claim: data.claim,
    generation: data.generation,
    lastEpoch: lastEpoch(data),
    head: data.head,
    cursor: { epoch: epochOf(data, data.cursor), seq: data.cursor },
    pending: data.pending,
    oldestPendingAt: null,
    ackedSeq: found === null || found.kind === 'unknown' ? null : found.seq,
  }
}
