// The Uplink port on MongoDB. Calls that come while a step is under way share the next; what one process sends is stored in the
// order of its calls, and of several processes the one that writes first counts.

import { OutcomeUnknown, StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import {
  type NewUplink,
  type StoredUplink,
  type Uplink,
  UPLINK_DEDUP_MS,
  type UplinkLimits,
  type UplinkPage,
  type UplinkQuery,
  type UplinkResult,
  uplinkSize,
  type UplinkUsage,
} from '../../ports/uplink.js'
import { randomId } from '../../random-id.js'
import { CallGate } from '../call-gate.js'
import { UplinkSteps } from '../uplink-steps.js'
import type { MongoConnection } from './connection.js'
import { DedupDocuments } from './dedup-documents.js'
import { fieldsOf, numberOf } from './fields.js'
import { explainFailure, explainUnanswered, isDuplicateKey, messageOf } from './mongo-errors.js'
import { whatBecame } from './settle.js'
import { UplinkDraft } from './uplink-draft.js'
import {
  entrySize,
  newUplinkEnd,
  numberOfId,
  OPS_OF_END,
  readUplinkChunk,
  readUplinkEnd,
  storedUplink,
  type UplinkEntry,
  uplinkEntry,
  UPLINK_ID,
  uplinkId,
  uplinkWrite,
} from './uplink-document.js'
import { uplinkHash, uplinkIdHash } from './uplink-hash.js'

const TRIM_INTERVAL_MS = 500
/** Calls share a step up to about here. */
const STEP_ITEMS = 1_000
const STEP_BYTES = 512 * 1024
/** The tail leaves the document past these. */
const TAIL_ITEMS = 256
const TAIL_BYTES = 64 * 1024
/** Another process was first, so often in a row. */
const MOST_TRIES = 200

interface Prepared {
  readonly item: NewUplink
  /** Items of one call and device. */
  readonly lane: string
  readonly idHash: Buffer | null
  readonly hash: Buffer
}

export class MongoUplink implements Uplink {
  readonly #connection: MongoConnection
  readonly #limits: UplinkLimits
  readonly #dedups: DedupDocuments
  readonly #log: Logger
  readonly #gate = new CallGate()
  readonly #timer: NodeJS.Timeout
  readonly #steps = new UplinkSteps({
    maxItems: STEP_ITEMS,
    maxBytes: STEP_BYTES,
    store: (calls) =>
      this.#store(calls).catch((error: unknown) => {
        throw explainFailure(error)
      }),
  })
  #trimming = false
  #usage: UplinkUsage = { count: 0, bytes: 0 }

  private constructor(connection: MongoConnection, limits: UplinkLimits, log: Logger) {
    this.#connection = connection
    this.#limits = limits
    this.#log = log
    this.#dedups = new DedupDocuments(connection.collections.dedup)
    this.#timer = setInterval(() => this.#trim(), TRIM_INTERVAL_MS)
    this.#timer.unref()
  }

  static async open(connection: MongoConnection, limits: UplinkLimits, log: Logger): Promise<MongoUplink> {
    try {
      await connection.collections.uplink.insertOne(newUplinkEnd(randomId(), connection.generation))
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
    }
    const uplink = new MongoUplink(connection, limits, log)
    try {
      await uplink.#trimOnce()
    } catch (error) {
      clearInterval(uplink.#timer)
      throw error
    }
    return uplink
  }

  /** As of the last call or look of this process, which is at most about half a second ago. */
  get usage(): UplinkUsage {
    return this.#usage
  }

  append(items: readonly NewUplink[]): Promise<readonly UplinkResult[]> {
    return this.#gate.run(() => this.#steps.append(items))
  }

  async #store(calls: ReadonlyArray<readonly NewUplink[]>): Promise<ReadonlyArray<readonly UplinkResult[]>> {
    const prepared = calls.flatMap((items, call) =>
      items.map((item): Prepared => ({
        item,
        lane: `${call} ${item.device}`,
        idHash: item.dedupId === null ? null : uplinkIdHash(item.device, item.dedupId),
        hash: uplinkHash(item),
      })),
    )
    const flat = await this.#step(prepared)
    let at = 0
    return calls.map((items) => flat.slice(at, (at += items.length)))
  }

  /** One step: all of the items or none, in order. */
  async #step(items: readonly Prepared[]): Promise<readonly UplinkResult[]> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const draft = await this.#draft()
      const results = await this.#apply(draft, items)
      if (!draft.changed || (await this.#write(draft))) {
        this.#usage = { count: draft.head - draft.floor, bytes: draft.bytes }
        return results
      }
    }
    throw new StoreUnavailable('other writers were always first on the uplink log')
  }

  /** The end as it is, without what has expired, and with room in its tail. */
  async #draft(): Promise<UplinkDraft> {
    try {
      const { uplink, uplinkLog } = this.#connection.collections
      const draft = new UplinkDraft(readUplinkEnd(await uplink.findOne({ _id: UPLINK_ID })))
      const now = this.#connection.now()
      const expired = ({ a }: UplinkEntry): boolean => now - a >= this.#limits.retentionSeconds * 1000
      while (draft.frontAt !== 0 && now - draft.frontAt >= this.#limits.retentionSeconds * 1000) {
        const front = draft.floor + 1
        const [from, entries] = front >= draft.tailFrom ? [draft.tailFrom, draft.tail] : await this.#chunkAt(front)
        if (entries.length === 0) draft.skip(from - 1)
        else draft.trim(from, entries, expired)
        if (draft.frontAt === 0 && draft.floor < draft.head) {
          const next = draft.floor + 1
          const [, following] = next >= draft.tailFrom ? [0, draft.tail] : await this.#chunkAt(next)
          draft.frontAt = following[0]?.a ?? now
        }
      }
      if (draft.tail.length > TAIL_ITEMS || weightOf(draft.tail) > TAIL_BYTES) {
        const from = draft.tailFrom
        try {
          await uplinkLog.insertOne({ _id: from, m: [...draft.tail] })
          draft.spill(draft.tail.length)
        } catch (error) {
          if (!isDuplicateKey(error)) throw error
          const there = await uplinkLog.findOne({ _id: from })
          draft.spill(there === null ? 0 : readUplinkChunk(there).entries.length)
        }
      }
      return draft
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  /** The entries from `number` on of the document that holds it; empty, with the first number behind, when it is not there. */
  async #chunkAt(number: number): Promise<readonly [from: number, entries: readonly UplinkEntry[]]> {
    const { uplinkLog } = this.#connection.collections
    const [found] = await uplinkLog
      .find({ _id: { $lte: number } })
      .sort({ _id: -1 })
      .limit(1)
      .toArray()
    if (found !== undefined) {
      const { from, entries } = readUplinkChunk(found)
      if (from + entries.length > number) return [number, entries.slice(number - from)]
    }
    const [next] = await uplinkLog
      .find({ _id: { $gt: number } })
      .sort({ _id: 1 })
      .limit(1)
      .toArray()
    return [next === undefined ? Infinity : readUplinkChunk(next).from, []]
  }

  async #apply(draft: UplinkDraft, items: readonly Prepared[]): Promise<readonly UplinkResult[]> {
    const now = this.#connection.now()
    const { generation } = this.#connection
    const asked = items.flatMap(({ idHash }) =>
      idHash === null || draft.spilledUntil <= now ? [] : [{ life: UPLINK_ID, idHash }],
    )
    const spilled = (
      await this.#dedups.find(asked).catch((error: unknown) => {
        throw explainUnanswered(error)
      })
    ).get(UPLINK_ID)
    const known = new Map(spilled)
    for (const entry of draft.dedups) known.set(entry.idHash.toString('hex'), entry)
    const refused = new Set<string>()
    const results = items.map(({ item, lane, idHash, hash }): UplinkResult => {
      if (refused.has(lane)) return { ok: false, code: 'full' }
      const first = idHash === null ? undefined : known.get(idHash.toString('hex'))
      if (first !== undefined && now - first.at < UPLINK_DEDUP_MS) {
        if (!first.bodyHash.equals(hash)) return { ok: false, code: 'dedup_conflict' }
        return { ok: true, id: uplinkId(first.seq, first.epoch), at: first.at, duplicate: true }
      }
      const size = uplinkSize(item)
      if (draft.bytes + size > this.#limits.maxBytes) {
        refused.add(lane)
        return { ok: false, code: 'full' }
      }
      const life = draft.lifeIn(generation)
      const number = draft.append(uplinkEntry(item, now, life))
      if (idHash !== null) {
        const entry = { idHash, bodyHash: hash, seq: number, at: now, epoch: life }
        known.set(idHash.toString('hex'), entry)
        draft.addDedup(entry)
      }
      return { ok: true, id: uplinkId(number, life), at: now, duplicate: false }
    })
    await this.#leaveDedups(draft, now)
    return results
  }

  async #leaveDedups(draft: UplinkDraft, now: number): Promise<void> {
    const needed = draft.takeOldDedups(now).map((entry) => ({
      life: UPLINK_ID,
      entry,
      until: entry.at + UPLINK_DEDUP_MS,
    }))
    try {
      if (needed.length > 0) await this.#dedups.store(needed)
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  /** False: another process was first. */
  async #write(draft: UplinkDraft): Promise<boolean> {
    const { uplink, uplinkLog } = this.#connection.collections
    const op = randomId()
    const { filter, update } = uplinkWrite(draft.before, draft, op, draft.added, draft.newDedups)
    try {
      const { matchedCount } = await uplink.updateOne(filter, update)
      if (matchedCount === 0) return false
    } catch (error) {
      const failure = explainFailure(error)
      if (!(failure instanceof OutcomeUnknown)) throw failure
      const document = await uplink
        .findOne({ _id: UPLINK_ID }, { projection: { ...OPS_OF_END, n: 1 } })
        .catch(() => null)
      const became = whatBecame({ life: UPLINK_ID, version: draft.before.version }, op, document, false)
      if (became === 'unknown') throw failure
      if (became === 'again') return false
    }
    // What is wholly below the floor is read by nobody; what stays in spite of it goes with the next.
    if (draft.gone > 0) await uplinkLog.deleteMany({ _id: { $lte: draft.gone } }).catch(() => undefined)
    return true
  }

  read({ after, limit, maxBytes }: UplinkQuery): Promise<UplinkPage | null> {
    return this.#gate.run(async () => {
      const from = after === null ? 0 : numberOfId(after)
      if (from === null) return null
      try {
        return await this.#page(from, limit, maxBytes)
      } catch (error) {
        throw explainUnanswered(error)
      }
    })
  }

  end(): Promise<string | null> {
    return this.#gate.run(async () => {
      try {
        const end = readUplinkEnd(await this.#connection.collections.uplink.findOne({ _id: UPLINK_ID }))
        return end.head === 0 ? null : uplinkId(end.head, end.life)
      } catch (error) {
        throw explainUnanswered(error)
      }
    })
  }

  async #page(after: number, limit: number, maxBytes: number): Promise<UplinkPage> {
    const end = readUplinkEnd(await this.#connection.collections.uplink.findOne({ _id: UPLINK_ID }))
    const now = this.#connection.now()
    const tailFrom = end.head - end.tail.length + 1
    const uplinks: StoredUplink[] = []
    let bytes = 0
    for (let number = Math.max(after, end.floor) + 1; number <= end.head;) {
      const [from, entries] =
        number >= tailFrom ? [number, end.tail.slice(number - tailFrom)] : await this.#chunkAt(number)
      for (const [i, entry] of entries.entries()) {
        // A step that was cut may have left a document that reaches into the tail.
        if (from + i > end.head) break
        if (now - entry.a >= this.#limits.retentionSeconds * 1000) continue
        const size = entrySize(entry)
        if (uplinks.length >= limit || (uplinks.length > 0 && bytes + size > maxBytes)) return { uplinks, more: true }
        uplinks.push(storedUplink(from + i, entry))
        bytes += size
      }
      number = entries.length === 0 ? Math.min(from, tailFrom) : from + entries.length
    }
    return { uplinks, more: false }
  }

  #trim(): void {
    if (this.#trimming) return
    this.#trimming = true
    this.#gate
      .run(() => this.#trimOnce())
      .catch((error: unknown) => {
        if (!(error instanceof StoreUnavailable)) this.#log.warn({ reason: messageOf(error) }, 'uplink_trim_failed')
      })
      .finally(() => {
        this.#trimming = false
      })
  }

  /** A look, and a step when something has expired. */
  async #trimOnce(): Promise<void> {
    const { uplink } = this.#connection.collections
    const projection = { head: 1, floor: 1, bytes: 1, frontAt: 1 } as const
    const found = await uplink.findOne({ _id: UPLINK_ID }, { projection }).catch((error: unknown) => {
      throw explainUnanswered(error)
    })
    const fields = fieldsOf(found)
    this.#usage = { count: numberOf(fields, 'head') - numberOf(fields, 'floor'), bytes: numberOf(fields, 'bytes') }
    const frontAt = numberOf(fields, 'frontAt')
    const due = frontAt !== 0 && this.#connection.now() - frontAt >= this.#limits.retentionSeconds * 1000
    // Through the same queue: a step of this process is under way or comes first.
    if (due) await this.append([])
  }

  close(): Promise<void> {
    clearInterval(this.#timer)
    return this.#gate.close()
  }
}

function weightOf(entries: readonly UplinkEntry[]): number {
  let weight = 0
  for (const entry of entries) weight += entrySize(entry)
  return weight
}
