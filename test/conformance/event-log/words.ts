import type { Test } from 'tap'
import type { EventLog, EventPage, LoggedEvent } from '../../../core/ports/event-log.js'

/** All events after `after`, page by page. */
export async function readEvents(
  log: EventLog,
  after: string | null = null,
  limit = 100,
): Promise<readonly LoggedEvent[]> {
  const events: LoggedEvent[] = []
  for (let at = after; ;) {
    const page = await pageOf(log, at, limit)
    events.push(...page.events)
    if (page.behind === 0 || page.next === at) return events
    at = page.next
  }
}

export async function pageOf(log: EventLog, after: string | null, limit = 100): Promise<EventPage> {
  const page = await log.read({ after, limit })
  if (page === null) throw new Error(`${String(after)} is not an id of this log`)
  return page
}

/** `handled a 3`, `offline a 1+4`, `expired:retention a 2`. */
export const word = ({ type, device, seq, count, reason }: LoggedEvent): string => {
  const name = type === 'device.offline_with_pending' ? 'offline' : type.slice('message.'.length)
  const why = reason === 'retention' ? ':retention' : ''
  return `${name}${why} ${device} ${seq}${count === 1 ? '' : `+${count - 1}`}`
}

/** What the log has told since `after`, in words; of a log in which events arrive a little later, once they are all there. */
export async function told(t: Test, log: EventLog, wanted: readonly string[], after: string | null = null) {
  const deadline = performance.now() + 10_000
  for (;;) {
    const events = await readEvents(log, after)
    const words = events.map(word)
    if (words.length >= wanted.length || performance.now() > deadline) {
      t.strictSame(words, wanted)
      return events
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
