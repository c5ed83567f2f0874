// The end of the event log. Whoever has seen one batch begins there: a server that has no order in its index of `_id` would sort the
// whole log each time.

import type { Collections, Numbered } from './collections.js'

/** The last batch, `from` a batch that was there; without it, as after a restored backup, wherever the log ends. Null: there is none. */
export async function lastBatch(
  { eventLog }: Pick<Collections, 'eventLog'>,
  from: number,
  projection: Readonly<Record<string, 0>>,
): Promise<Numbered | null> {
  for (const least of from === 0 ? [0] : [from, 0]) {
    const [last] = await eventLog
      .find({ _id: { $gte: least } }, { projection })
      .sort({ _id: -1 })
      .limit(1)
      .toArray()
    if (last !== undefined) return last
  }
  return null
}
