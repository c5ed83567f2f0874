// The keys and values of a storage. Values are MessagePack arrays; a later version may append elements, which are stepped over.
//
//   about            [format version, device]
//   url              [the URL that worked last]
//   log/<log>        [position, [[epoch, seq] …], [[epoch, seq, attempts] …], guarded]
//   id/<log>/<slot>  [index, dedup id, epoch, seq, at]
//   up/<number>      [channel, id, content type, payload]
//   parked/<number>  [log, epoch, seq, at, expires at, flags, dedup id, content type, [[key, value] …], payload, attempts, error]

import { FrameReader } from '../../../protocol/frames/frame-reader.js'
import type { WireMessage, WirePosition } from '../../../protocol/frames/frame-types.js'
import { FrameWriter } from '../../../protocol/frames/frame-writer.js'
import type { DedupEntry } from '../log/dedup-memory.js'
import { LogRecord, type Started } from '../log/log-record.js'

export const FORMAT_VERSION = 1

export const KEYS = {
  about: 'about',
  url: 'url',
  log: 'log/',
  dedup: 'id/',
  uplink: 'up/',
  parked: 'parked/',
} as const

export const logKey = (log: string): string => KEYS.log + log
export const dedupKey = (log: string, slot: number): string => `${KEYS.dedup}${log}/${slot}`
export const uplinkKey = (number: number): string => `${KEYS.uplink}${number}`
export const parkedKey = (number: number): string => `${KEYS.parked}${number}`

/** Lengths are those that a frame may have; what is larger was not written by this code. */
const TEXT_MAX = 0xffff
const COUNT_MAX = 0xffff

export interface StoredUplink {
  readonly channel: string
  readonly id: string
  readonly contentType: string | null
  readonly payload: Uint8Array
}

export interface StoredParked {
  readonly log: string
  readonly epoch: string
  readonly message: WireMessage
  readonly attempts: number
  /** What the handler threw. */
  readonly error: string
}

export interface StoredLog {
  readonly record: LogRecord
  readonly guarded: number
}

// ----- reading: all throw FrameError for what they did not write -------------------------------------------------------------

/** Reads an array of at least `length` elements; what follows them is left alone. */
function tuple<T>(bytes: Uint8Array, length: number, read: (reader: FrameReader) => T): T {
  const reader = new FrameReader(bytes)
  reader.tupleHeader(length)
  return read(reader)
}

const text = (reader: FrameReader): string => reader.string(0, TEXT_MAX)
const textOrNull = (reader: FrameReader): string | null => (reader.nil() ? null : text(reader))
const number = (reader: FrameReader): number => reader.integer(0, Number.MAX_SAFE_INTEGER)
const numberOrNull = (reader: FrameReader): number | null => (reader.nil() ? null : number(reader))

function list<T>(reader: FrameReader, read: () => T): T[] {
  return Array.from({ length: reader.arrayHeader(COUNT_MAX) }, read)
}

function position(reader: FrameReader): WirePosition {
  reader.tupleHeader(2)
  return [text(reader), number(reader)]
}

export const readAbout = (bytes: Uint8Array): { readonly version: number; readonly device: string } =>
  tuple(bytes, 2, (reader) => ({ version: number(reader), device: text(reader) }))

export const readUrl = (bytes: Uint8Array): string => tuple(bytes, 1, text)

export function readLog(bytes: Uint8Array): StoredLog {
  return tuple(bytes, 4, (reader) => {
    const place = reader.nil() ? null : position(reader)
    const handled = list(reader, () => position(reader))
    const started = list(reader, (): Started => {
      reader.tupleHeader(3)
      return { epoch: text(reader), seq: number(reader), attempts: number(reader) }
    })
    return { record: new LogRecord(place, handled, started), guarded: number(reader) }
  })
}

export const readDedup = (bytes: Uint8Array): DedupEntry =>
  tuple(bytes, 5, (reader) => ({
    index: number(reader),
    id: text(reader),
    epoch: text(reader),
    seq: number(reader),
    at: number(reader),
  }))

export const readUplink = (bytes: Uint8Array): StoredUplink =>
  tuple(bytes, 4, (reader) => ({
    channel: text(reader),
    id: text(reader),
    contentType: textOrNull(reader),
    payload: reader.binary(Number.MAX_SAFE_INTEGER),
  }))

export const readParked = (bytes: Uint8Array): StoredParked =>
  tuple(bytes, 12, (reader) => ({
    log: text(reader),
    epoch: text(reader),
    message: {
      seq: number(reader),
      at: number(reader),
      expiresAt: numberOrNull(reader),
      flags: number(reader),
      dedupId: textOrNull(reader),
      contentType: textOrNull(reader),
      attributes: list(reader, (): readonly [string, string] => {
        reader.tupleHeader(2)
        return [text(reader), text(reader)]
      }),
      payload: reader.binary(Number.MAX_SAFE_INTEGER),
    },
    attempts: number(reader),
    error: text(reader),
  }))

// ----- writing ---------------------------------------------------------------------------------------------------------------

function written(capacity: number, write: (writer: FrameWriter) => void): Uint8Array {
  const writer = new FrameWriter(capacity)
  write(writer)
  return writer.bytes()
}

function writeTextOrNull(writer: FrameWriter, value: string | null): void {
  if (value === null) writer.nil()
  else writer.string(value)
}

function writePosition(writer: FrameWriter, [epoch, seq]: WirePosition): void {
  writer.array(2)
  writer.string(epoch)
  writer.uint(seq)
}

export const writeAbout = (device: string): Uint8Array =>
  written(160, (writer) => {
    writer.array(2)
    writer.uint(FORMAT_VERSION)
    writer.string(device)
  })

export const writeUrl = (url: string): Uint8Array =>
  written(256, (writer) => {
    writer.array(1)
    writer.string(url)
  })

export const writeLog = ({ record, guarded }: StoredLog): Uint8Array =>
  written(128, (writer) => {
    writer.array(4)
    if (record.position === null) writer.nil()
    else writePosition(writer, record.position)
    writer.array(record.handled.size)
    for (const each of record.handled) writePosition(writer, each)
    writer.array(record.started.length)
    for (const { epoch, seq, attempts } of record.started) {
      writer.array(3)
      writer.string(epoch)
      writer.uint(seq)
      writer.uint(attempts)
    }
    writer.uint(guarded)
  })

export const writeDedup = ({ index, id, epoch, seq, at }: DedupEntry): Uint8Array =>
  written(64, (writer) => {
    writer.array(5)
    writer.uint(index)
    writer.string(id)
    writer.string(epoch)
    writer.uint(seq)
    writer.uint(at)
  })

export const writeUplink = ({ channel, id, contentType, payload }: StoredUplink): Uint8Array =>
  written(payload.length + 128, (writer) => {
    writer.array(4)
    writer.string(channel)
    writer.string(id)
    writeTextOrNull(writer, contentType)
    writer.binary(payload)
  })

export const writeParked = ({ log, epoch, message, attempts, error }: StoredParked): Uint8Array =>
  written(message.payload.length + 256, (writer) => {
    const attributes = message.attributes ?? []
    writer.array(12)
    writer.string(log)
    writer.string(epoch)
    writer.uint(message.seq)
    writer.uint(message.at)
    if (message.expiresAt === null) writer.nil()
    else writer.uint(message.expiresAt)
    writer.uint(message.flags)
    writeTextOrNull(writer, message.dedupId)
    writeTextOrNull(writer, message.contentType)
    writer.array(attributes.length)
    for (const [key, value] of attributes) {
      writer.array(2)
      writer.string(key)
      writer.string(value)
    }
    writer.binary(message.payload)
    writer.uint(attempts)
    writer.string(error)
  })
