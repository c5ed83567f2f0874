// How uplinks lie on disk: those of one group commit together, in rows of about ROW_SIZE, so that storing many of them, and
// forgetting them again, is one change of the tree.
//
//   key:   u48 milliseconds, u16 counter: later rows have greater keys, whatever the wall clock does
//   row:   u8 format, u16 count, u48 newest `at`, u48 weight of all, uplink…
//   uplink: u8 flags (1: a will, 2: has a content type), u48 at, text device, text channel, [text content type], u32 length,
//           payload
//
// An uplink's id is its row's key and its index in the row, in hex: ids sort as text in the order of storage.

import type { NewUplink, StoredUplink } from '../../ports/uplink.js'
import { ByteReader, ByteWriter } from './bytes.js'

const FORMAT = 1
const FLAG = { will: 1, contentType: 2 } as const
const COUNT_AT = 1
const NEWEST_AT = 3
const WEIGHT_AT = 9
const HEADER_SIZE = 15
/** A row is closed when it is larger; an uplink is never split. Bytes. */
export const ROW_SIZE = 64 * 1024
/** Where space is short: such rows need no run of free pages. */
export const ROW_SIZE_SHORT = 1_500
const ROW_MAX_COUNT = 0xffff

const KEY_SIZE = 8
const COUNTER_MAX = 0xffff

/** A row's key, as numbers. */
export interface Stamp {
  readonly ms: number
  readonly counter: number
}

/** The key after `last` at `now`: greater than it in any case, and not behind the clock. */
export function nextStamp(last: Stamp, now: number): Stamp {
  if (now > last.ms) return { ms: now, counter: 0 }
  return last.counter < COUNTER_MAX ? { ms: last.ms, counter: last.counter + 1 } : { ms: last.ms + 1, counter: 0 }
}

export function stampKey({ ms, counter }: Stamp): Buffer {
  const key = Buffer.allocUnsafe(KEY_SIZE)
  key.writeUIntBE(ms, 0, 6)
  key.writeUInt16BE(counter, 6)
  return key
}

/** The place of an uplink: its row and the index in it. */
export interface UplinkPlace {
  readonly key: Buffer
  readonly index: number
}

export function uplinkId(key: Buffer, index: number): string {
  return key.toString('hex') + index.toString(16).padStart(4, '0')
}

/** Null: not an id of this store. */
export function parseUplinkId(id: string): UplinkPlace | null {
  if (!/^[0-9a-f]{20}$/.test(id)) return null
  return { key: Buffer.from(id.slice(0, 16), 'hex'), index: Number.parseInt(id.slice(16), 16) }
}

/** Collects the uplinks of one row. */
export class RowWriter {
  readonly key: Buffer
  readonly #out = new ByteWriter(1024)
  readonly #sizeMax: number
  #count = 0
  #newest = 0
  #weight = 0

  constructor(key: Buffer, sizeMax: number) {
    this.key = key
    this.#sizeMax = sizeMax
    this.#out.u8(FORMAT)
    this.#out.u16(0)
    this.#out.u48(0)
    this.#out.u48(0)
  }

  get full(): boolean {
    return this.#out.length > this.#sizeMax || this.#count === ROW_MAX_COUNT
  }

  /** Copies the uplink in; its id. */
  add(uplink: NewUplink, at: number, weight: number): string {
    const out = this.#out
    const { contentType, payload } = uplink
    out.u8((uplink.will ? FLAG.will : 0) | (contentType === null ? 0 : FLAG.contentType))
    out.u48(at)
    out.text(uplink.device)
    out.text(uplink.channel)
    if (contentType !== null) out.text(contentType)
    out.u32(payload.byteLength)
    out.bytes(payload)
    this.#weight += weight
    if (at > this.#newest) this.#newest = at
    return uplinkId(this.key, this.#count++)
  }

  finish(): Buffer {
    this.#out.patchU16(COUNT_AT, this.#count)
    this.#out.patchU48(NEWEST_AT, this.#newest)
    this.#out.patchU48(WEIGHT_AT, this.#weight)
    return this.#out.end()
  }
}

export interface RowSummary {
  readonly count: number
  /** When the last one of them was stored. Milliseconds. */
  readonly newest: number
  readonly weight: number
}

function checkFormat(row: Buffer): void {
  const format = row[0]
  if (format !== FORMAT) throw new RangeError(`a row of uplinks has the unknown format ${format}`)
}

export function readSummary(row: Buffer): RowSummary {
  checkFormat(row)
  return {
    count: row.readUInt16BE(COUNT_AT),
    newest: row.readUIntBE(NEWEST_AT, 6),
    weight: row.readUIntBE(WEIGHT_AT, 6),
  }
}

/** The uplinks of a row from `from` on; payloads are views of it. Throws RangeError when it is damaged or of a newer format. */
export function* readRow(key: Buffer, row: Buffer, from: number): Generator<StoredUplink> {
  const { count } = readSummary(row)
  const input = new ByteReader(row, HEADER_SIZE)
  for (let index = 0; index < count; index++) {
    const flags = input.u8()
    const at = input.u48()
    const device = input.text()
    const channel = input.text()
    const contentType = (flags & FLAG.contentType) === 0 ? null : input.text()
    const payload = input.bytes(input.u32())
    if (index < from) continue
    yield { id: uplinkId(key, index), device, channel, at, will: (flags & FLAG.will) !== 0, contentType, payload }
  }
}
