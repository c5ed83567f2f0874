// A device's document: how a state is read from it, and how what differs is written back. Every change is one update of this one
// document that counts only for the version that was read. So nothing is lost between two writers, a step that was sent twice
// happens once, and what happened to a step without an answer can be read from the last steps' ids (`ops`).
//
//   _id device · f format · n life · v version · ops the last steps' ids · r record · x exceptions · b chunks · h heads of the
//   tail · t bodies of the tail · dd dedup ids · idleAt when nobody used it for so long that it goes (TTL) · ev events that are not in
//   the log yet, by change · evV the version of the last change that told any; absent: there are none · due when somebody looks whether
//   something expires (due.ts); absent: never. `r.node` is indexed: whose device it is.

import type { EpochStart } from '../../model/epochs.js'
import type { ExceptionRange } from '../../model/exceptions.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import { dedupBytes, readDedup } from './dedup-document.js'
import { dueAfter } from './due.js'
import { type KeptNotes, packSeqs, unpackSeqs } from './device-notes.js'
import { type Chunk, DeviceState, type RecordFields } from './device-state.js'
import { encodeEvents } from './event-document.js'
import { type EntryHead, packHeads, unpackHeads } from './entry-heads.js'
import {
  bytesOf,
  bufferOf,
  type Fields,
  fieldsOf,
  listOf,
  numberOf,
  numberOrNull,
  textOf,
  textOrNull,
} from './fields.js'
import { FORMAT, readableFormat } from './formats.js'
import { messageDocument, type MessageDocument } from './message-document.js'
import { packExceptions, unpackExceptions } from './packed-exceptions.js'

/** So many steps can be told apart afterwards by who did not get an answer. */
export const OPS_KEPT = 12

/** Documents live a little longer than what is in them counts. Milliseconds. */
export const GRACE_MS = 60_000

/** What a step reads: everything but the bodies. */
export const WITHOUT_BODIES = { t: 0, ev: 0 } as const
/** What a look reads. */
export const WITHOUT_BODIES_AND_DEDUP = { t: 0, dd: 0, ops: 0, ev: 0 } as const
export const WITHOUT_DEDUP = { dd: 0, ops: 0, ev: 0 } as const

/** Rejects documents of a newer version of the program: they hold what this one would lose. */
export function readDevice(document: unknown): DeviceState {
  const fields = fieldsOf(document)
  const device = textOf(fields, '_id')
  readableFormat(numberOf(fields, 'f'), 'the record of a device')
  const record = fieldsOf(fields.get('r'), 'r')
  return new DeviceState(device, textOf(fields, 'n'), numberOf(fields, 'v'), {
    fields: readRecord(record),
    exceptions: fields.has('x') ? unpackExceptions(bytesOf(fields, 'x')) : [],
    chunks: fields.has('b') ? listOf(fields, 'b').map(readChunk) : [],
    tail: unpackHeads(bytesOf(fields, 'h')),
    dedups: fields.has('dd') ? listOf(fields, 'dd').map((entry) => readDedup(bufferOf(entry, 'dd'))) : [],
    notes: readNotes(record, fields),
  })
}

export const bodiesOf = (document: unknown): readonly unknown[] => listOf(fieldsOf(document), 't')

function readRecord(r: Fields): RecordFields {
  const node = textOrNull(r, 'node')
  return {
    createdAt: numberOf(r, 'created'),
    usedAt: numberOf(r, 'used'),
    lastSeenAt: numberOrNull(r, 'seen'),
    connectedAt: numberOrNull(r, 'connected'),
    claim: node === null ? null : { node, claimId: textOf(r, 'claim') },
    subscription: textOrNull(r, 'subscription'),
    epochs: readEpochs(listOf(r, 'epochs')),
    generation: textOf(r, 'generation'),
    head: numberOf(r, 'head'),
    headCumulative: numberOf(r, 'headWeight'),
    cursor: numberOf(r, 'cursor'),
    cursorCumulative: numberOf(r, 'cursorWeight'),
    sent: numberOf(r, 'sent'),
    received: numberOf(r, 'received'),
    maybeSent: numberOf(r, 'maybeSent'),
    floor: numberOf(r, 'floor'),
    pending: numberOf(r, 'pending'),
    pendingBytes: numberOf(r, 'pendingBytes'),
    nextExpiry: numberOf(r, 'nextExpiry'),
    spilledUntil: numberOf(r, 'spilledUntil'),
    unknown: [...r].filter(([name]) => !KNOWN.has(name)),
  }
}

const readNotes = (r: Fields, fields: Fields): KeptNotes => ({
  receipts: r.has('receipts') ? unpackSeqs(bytesOf(r, 'receipts')) : [],
  offlineAt: r.has('offlineAt') ? numberOf(r, 'offlineAt') : 0,
  waiting: fields.has('evV'),
  due: fields.has('due') ? numberOf(fields, 'due') : 0,
})

function recordDocument({ fields, notes }: DeviceState) {
  return {
    ...Object.fromEntries(fields.unknown),
    ...knownFields(fields),
    ...(notes.receipts.length === 0 ? {} : { receipts: packSeqs(notes.receipts) }),
    ...(notes.offlineAt === 0 ? {} : { offlineAt: notes.offlineAt }),
  }
}

function knownFields(fields: RecordFields) {
  return {
    created: fields.createdAt,
    used: fields.usedAt,
    seen: fields.lastSeenAt,
    connected: fields.connectedAt,
    node: fields.claim === null ? null : fields.claim.node,
    claim: fields.claim === null ? null : fields.claim.claimId,
    subscription: fields.subscription,
    epochs: fields.epochs.flatMap(({ epoch, firstSeq }) => [epoch, firstSeq]),
    generation: fields.generation,
    head: fields.head,
    headWeight: fields.headCumulative,
    cursor: fields.cursor,
    cursorWeight: fields.cursorCumulative,
    sent: fields.sent,
    received: fields.received,
    maybeSent: fields.maybeSent,
    floor: fields.floor,
    pending: fields.pending,
    pendingBytes: fields.pendingBytes,
    nextExpiry: fields.nextExpiry,
    spilledUntil: fields.spilledUntil,
  }
}

/** The fields that this version knows; it writes back what it finds beside them. */
const KNOWN: ReadonlySet<string> = new Set([
  'created',
  'used',
  'seen',
  'connected',
  'node',
  'claim',
  'subscription',
  'epochs',
  'generation',
  'head',
  'headWeight',
  'cursor',
  'cursorWeight',
  'sent',
  'received',
  'maybeSent',
  'floor',
  'pending',
  'pendingBytes',
  'nextExpiry',
  'spilledUntil',
  'receipts',
  'offlineAt',
])

function readEpochs(flat: readonly unknown[]): readonly EpochStart[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => ({
    epoch: String(flat[i * 2]),
    firstSeq: Number(flat[i * 2 + 1]),
  }))
}

function readChunk(value: unknown): Chunk {
  const fields = fieldsOf(value, 'b')
  return {
    id: textOf(fields, 'i'),
    from: numberOf(fields, 's'),
    count: numberOf(fields, 'c'),
    cumulative: numberOf(fields, 'w'),
    heads: bytesOf(fields, 'h'),
  }
}

const chunkDocument = ({ id, from, count, cumulative, heads }: Chunk) => ({
  i: id,
  s: from,
  c: count,
  w: cumulative,
  h: Buffer.from(heads),
})

/** What a state was made from, as far as the difference needs it. */
export interface Before {
  readonly exceptions: readonly ExceptionRange[]
  readonly chunks: readonly Chunk[]
  readonly tailLength: number
  readonly dedupLength: number
  readonly due: number
}

export const beforeOf = (state: DeviceState): Before => ({
  exceptions: state.exceptions,
  chunks: state.chunks,
  tailLength: state.tail.length,
  dedupLength: state.dedups.length,
  due: state.notes.due,
})

/** What leaves the tail with this step, decided by `planSpill`: then the tail is empty afterwards. */
export interface Spill {
  readonly chunks: readonly Chunk[]
  /** The oldest so many of the stored dedup ids have documents of their own by now. */
  readonly dedups: number
}

export type DeviceWrite =
  | { readonly kind: 'insert'; readonly document: { readonly _id: string; readonly [field: string]: unknown } }
  | {
      readonly kind: 'update'
      readonly filter: Readonly<Record<string, unknown>>
      readonly update: Readonly<Record<string, unknown>>
    }

const NOTHING = Buffer.alloc(0)

/** The one write that makes the document what the state says. `op` names the step. */
export function deviceWrite(
  state: DeviceState,
  before: Before,
  op: string,
  limits: Pick<MailboxLimits, 'idleDeviceSeconds' | 'retentionSeconds'>,
  spill: Spill,
): DeviceWrite {
  const { fields } = state
  const moved = spill.chunks.length > 0
  const chunks = moved ? [...state.chunks, ...spill.chunks] : state.chunks
  const tail: readonly EntryHead[] = moved ? [] : state.tail
  const added: readonly MessageDocument[] = moved ? [] : state.added.map(messageDocument)
  const dedups = state.dedups.slice(spill.dedups)
  const idleAt = idleTime(fields, limits)
  const due = dueAfter(state, limits)
  const { told } = state.notes
  const events = { v: state.version + 1, e: told.length === 0 ? '' : encodeEvents(told) }
  if (state.version === 0) {
    return {
      kind: 'insert',
      document: {
        _id: state.device,
        f: FORMAT,
        n: state.life,
        v: 1,
        ops: [op],
        r: recordDocument(state),
        ...(state.exceptions.length === 0 ? {} : { x: packExceptions(state.exceptions) }),
        ...(chunks.length === 0 ? {} : { b: chunks.map(chunkDocument) }),
        h: packHeads(tail),
        t: added,
        dd: dedups.map(dedupBytes),
        idleAt,
        ...(due === 0 ? {} : { due }),
        ...(told.length === 0 ? {} : { ev: [events], evV: events.v }),
      },
    }
  }

  const set: Record<string, unknown> = { v: state.version + 1, r: recordDocument(state), idleAt }
  const push: Record<string, unknown> = { ops: { $each: [op], $slice: -OPS_KEPT } }
  if (told.length > 0) {
    set['evV'] = events.v
    push['ev'] = { $each: [events] }
  }
  if (due !== 0 && due !== before.due) set['due'] = due
  if (state.exceptions !== before.exceptions) set['x'] = packExceptions(state.exceptions)
  if (chunks !== before.chunks) set['b'] = chunks.map(chunkDocument)
  const left = before.tailLength - (tail.length - added.length)
  if (left > 0 || added.length > 0) {
    set['h'] = tail.length === 0 ? NOTHING : packHeads(tail)
    if (tail.length === 0) set['t'] = []
    else push['t'] = left === 0 ? { $each: added } : { $each: added, $slice: -tail.length }
  }
  const newDedups = state.dedups.length - before.dedupLength
  if (newDedups > 0 || spill.dedups > 0) {
    if (dedups.length === 0) set['dd'] = []
    else {
      const each = newDedups === 0 ? [] : dedups.slice(-newDedups).map(dedupBytes)
      push['dd'] = spill.dedups === 0 ? { $each: each } : { $each: each, $slice: -dedups.length }
    }
  }
  return {
    kind: 'update',
    filter: { _id: state.device, n: state.life, v: state.version },
    update: { $set: set, $push: push, ...(due === 0 && before.due !== 0 ? { $unset: { due: 1 } } : {}) },
  }
}

/** Null: it is owned, and stays. */
function idleTime(
  fields: RecordFields,
  { idleDeviceSeconds, retentionSeconds }: Pick<MailboxLimits, 'idleDeviceSeconds' | 'retentionSeconds'>,
): Date | null {
  if (fields.claim !== null) return null
  const used = Math.max(fields.usedAt, fields.lastSeenAt ?? 0)
  const waiting = fields.pending > 0 ? retentionSeconds * 1000 : 0
  return new Date(used + idleDeviceSeconds * 1000 + waiting + GRACE_MS)
}
