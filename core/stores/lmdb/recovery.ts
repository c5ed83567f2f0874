// Start, and a new start after a failed commit: what the journal holds and the records do not is applied again.

import { dedupIdHash } from '../../model/body-hash.js'
import { readChanges, type Change } from './journal-codec.js'
import type { Directory } from './directory.js'
import type { InboxState } from './inbox-state.js'
import type { Materializer } from './materializer.js'
import type { StoredGroup } from './stored-journal.js'

/** Replays the journal into `directory`; answers the highest group number in it, 0 when it is empty. */
export function recover(
  journal: Iterable<StoredGroup>,
  directory: Directory,
  materializer: Materializer,
  now: number,
): number {
  let last = 0
  for (const stored of journal) {
    const { group } = stored
    for (const change of stored.parts.flatMap((part) => [...readChanges(part)])) {
      const state = directory.get(change.device)
      // No record, or another number: purged by a later group.
      if (state === null || state.number !== change.number || state.recordGroup >= group) continue
      materializer.markDirty(state, group, now)
      state.lastGroup = group
      apply(state, change)
    }
    materializer.journaled(group, stored.parts.length, stored.bytes, stored.place)
    last = group
  }
  return last
}

function apply(state: InboxState, change: Change): void {
  switch (change.kind) {
    case 'append': {
      const { message } = change.entry
      state.append(change.entry)
      state.usedAt = Math.max(state.usedAt, message.at)
      if (message.dedupId === null) return
      state.recent ??= new Map()
      state.recent.set(message.dedupId, {
        seq: message.seq,
        epoch: state.lastEpoch,
        at: message.at,
        expiresAt: message.expiresAt,
        idHash: dedupIdHash(message.dedupId),
        bodyHash: change.bodyHash,
      })
      return
    }
    case 'epoch':
      state.beginEpoch(change.epoch, change.generation)
      return
    case 'ack':
      state.passTo(change.cursor, change.cumulative)
      if (change.sent > state.sent) state.sent = change.sent
      if (change.received > state.received) state.received = change.received
      return
    case 'takeBack':
      state.takeBack(change)
      return
    case 'exception':
      state.except(change.seq, change.reason, change.at, false, change.size, change.cumulative)
      return
    case 'subscription':
      state.subscription = change.filter
      return
    case 'toldOffline':
      state.toldOfflineAt = change.at
  }
}
