// How events lie on disk: those of one group commit together, in rows, as uplinks do (uplink-codec.ts has the keys).
//
//   key:   u48 milliseconds, u16 counter: later rows have greater keys, whatever the wall clock does
//   row:   u8 format, u16 count, u48 number of the first event, u48 newest `at`, event…
//   event: u8 code, u48 at, text device, text epoch, u48 seq, u48 count
//
// An event's id is its row's key and its index in the row in hex, and its number in base 36. Numbers go 1, 2, 3 …: by them a
// reader is told how many it missed.

import { eventCode, eventOfCode, type NewEvent } from '../../model/event.js'
import type { LoggedEvent } from '../../ports/event-log.js'
import { ByteReader, ByteWriter } from './bytes.js'
import { parseUplinkId, uplinkId } from './uplink-codec.js'

const FORMAT = 1
const COUNT_AT = 1
const FIRST_AT = 3
const NEWEST_AT = 9
const HEADER_SIZE = 15
const ROW_MAX_COUNT = 0xffff

/** The place of an event: its row, the index in it, and its number. */
export interface EventPlace {
  readonly key: Buffer
  readonly index: number
  readonly number: number
}

export const eventId = (key: Buffer, index: number, number: number): string =>
  `${uplinkId(key, index)}-${number.toString(36)}`

/** Null: not an id of this store. */
export function parseEventId(id: string): EventPlace | null {
  const [, place = '', number = ''] = /^([0-9a-f]{20})-([0-9a-z]{1,11})$/.exec(id) ?? []
  const found = parseUplinkId(place)
  return found === null ? null : { ...found, number: Number.parseInt(number, 36) }
}

/** Collects the events of one row. */
export class EventRowWriter {
  readonly key: Buffer
  readonly #out = new ByteWriter(512)
  readonly #sizeMax: number
  #count = 0
  #newest = 0

  constructor(key: Buffer, firstNumber: number, sizeMax: number) {
    this.key = key
    this.#sizeMax = sizeMax
    this.#out.u8(FORMAT)
    this.#out.u16(0)
    this.#out.u48(firstNumber)
    this.#out.u48(0)
  }

  get full(): boolean {
    return this.#out.length > this.#sizeMax || this.#count === ROW_MAX_COUNT
  }

  add(event: NewEvent): void {
    const out = this.#out
    out.u8(eventCode(event))
    out.u48(event.at)
    out.text(event.device)
    out.text(event.epoch)
    out.u48(event.seq)
    out.u48(event.count)
    this.#count++
    if (event.at > this.#newest) this.#newest = event.at
  }

  finish(): Buffer {
    this.#out.patchU16(COUNT_AT, this.#count)
    this.#out.patchU48(NEWEST_AT, this.#newest)
    return this.#out.end()
  }
}

export interface EventRowSummary {
  readonly count: number
  /** The number of its first event. */
  readonly first: number
  readonly newest: number
}

export function readEventSummary(row: Buffer): EventRowSummary {
  const format = row[0]
  if (format !== FORMAT) throw new RangeError(`a row of events has the unknown format ${format}`)
  return {
    count: row.readUInt16BE(COUNT_AT),
    first: row.readUIntBE(FIRST_AT, 6),
    newest: row.readUIntBE(NEWEST_AT, 6),
  }
}

/** The events of a row from index `from` on. Throws RangeError when it is damaged or of a newer format. */
export function* readEventRow(key: Buffer, row: Buffer, from: number): Generator<LoggedEvent & { number: number }> {
  const { count, first } = readEventSummary(row)
  const input = new ByteReader(row, HEADER_SIZE)
  for (let index = 0; index < count; index++) {
    const what = eventOfCode(input.u8())
    const at = input.u48()
    const device = input.text()
    const epoch = input.text()
    const seq = input.u48()
    const size = input.u48()
    if (index < from) continue
    const number = first + index
    yield { id: eventId(key, index, number), number, ...what, at, device, epoch, seq, count: size }
  }
}
