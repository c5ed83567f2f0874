// Appending to one device: dedup, caps, epoch, seq — one step, because nothing of it waits.

import { bodyHash, dedupIdHash } from '../../model/body-hash.js'
import { messageSize, type NewMessage } from '../../model/message.js'
import type { AppendResult, MailboxLimits } from '../../ports/mailbox.js'
import type { DedupIndex } from './dedup-index.js'
import type { DedupEntry, InboxState } from './inbox-state.js'
import type { Ledger } from './ledger.js'
import type { LogEntry } from './message-codec.js'

export interface AppendContext {
  readonly ledger: Ledger
  readonly dedup: DedupIndex
  readonly limits: MailboxLimits
  readonly generation: string
  readonly randomId: () => string
}

/** Appends `item` to the device's log at time `now`, or says why not. Throws StoreUnavailable before any change. */
export function appendMessage(state: InboxState, item: NewMessage, now: number, context: AppendContext): AppendResult {
  const { ledger, dedup, limits } = context
  let hash: Buffer | null = null
  let idHash: Buffer | null = null
  if (item.dedupId !== null) {
    hash = bodyHash(item)
    idHash = dedupIdHash(item.dedupId)
    const first = dedup.find(state, item.dedupId, idHash, now)
    if (first !== null) return answerAgain(first, hash)
  }

  ledger.expectGrowth()
  const size = messageSize(item)
  if (!makeRoom(state, size, now, limits, ledger)) return { ok: false, code: 'inbox_full' }

  if (state.epochGeneration !== context.generation) ledger.epoch(state, context.randomId(), context.generation)
  const epoch = state.lastEpoch
  const seq = state.head + 1
  const expiresAt = item.ttl === null ? null : now + Math.max(1, Math.round(item.ttl * 1000))
  const entry: LogEntry = {
    message: {
      seq,
      at: now,
      expiresAt,
      priority: item.priority,
      dedupId: item.dedupId,
      contentType: item.contentType,
      attributes: item.attributes,
      payload: item.payload,
      ...(item.receipt === true ? { receipt: true } : {}),
    },
    size,
    cumulative: state.headCumulative + size,
  }
  ledger.append(
    state,
    entry,
    hash === null || idHash === null ? null : { seq, epoch, at: now, expiresAt, idHash, bodyHash: hash },
  )
  state.usedAt = now
  if (state.claim === null && state.toldOfflineAt === 0) ledger.tellOffline(state, now)
  return { ok: true, seq, epoch, at: now, expiresAt, duplicate: false, owner: state.claim }
}

function answerAgain(first: DedupEntry, hash: Uint8Array): AppendResult {
  if (Buffer.compare(first.bodyHash, hash) !== 0) return { ok: false, code: 'dedup_conflict', seq: first.seq }
  const { seq, epoch, at, expiresAt } = first
  return { ok: true, seq, epoch, at, expiresAt, duplicate: true, owner: null }
}

/** False: the message does not fit and the policy is to refuse it (or it fits not even alone). */
function makeRoom(state: InboxState, size: number, now: number, limits: MailboxLimits, ledger: Ledger): boolean {
  const full = (): boolean => state.pending >= limits.inboxMax || state.pendingBytes + size > limits.inboxMaxBytes
  if (!full()) return true
  if (limits.overflow === 'reject' || size > limits.inboxMaxBytes || limits.inboxMax < 1) return false
  while (full()) ledger.except(state, state.cursor + 1, 'overflow', now)
  return true
}
