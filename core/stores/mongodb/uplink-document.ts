// The end of the uplink log: one document, changed like a device's (device-document.ts): an update counts only for the version that
// was read. What is before its tail is in documents of their own, named by the number of the first uplink in each. Only stored
// uplinks go there, which never change: whoever finds such a document made by a step that was cut takes it as it is.

import { dedupBytes, readDedup } from './dedup-document.js'
import type { DedupEntry } from './device-state.js'
import { bufferOf, bytesOf, type Fields, fieldsOf, listOf, numberOf, textOf } from './fields.js'
import { FORMAT, readableFormat } from './formats.js'
import { OPS_KEPT } from './device-document.js'
import { type NewUplink, type StoredUplink, uplinkSize } from '../../ports/uplink.js'

export const UPLINK_ID = 'log'

/** An uplink as it is stored. */
export interface UplinkEntry {
  /** Device, time, channel. */
  readonly d: string
  readonly a: number
  readonly c: string
  /** Content type. */
  readonly y: string | null
  readonly w: boolean
  readonly p: Uint8Array
  /** The log's life when it was stored: part of its id. */
  readonly l: string
}

export const uplinkEntry = (uplink: NewUplink, at: number, life: string): UplinkEntry => ({
  d: uplink.device,
  a: at,
  c: uplink.channel,
  y: uplink.contentType,
  w: uplink.will,
  p: uplink.payload,
  l: life,
})

export function readUplinkEntry(value: unknown): UplinkEntry {
  const fields = fieldsOf(value, 'uplink')
  return {
    d: textOf(fields, 'd'),
    a: numberOf(fields, 'a'),
    c: textOf(fields, 'c'),
    y: fields.get('y') === null ? null : textOf(fields, 'y'),
    w: fields.get('w') === true,
    p: bytesOf(fields, 'p'),
    l: textOf(fields, 'l'),
  }
}

export const entrySize = ({ d, c, y, p }: UplinkEntry): number =>
  uplinkSize({ device: d, channel: c, contentType: y, payload: p })

export const uplinkId = (number: number, life: string): string => `${number}-${life}`

/** The number in an id; null: it is not an id of this kind of store. */
export function numberOfId(id: string): number | null {
  const match = /^(\d{1,15})-[A-Za-z0-9_-]{11}$/.exec(id)
  return match === null ? null : Number(match[1])
}

export const storedUplink = (number: number, { d, a, c, y, w, p, l }: UplinkEntry): StoredUplink => ({
  id: uplinkId(number, l),
  at: a,
  device: d,
  channel: c,
  contentType: y,
  will: w,
  payload: p,
})

export interface UplinkEnd {
  readonly version: number
  readonly life: string
  /** Of the store, when this life began. */
  readonly generation: string
  /** The last one's number; those up to `floor` are gone. */
  readonly head: number
  readonly floor: number
  readonly bytes: number
  /** When the one after `floor` was stored; 0: there is none. */
  readonly frontAt: number
  /** The last ones, up to `head`. */
  readonly tail: readonly UplinkEntry[]
  readonly dedups: readonly DedupEntry[]
  readonly spilledUntil: number
}

export function readUplinkEnd(document: unknown): UplinkEnd {
  const fields = fieldsOf(document)
  readableFormat(numberOf(fields, 'f'), 'the uplink log')
  return {
    version: numberOf(fields, 'v'),
    life: textOf(fields, 'life'),
    generation: textOf(fields, 'generation'),
    head: numberOf(fields, 'head'),
    floor: numberOf(fields, 'floor'),
    bytes: numberOf(fields, 'bytes'),
    frontAt: numberOf(fields, 'frontAt'),
    tail: listOf(fields, 't').map(readUplinkEntry),
    dedups: listOf(fields, 'dd').map((entry) => readDedup(bufferOf(entry, 'dd'))),
    spilledUntil: numberOf(fields, 'spilledUntil'),
  }
}

/** What `whatBecame` reads. */
export const OPS_OF_END = { v: 1, ops: 1 } as const

export const newUplinkEnd = (life: string, generation: string) => ({
  _id: UPLINK_ID,
  f: FORMAT,
  n: UPLINK_ID,
  v: 1,
  ops: [''],
  life,
  generation,
  head: 0,
  floor: 0,
  bytes: 0,
  frontAt: 0,
  t: [],
  dd: [],
  spilledUntil: 0,
})

/** The one write that makes the document `next`. */
export function uplinkWrite(
  before: UplinkEnd,
  next: UplinkEnd,
  op: string,
  added: number,
  newDedups: number,
): {
  readonly filter: { readonly _id: string; readonly v: number }
  readonly update: Readonly<Record<string, unknown>>
} {
  const { life, generation, head, floor, bytes, frontAt, tail, dedups, spilledUntil } = next
  const push: Record<string, unknown> = { ops: { $each: [op], $slice: -OPS_KEPT } }
  const set: Record<string, unknown> = {
    v: before.version + 1,
    life,
    generation,
    head,
    floor,
    bytes,
    frontAt,
    spilledUntil,
  }
  if (tail.length === 0) set['t'] = []
  else if (added > 0 || tail.length < before.tail.length)
    push['t'] = { $each: tail.slice(tail.length - added), $slice: -tail.length }
  if (dedups.length === 0) set['dd'] = []
  else push['dd'] = { $each: dedups.slice(dedups.length - newDedups).map(dedupBytes), $slice: -dedups.length }
  return { filter: { _id: UPLINK_ID, v: before.version }, update: { $set: set, $push: push } }
}

/** A document of uplinks before the tail. */
export interface UplinkChunk {
  readonly from: number
  readonly entries: readonly UplinkEntry[]
}

export function readUplinkChunk(document: unknown): UplinkChunk {
  const fields: Fields = fieldsOf(document)
  return { from: numberOf(fields, '_id'), entries: listOf(fields, 'm').map(readUplinkEntry) }
}
