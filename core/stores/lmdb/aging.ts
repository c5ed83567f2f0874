// What time alone does to an inbox: messages expire, and what nobody handled within the retention is given up. Applied whenever
// a state is looked at, and to the rest by the maintenance walk.

import type { InboxState, LogReader } from './inbox-state.js'
import type { Ledger } from './ledger.js'

export interface AgingLimits {
  readonly retentionMs: number
}

/** Makes exceptions of everything whose time is over at `now`. */
export function applyAging(state: InboxState, now: number, limits: AgingLimits, ledger: Ledger, disk: LogReader): void {
  if (state.pending === 0) return
  giveUpOld(state, now, limits.retentionMs, ledger, disk)
  if (now >= state.nextExpiry) expire(state, now, ledger, disk)
}

/** Messages stand in order of time, and the one after the cursor is always pending: the front tells. */
function giveUpOld(state: InboxState, now: number, retentionMs: number, ledger: Ledger, disk: LogReader): void {
  while (state.pending > 0) {
    const front = state.header(state.cursor + 1, disk)
    if (front === null || now - front.at < retentionMs) return
    ledger.except(state, state.cursor + 1, 'retention', now)
  }
}

/** One pass over the pending messages; finds the next time as well. */
function expire(state: InboxState, now: number, ledger: Ledger, disk: LogReader): void {
  let next = Infinity
  for (let seq = state.cursor + 1; seq <= state.head; seq++) {
    const exception = state.exceptionAt(seq)
    if (exception !== undefined) {
      seq = exception.to
      continue
    }
    const header = state.header(seq, disk)
    if (header === null || header.expiresAt === 0) continue
    if (header.expiresAt <= now) ledger.except(state, seq, 'expired', now)
    else if (header.expiresAt < next) next = header.expiresAt
  }
  state.nextExpiry = next
}
