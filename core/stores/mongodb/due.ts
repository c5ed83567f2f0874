// When somebody has to look at a device that nobody uses, because something of it expires: noted in its document (`due`), where an
// index finds it. The note is written only when there is none or it would come too late, so that most changes leave it, and the
// index, alone; one that has become too early costs one look.

import type { MailboxLimits } from '../../ports/mailbox.js'
import type { DeviceState } from './device-state.js'

/** When time next does something to what waits; 0: never, or somebody is there (then their node looks). */
export function dueTime(state: DeviceState, { retentionSeconds }: Pick<MailboxLimits, 'retentionSeconds'>): number {
  const { claim, pending, nextExpiry, cursor } = state.fields
  if (claim !== null || pending === 0) return 0
  // Messages stand in order of time.
  const givenUp = (state.headOf(cursor + 1)?.at ?? 0) + retentionSeconds * 1000
  return nextExpiry === 0 ? givenUp : Math.min(nextExpiry, givenUp)
}

/** What is to be noted behind a change. */
export function dueAfter(state: DeviceState, limits: Pick<MailboxLimits, 'retentionSeconds'>): number {
  const wanted = dueTime(state, limits)
  const { due } = state.notes
  return wanted !== 0 && (due === 0 || wanted < due) ? wanted : due
}
