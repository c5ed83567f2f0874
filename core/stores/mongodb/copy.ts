// A MongoDB as one side of a migration.

import type { Filter, WithId } from 'mongodb'
import { systemClock } from '../../clock.js'
import { describeMongoUrl } from '../../config/mongo-location.js'
import { StartupError } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { StoredMessage } from '../../model/message.js'
import {
  type CopiedDedup,
  type DeviceCopy,
  layEntries,
  MIGRATED_GENERATION,
  nextExpiryOf,
  receiptsOf,
} from '../../migration/device-copy.js'
import { notEmpty, unfinished } from '../../migration/refusals.js'
import type { CopiedPorts, Revocation, StoreCopy } from '../../migration/store-copy.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import type { UplinkLimits } from '../../ports/uplink.js'
import { randomId } from '../../random-id.js'
import { fetchBodies } from './bodies.js'
import type { Named } from './collections.js'
import { META_ID, MongoConnection } from './connection.js'
import { dedupRange, idHashOf, readDedupDocument } from './dedup-document.js'
import { DedupDocuments } from './dedup-documents.js'
import { beforeOf, deviceWrite, readDevice } from './device-document.js'
import { DeviceState } from './device-state.js'
import { fieldsOf, numberOf, textOf } from './fields.js'
import { StoreLease } from './lease.js'
import { openMongoStore } from './open.js'
import { DEDUPS, planChunks, tailIsLong } from './spill.js'

export interface CopyOptions {
  readonly url: string
  readonly limits: MailboxLimits
  readonly uplinkLimits: UplinkLimits
  readonly log: Logger
}

const PAGE = 100
const DAY_MS = 86_400_000

/** Takes the store for itself: rejects with StartupError when a process uses it. */
export async function openMongoCopy(options: CopyOptions): Promise<StoreCopy> {
  const { url, log } = options
  const connection = await MongoConnection.open({ url, log, needsReplicaSet: false, filling: true })
  const where = describeMongoUrl(url)
  const onLost = (): void => undefined
  try {
    const lease = await StoreLease.take({ connection, use: 'alone', where, log, onLost })
    return new MongoCopy(where, connection, lease, options)
  } catch (error) {
    await connection.close()
    throw error
  }
}

class MongoCopy implements StoreCopy {
  readonly where: string
  readonly #connection: MongoConnection
  readonly #lease: StoreLease
  readonly #options: CopyOptions

  constructor(where: string, connection: MongoConnection, lease: StoreLease, options: CopyOptions) {
    this.where = where
    this.#connection = connection
    this.#lease = lease
    this.#options = options
  }

  async close(): Promise<void> {
    await this.#lease.release()
    await this.#connection.close()
  }

  async #isFilling(): Promise<boolean> {
    return fieldsOf(await this.#connection.collections.meta.findOne({ _id: META_ID })).get('migration') === 1
  }

  // ---- reading

  async *devices(): AsyncGenerator<DeviceCopy> {
    if (await this.#isFilling()) throw unfinished(this.where)
    const { devices } = this.#connection.collections
    for (let after: string | null = null; ;) {
      const filter: Filter<Named> = after === null ? {} : { _id: { $gt: after } }
      const found: ReadonlyArray<WithId<Named>> = await devices.find(filter).sort({ _id: 1 }).limit(PAGE).toArray()
      for (const document of found) yield await this.#read(document)
      if (found.length < PAGE) return
      after = found.at(-1)?._id ?? null
    }
  }

  async #read(document: unknown): Promise<DeviceCopy> {
    const state = readDevice(document)
    const { fields, device, notes } = state
    const seqs: number[] = []
    for (let seq = fields.cursor + 1; seq <= fields.head; seq++)
      if (state.exceptionAt(seq) === undefined) seqs.push(seq)
    const fetched = await fetchBodies(this.#connection.collections, state, document, seqs)
    if (fetched.kind === 'missing') throw new StartupError(`${this.where}: messages of device ${device} are missing`)
    const messages: ReadonlyMap<number, StoredMessage> = fetched.messages
    const exceptions = state.exceptions.map((range) => ({ ...range, onWire: false }))
    const { createdAt, usedAt, lastSeenAt, subscription, epochs, head, headCumulative, cursor, cursorCumulative } =
      fields
    const { received, floor, pending, pendingBytes } = fields
    const record = { device, createdAt, usedAt, lastSeenAt, subscription, epochs, head, headCumulative, cursor }
    return {
      ...record,
      cursorCumulative,
      sent: fields.claim === null ? Math.max(fields.sent, fields.maybeSent) : head,
      received,
      floor,
      pending,
      pendingBytes,
      toldOfflineAt: notes.offlineAt,
      exceptions,
      entries: layEntries({ ...record, exceptions }, (seq) => messages.get(seq) ?? null),
      dedups: [...(await this.#dedups(state.life)), ...state.dedups].toSorted((a, b) => a.seq - b.seq),
    }
  }

  async #dedups(life: string): Promise<readonly CopiedDedup[]> {
    const [from, to] = dedupRange(life)
    const found = await this.#connection.collections.dedup.find({ _id: { $gte: from, $lte: to } }).toArray()
    return found.map((document) => readDedupDocument(document, idHashOf(bytesOf(document._id))))
  }

  async *revocations(): AsyncGenerator<Revocation> {
    for await (const document of this.#connection.collections.revocations.find({})) {
      const fields = fieldsOf(document)
      const keepUntil = numberOf(fields, 'keepUntil')
      if (keepUntil > systemClock.now()) yield { device: textOf(fields, '_id'), at: numberOf(fields, 'at'), keepUntil }
    }
  }

  // ---- writing

  async begin(): Promise<boolean> {
    if (await this.#isFilling()) return true
    const { devices, apiKeys, uplink, webhooks, meta } = this.#connection.collections
    for (const { collection, filter } of [
      { collection: devices, filter: {} },
      { collection: apiKeys, filter: {} },
      { collection: uplink, filter: { head: { $gt: 0 } } },
      { collection: webhooks, filter: { webhook: { $gt: '' } } },
    ]) {
      if ((await collection.findOne(filter, { projection: { _id: 1 } })) !== null) throw notEmpty(this.where)
    }
    await meta.updateOne({ _id: META_ID }, { $set: { migration: 1 } })
    return false
  }

  /** The device's own document comes last; what an earlier migration brought beside it is of another life, and ends by itself. */
  async put(copy: DeviceCopy): Promise<void> {
    const { devices, messages, dedup } = this.#connection.collections
    const { limits } = this.#options
    const now = this.#connection.now()
    const state = stateOf(copy)
    const before = beforeOf(state)
    const until = now + limits.retentionSeconds * 1000 + DAY_MS
    const plan = tailIsLong(state) ? planChunks(state, [], until, randomId) : { chunks: [], documents: [] }
    for (let from = 0; from < plan.documents.length; from += PAGE) {
      await messages.insertMany(plan.documents.slice(from, from + PAGE).map((each) => ({ ...each })))
    }
    const windowMs = limits.dedupWindowSeconds * 1000
    const young = copy.dedups.filter(({ at }) => now - at < windowMs)
    const leaving = young
      .slice(0, -DEDUPS.kept)
      .map((entry) => ({ life: state.life, entry, until: entry.at + windowMs }))
    if (leaving.length > 0) await new DedupDocuments(dedup).store(leaving)
    for (const each of leaving) state.fields.spilledUntil = Math.max(state.fields.spilledUntil, each.until)
    state.dedups = young.slice(-DEDUPS.kept)
    const write = deviceWrite(state, before, randomId(), limits, { chunks: plan.chunks, dedups: 0 })
    if (write.kind !== 'insert') throw new TypeError('a copied device is a new one')
    await devices.deleteOne({ _id: copy.device })
    await devices.insertOne(write.document)
  }

  async finish(): Promise<void> {
    await this.#connection.collections.meta.updateOne({ _id: META_ID }, { $unset: { migration: 1 } })
  }

  ports(): Promise<CopiedPorts> {
    const { url, limits, uplinkLimits, log } = this.#options
    return openMongoStore({ url, limits, uplinkLimits, log, filling: true })
  }
}

const NO_BODY = {
  payload: Buffer.alloc(0),
  contentType: '',
  attributes: null,
  dedupId: null,
  ttl: null,
  priority: 'normal',
} as const

function stateOf(copy: DeviceCopy): DeviceState {
  const { device, entries } = copy
  const { createdAt, usedAt, lastSeenAt, subscription, epochs, head, headCumulative, cursor, cursorCumulative } = copy
  const { sent, received, floor, pending, pendingBytes } = copy
  const times = { createdAt, usedAt, lastSeenAt, connectedAt: null, claim: null, subscription, epochs }
  const places = {
    head,
    headCumulative,
    cursor,
    cursorCumulative,
    sent,
    received,
    maybeSent: 0,
    floor,
    pending,
    pendingBytes,
  }
  const state = new DeviceState(device, randomId(), 0, {
    fields: {
      ...times,
      ...places,
      generation: MIGRATED_GENERATION,
      nextExpiry: nextExpiryOf(entries),
      spilledUntil: 0,
      unknown: [],
    },
    exceptions: copy.exceptions,
    chunks: [],
    tail: entries.map(({ at, expiresAt, size }) => ({ at, expiresAt, size })),
    dedups: [],
    notes: { receipts: receiptsOf(entries), offlineAt: copy.toldOfflineAt, waiting: false, due: 0 },
  })
  state.added = entries.map(({ message }) => ({ ...(message ?? NO_BODY), device, ttl: null }))
  return state
}

/** The driver answers an `_id` as bytes of its own kind or as a buffer. */
function bytesOf(id: unknown): Buffer {
  if (id instanceof Uint8Array) return Buffer.from(id)
  throw new RangeError('a dedup id in MongoDB is damaged')
}
