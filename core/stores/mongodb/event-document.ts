// Events as they stand in documents: in that of their device, until they are in the log, and in the log's own. A text, because a list of
// documents would be four times as long.
//
//   [[code (core/model/event.ts), at, device, epoch, seq, count], …]

import { eventCode, eventOfCode, type NewEvent } from '../../model/event.js'

export const encodeEvents = (events: readonly NewEvent[]): string =>
  JSON.stringify(events.map((event) => [eventCode(event), event.at, event.device, event.epoch, event.seq, event.count]))

/** Throws RangeError: a newer version wrote it, or it is damaged. */
export function decodeEvents(text: string): readonly NewEvent[] {
  const list: unknown = JSON.parse(text)
  if (!Array.isArray(list)) throw damaged()
  return list.map(readEvent)
}

function readEvent(value: unknown): NewEvent {
  if (!Array.isArray(value)) throw damaged()
  const [code, at, device, epoch, seq, count]: readonly unknown[] = value
  if (typeof code !== 'number' || typeof at !== 'number' || typeof device !== 'string') throw damaged()
  if (typeof epoch !== 'string' || typeof seq !== 'number' || typeof count !== 'number') throw damaged()
  return { ...eventOfCode(code), at, device, epoch, seq, count }
}

const damaged = (): RangeError => new RangeError('an event in MongoDB is damaged')

/** A place in the log: the number of an event, and a word that no other batch has, so that an id is never given twice. */
export const eventId = (number: number, tag: string): string => `${number.toString(36)}-${tag}`

/** Null: not an id of this store. */
export function numberOfEventId(id: string): number | null {
  const [, number] = /^([0-9a-z]{1,11})-[0-9a-f]{8}$/.exec(id) ?? []
  return number === undefined ? null : Number.parseInt(number, 36)
}
