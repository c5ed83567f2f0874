// What the calls of the Mailbox port do to one device's state. Decisions only: each is applied to a state that was read, and counts
// when the state is written back.

import { bodyHash, dedupIdHash } from '../../model/body-hash.js'
import { resolvePosition } from '../../model/epochs.js'
import { gapsBetween } from '../../model/gaps.js'
import { messageSize, type NewMessage, type Position } from '../../model/message.js'
import type {
  AckItem,
  AckResult,
  AppendResult,
  CancelResult,
  Claim,
  ClaimGranted,
  ClaimHeld,
  MailboxLimits,
  ResumeResult,
} from '../../ports/mailbox.js'
import type { DedupEntry, DeviceState } from './device-state.js'

/** A message and what can be said of it without the log. Made once, also when the step has to be tried again. */
export interface PreparedMessage {
  readonly message: NewMessage
  readonly size: number
  readonly idHash: Buffer | null
  readonly bodyHash: Buffer | null
}

export function prepare(message: NewMessage): PreparedMessage {
  const dedup = message.dedupId !== null
  return {
    message,
    size: messageSize(message),
    idHash: message.dedupId === null ? null : dedupIdHash(message.dedupId),
    bodyHash: dedup ? bodyHash(message) : null,
  }
}

export interface Moment {
  readonly now: number
  readonly generation: string
  readonly limits: MailboxLimits
  readonly randomId: () => string
  /** Dedup ids of this device in documents of their own, as far as they were asked for: by the hash, as hex. */
  readonly spilled: ReadonlyMap<string, DedupEntry>
}

const retentionMs = ({ limits }: Moment): number => limits.retentionSeconds * 1000

/** What time alone does. To be applied to a state before anything else. */
export function age(state: DeviceState, moment: Moment): void {
  const { now } = moment
  const retention = retentionMs(moment)
  giveUpOld(state, now, retention)
  if (state.fields.nextExpiry !== 0 && now >= state.fields.nextExpiry) expire(state, now)
  state.prune(now - retention)
}

/** Messages stand in order of time, and the one after the cursor always waits: the front tells. */
function giveUpOld(state: DeviceState, now: number, retention: number): void {
  const { fields } = state
  while (fields.pending > 0) {
    const front = state.headOf(fields.cursor + 1)
    if (front !== null && now - front.at < retention) return
    // Whichever time came first, however late it is looked at.
    const expired = front !== null && front.expiresAt !== 0 && front.expiresAt <= front.at + retention
    state.except(fields.cursor + 1, expired ? 'expired' : 'retention', now)
  }
}

/** One pass over what waits; finds the next time as well. */
function expire(state: DeviceState, now: number): void {
  let next = 0
  const { fields } = state
  for (let seq = fields.cursor + 1; seq <= fields.head; seq++) {
    const exception = state.exceptionAt(seq)
    if (exception !== undefined) {
      seq = exception.to
      continue
    }
    const expiresAt = state.headOf(seq)?.expiresAt ?? 0
    if (expiresAt === 0) continue
    if (expiresAt <= now) state.except(seq, 'expired', now)
    else if (next === 0 || expiresAt < next) next = expiresAt
  }
  fields.nextExpiry = fields.pending === 0 ? 0 : next
  state.changed = true
}

/** Nobody used the record for so long, and nothing is in it: it counts as removed. */
export function isIdle({ fields }: DeviceState, moment: Moment): boolean {
  if (fields.claim !== null || fields.pending > 0) return false
  return moment.now - Math.max(fields.usedAt, fields.lastSeenAt ?? 0) > moment.limits.idleDeviceSeconds * 1000
}

/** Ids whose answer may be in a document of its own, for all that the state itself knows. */
export function idsToLookUp(state: DeviceState, messages: readonly PreparedMessage[], now: number): readonly Buffer[] {
  if (state.fields.spilledUntil <= now) return []
  return messages.flatMap(({ idHash }) => (idHash === null || findInline(state, idHash) !== null ? [] : [idHash]))
}

function findInline(state: DeviceState, idHash: Buffer): DedupEntry | null {
  return state.dedups.findLast((entry) => entry.idHash.equals(idHash)) ?? null
}

export function append(state: DeviceState, item: PreparedMessage, moment: Moment): AppendResult {
  const { now, limits } = moment
  const { message, idHash, bodyHash: hash, size } = item
  const { fields } = state
  const expiresAt = message.ttl === null ? null : Math.max(1, Math.round(message.ttl * 1000))
  if (idHash !== null && hash !== null) {
    const first = findInline(state, idHash) ?? moment.spilled.get(idHash.toString('hex')) ?? null
    if (first !== null && now - first.at < limits.dedupWindowSeconds * 1000) {
      const { seq, epoch, at } = first
      if (!first.bodyHash.equals(hash)) return { ok: false, code: 'dedup_conflict', seq }
      // The body is the same, so the ttl is.
      return {
        ok: true,
        seq,
        epoch,
        at,
        expiresAt: expiresAt === null ? null : at + expiresAt,
        duplicate: true,
        owner: null,
      }
    }
  }
  if (!makeRoom(state, size, moment)) return { ok: false, code: 'inbox_full' }
  if (fields.generation !== moment.generation) state.beginEpoch(moment.randomId(), moment.generation)
  state.append(message, { at: now, expiresAt: expiresAt === null ? 0 : now + expiresAt, size })
  const seq = fields.head
  const epoch = state.lastEpoch
  if (idHash !== null && hash !== null) state.dedups.push({ idHash, bodyHash: hash, seq, at: now, epoch })
  fields.usedAt = now
  return {
    ok: true,
    seq,
    epoch,
    at: now,
    expiresAt: expiresAt === null ? null : now + expiresAt,
    duplicate: false,
    owner: fields.claim,
  }
}

function makeRoom(state: DeviceState, size: number, { now, limits }: Moment): boolean {
  const { fields } = state
  const full = (): boolean => fields.pending >= limits.inboxMax || fields.pendingBytes + size > limits.inboxMaxBytes
  if (!full()) return true
  if (limits.overflow === 'reject' || size > limits.inboxMaxBytes || limits.inboxMax < 1) return false
  while (full()) state.except(fields.cursor + 1, 'overflow', now)
  return true
}

export function ack(state: DeviceState, item: AckItem, moment: Moment): AckResult {
  const { sent, received } = item
  const marks = { ...(sent === undefined ? {} : { sent }), ...(received === undefined ? {} : { received }) }
  const counted = state.ack(item.position, marks, moment.now)
  state.prune(moment.now - retentionMs(moment))
  return { counted, cursor: state.fields.cursor, pending: state.fields.pending }
}

export function resume(state: DeviceState, claimId: string, position: Position | null, moment: Moment): ResumeResult {
  const { fields } = state
  const found = position === null ? 'none' : resolvePosition(fields.epochs, fields.head, position).kind
  if (position !== null) state.ack(position, {}, moment.now)
  state.prune(moment.now - retentionMs(moment))
  if (!state.owns(claimId)) return { kind: 'not_owner', claim: fields.claim, generation: moment.generation }
  // What the device is told of here is on nobody's wire.
  state.leftOut(0, fields.cursor)
  const after = found === 'none' ? 0 : found === 'valid' ? (position?.seq ?? 0) : Infinity
  return {
    kind: 'resumed',
    found,
    position: state.cursorPosition,
    head: fields.head,
    lastEpoch: state.lastEpoch,
    gaps: gapsBetween(state.exceptions, fields.floor, after, fields.cursor),
  }
}

export function claim(state: DeviceState, wanted: Claim, force: boolean, moment: Moment): ClaimGranted | ClaimHeld {
  const { fields } = state
  if (!state.owns(wanted.claimId)) {
    if (fields.claim !== null && !force) return { ok: false, claim: fields.claim }
    state.take(wanted, moment.now)
  }
  return {
    ok: true,
    position: state.cursorPosition,
    head: fields.head,
    lastEpoch: state.lastEpoch,
    pending: fields.pending,
    generation: moment.generation,
    subscription: fields.subscription,
  }
}

export function cancel(state: DeviceState, seq: number, epoch: string | null, moment: Moment): CancelResult {
  const { fields } = state
  if (!state.isPlace(seq, epoch)) return { kind: 'gone' }
  const exception = state.exceptionAt(seq)
  if (exception !== undefined) {
    if (exception.reason !== 'cancelled') return { kind: 'gone' }
    return { kind: 'cancelled', maybeDelivered: exception.onWire || seq <= fields.sent }
  }
  if (seq <= fields.floor) return { kind: 'gone' }
  if (seq <= fields.cursor) return { kind: 'already_handled' }
  const maybeDelivered = fields.claim !== null || seq <= fields.sent
  state.except(seq, 'cancelled', moment.now)
  state.prune(moment.now - retentionMs(moment))
  return { kind: 'cancelled', maybeDelivered }
}
