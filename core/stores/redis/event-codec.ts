// An entry of the log of events, as lua/lib/events.lua writes it:
//   u8 format, u8 code, u48 at, u48 seq, u48 count, u8 length of the epoch, epoch, device
// Its id is that of the stream, and its number in base 36: by the numbers a reader is told how many it missed.

import { eventOfCode } from '../../model/event.js'
import type { LoggedEvent } from '../../ports/event-log.js'
import { behindAdditions, readableFormat } from './formats.js'

const HEAD = 21

export interface EventPlace {
  readonly stream: string
  readonly number: number
}

export const eventId = ({ stream, number }: EventPlace): string => `${stream}-${number.toString(36)}`

/** Null: not an id of this store. */
export function parseEventId(id: string): EventPlace | null {
  const [, stream, number = ''] = /^(\d{1,15}-\d{1,15})-([0-9a-z]{1,11})$/.exec(id) ?? []
  return stream === undefined ? null : { stream, number: Number.parseInt(number, 36) }
}

/** Throws RangeError when it is damaged or of a newer format. */
export function decodeEvent(place: EventPlace, entry: Buffer): LoggedEvent {
  const id = eventId(place)
  const from = behindAdditions(entry, HEAD, readableFormat(entry[0], `event ${id}`))
  const end = from + entry.readUInt8(HEAD - 1)
  return {
    id,
    ...eventOfCode(entry.readUInt8(1)),
    at: entry.readUIntBE(2, 6),
    seq: entry.readUIntBE(8, 6),
    count: entry.readUIntBE(14, 6),
    epoch: entry.toString('utf8', from, end),
    device: entry.toString('utf8', end),
  }
}
