// One step over many devices: reads their documents, applies the changes, writes what differs (device-steps.ts says who takes part).
// The order of the writes makes it safe to be cut anywhere: see spill.ts.

import type { AnyBulkWriteOperation } from 'mongodb'
import { OutcomeUnknown } from '../../errors.js'
import { EXCEPTION_REASONS } from '../../../protocol/codes.js'
import type { OutcomeCounters } from '../../model/outcome-counters.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import type { Logger } from '../../log.js'
import { randomId } from '../../random-id.js'
import type { Named } from './collections.js'
import type { MongoConnection } from './connection.js'
import { DedupDocuments } from './dedup-documents.js'
import {
  beforeOf,
  type Before,
  bodiesOf,
  deviceWrite,
  type DeviceWrite,
  GRACE_MS,
  readDevice,
  type Spill,
  WITHOUT_BODIES,
} from './device-document.js'
import { type DedupEntry, DeviceState } from './device-state.js'
import type { DeviceWork, WorkOutcome } from './device-steps.js'
import { fieldsOf, numberOf, textOf } from './fields.js'
import { explainFailure, explainUnanswered, messageOf, writeErrorsOf } from './mongo-errors.js'
import { inOneAnswer } from './one-answer.js'
import { whatBecame } from './settle.js'
import { type ChunkDocument, leavingDedups, planChunks, tailIsLong } from './spill.js'
import { age, idsToLookUp, isIdle, type Moment } from './transitions.js'

/** Where a test may cut a step: each is called when what it names is done, and nothing after it. */
export type FaultPoint =
  'read' | 'chunks stored' | 'dedup ids stored' | 'written' | 'chunks let go' | 'events in the log'

export interface CommitContext {
  readonly connection: MongoConnection
  readonly limits: MailboxLimits
  readonly outcomes: OutcomeCounters
  readonly log: Logger
  /** Events wait in documents of devices. */
  readonly onTold: () => void
  /** For tests. */
  readonly fault?: (point: FaultPoint) => Promise<void>
}

/** A device in a step. */
interface Slot {
  readonly work: DeviceWork
  state: DeviceState | null
  before: Before | null
  spill: Spill
  outcome: WorkOutcome | null
}

const NO_SPILL: Spill = { chunks: [], dedups: 0 }
const NO_DEDUPS: ReadonlyMap<string, DedupEntry> = new Map()

export class DeviceCommit {
  readonly #context: CommitContext
  readonly #dedups: DedupDocuments

  constructor(context: CommitContext) {
    this.#context = context
    this.#dedups = new DedupDocuments(context.connection.collections.dedup)
  }

  /** Outcomes in order. Never rejects. */
  async run(work: readonly DeviceWork[]): Promise<readonly WorkOutcome[]> {
    const slots = work.map((each): Slot => ({ work: each, state: null, before: null, spill: NO_SPILL, outcome: null }))
    try {
      await this.#read(slots)
      await this.#apply(slots)
      await this.#spill(open(slots))
    } catch (error) {
      // Nothing that counts has been written yet.
      const failure = explainUnanswered(error)
      return slots.map(({ outcome }) => outcome ?? { failure })
    }
    await this.#write(open(slots))
    return slots.map(({ outcome }) => outcome ?? 'done')
  }

  async #read(slots: readonly Slot[]): Promise<void> {
    const { devices } = this.#context.connection.collections
    const ids = slots.map(({ work }) => work.device)
    const found = await devices
      .find({ _id: { $in: ids } }, { projection: WITHOUT_BODIES, ...inOneAnswer(ids.length) })
      .toArray()
    const byId = new Map(found.map((document): [string, unknown] => [document._id, document]))
    for (const slot of slots) {
      const document = byId.get(slot.work.device)
      if (document === undefined) continue
      try {
        slot.state = readDevice(document)
        slot.before = beforeOf(slot.state)
      } catch (error) {
        // A newer version wrote it: the other devices of the step are none the worse for it.
        slot.outcome = { failure: explainUnanswered(error) }
      }
    }
    await this.#context.fault?.('read')
  }

  async #apply(slots: readonly Slot[]): Promise<void> {
    const { connection, limits } = this.#context
    const moment: Moment = {
      now: connection.now(),
      generation: connection.generation,
      limits,
      randomId,
      spilled: NO_DEDUPS,
    }
    for (const slot of slots) {
      if (slot.state === null) continue
      age(slot.state, moment)
      // What it has to tell would go with it.
      const { told, waiting } = slot.state.notes
      if (isIdle(slot.state, moment) && told.length === 0 && !waiting) await this.#removeIdle(slot)
    }
    const asked = slots.flatMap(({ state, work }) => {
      if (state === null) return []
      const messages = work.changes.flatMap((change) => change.messages)
      return idsToLookUp(state, messages, moment.now).map((idHash) => ({ life: state.life, idHash }))
    })
    const spilled = await this.#dedups.find(asked)
    for (const slot of slots) {
      if (slot.outcome !== null) continue
      const { changes, device } = slot.work
      if (slot.state === null && changes.some((each) => each.creates)) {
        slot.state = DeviceState.create(device, randomId(), moment.now, randomId(), moment.generation)
        slot.before = beforeOf(slot.state)
      }
      const known = slot.state === null ? undefined : spilled.get(slot.state.life)
      const own = known === undefined ? moment : { ...moment, spilled: known }
      for (const change of changes) change.apply(slot.state, own)
      if (slot.state === null || !slot.state.changed) slot.outcome = 'done'
    }
  }

  /** The record's time is over: whoever comes now makes a new one. */
  async #removeIdle(slot: Slot): Promise<void> {
    const { state } = slot
    if (state === null) return
    const { devices } = this.#context.connection.collections
    const { deletedCount } = await devices.deleteOne({ _id: state.device, n: state.life, v: state.version })
    slot.state = null
    slot.before = null
    if (deletedCount === 0) slot.outcome = 'again'
  }

  /** Stores what leaves the devices' documents with this step. */
  async #spill(slots: readonly Slot[]): Promise<void> {
    const documents: ChunkDocument[] = []
    const long = slots.filter(({ state }) => state !== null && tailIsLong(state))
    const bodies = await this.#bodies(long)
    const { connection, limits } = this.#context
    const now = connection.now()
    for (const slot of long) {
      const stored = bodies.get(slot)
      if (stored === undefined || slot.state === null) slot.outcome = 'again'
      else {
        const until = now + limits.retentionSeconds * 1000 + GRACE_MS
        const plan = planChunks(slot.state, stored, until, randomId)
        slot.spill = { chunks: plan.chunks, dedups: 0 }
        documents.push(...plan.documents)
      }
    }
    if (documents.length > 0) {
      await connection.collections.messages.insertMany([...documents], { ordered: false })
      await this.#context.fault?.('chunks stored')
    }
    await this.#spillDedups(open(slots), now)
  }

  async #spillDedups(slots: readonly Slot[], now: number): Promise<void> {
    const windowMs = this.#context.limits.dedupWindowSeconds * 1000
    const leaving: Array<{ readonly life: string; readonly entry: DedupEntry; readonly until: number }> = []
    for (const slot of slots) {
      const { state, before } = slot
      if (state === null || before === null) continue
      const { count, needed } = leavingDedups(state, before.dedupLength, now, windowMs)
      slot.spill = { ...slot.spill, dedups: count }
      for (const entry of needed) {
        const until = entry.at + windowMs
        state.fields.spilledUntil = Math.max(state.fields.spilledUntil, until)
        leaving.push({ life: state.life, entry, until })
      }
    }
    if (leaving.length === 0) return
    await this.#dedups.store(leaving)
    await this.#context.fault?.('dedup ids stored')
  }

  /** The stored bodies of the tails; a device that is not among the answers has changed meanwhile. */
  async #bodies(slots: readonly Slot[]): Promise<ReadonlyMap<Slot, readonly unknown[]>> {
    const result = new Map<Slot, readonly unknown[]>()
    const stored = slots.filter((slot) => storedTail(slot) > 0)
    for (const slot of slots) if (storedTail(slot) === 0) result.set(slot, [])
    if (stored.length === 0) return result
    const { devices } = this.#context.connection.collections
    const ids = stored.map(({ work }) => work.device)
    const found = await devices
      .find({ _id: { $in: ids } }, { projection: { t: 1, n: 1, v: 1 }, ...inOneAnswer(ids.length) })
      .toArray()
    for (const document of found) {
      const slot = stored.find(({ work }) => work.device === document._id)
      const fields = fieldsOf(document)
      const same = slot?.state?.version === numberOf(fields, 'v') && slot.state.life === textOf(fields, 'n')
      if (slot !== undefined && same) result.set(slot, bodiesOf(document).slice(-storedTail(slot)))
    }
    return result
  }

  async #write(slots: readonly Slot[]): Promise<void> {
    const { connection, limits } = this.#context
    const op = randomId()
    // In the order of the ids: two bulk writes that lock as they go cannot wait for one another.
    const ordered = slots.toSorted((a, b) => (a.work.device < b.work.device ? -1 : 1))
    const writes = ordered.flatMap((slot) =>
      slot.state === null || slot.before === null
        ? []
        : [{ slot, write: deviceWrite(slot.state, slot.before, op, limits, slot.spill) }],
    )
    if (writes.length === 0) return
    const { devices } = connection.collections
    let answered = true
    let failure: unknown = null
    try {
      const result = await devices.bulkWrite(
        writes.map(({ write }) => operationOf(write)),
        { ordered: false },
      )
      const inserts = writes.filter(({ write }) => write.kind === 'insert').length
      await this.#context.fault?.('written')
      if (result.insertedCount === inserts && result.matchedCount === writes.length - inserts) {
        this.#done(writes.map(({ slot }) => slot))
        return
      }
    } catch (error) {
      failure = error
      answered = writeErrorsOf(error) !== null
    }
    await this.#findOut(
      writes.map(({ slot }) => slot),
      op,
      answered,
      failure,
    )
  }

  /** Not all was written, or nobody said so: the documents tell. */
  async #findOut(slots: readonly Slot[], op: string, answered: boolean, failure: unknown): Promise<void> {
    const { devices } = this.#context.connection.collections
    const ids = slots.map(({ work }) => work.device)
    try {
      const found = await devices
        .find({ _id: { $in: ids } }, { projection: { n: 1, v: 1, ops: 1 }, ...inOneAnswer(ids.length) })
        .toArray()
      const byId = new Map(found.map((document): [string, unknown] => [document._id, document]))
      const unknown = new OutcomeUnknown('MongoDB did not say what became of a change', { cause: failure })
      const done: Slot[] = []
      for (const slot of slots) {
        const { state } = slot
        if (state === null) continue
        const became = whatBecame(state, op, byId.get(slot.work.device) ?? null, answered)
        if (became === 'done') done.push(slot)
        else slot.outcome = became === 'again' ? 'again' : { failure: unknown }
      }
      this.#done(done)
    } catch (error) {
      for (const slot of slots) slot.outcome ??= { failure: explainFailure(failure ?? error) }
    }
  }

  #done(slots: readonly Slot[]): void {
    const gone: string[] = []
    if (slots.some(({ state }) => state !== null && state.notes.told.length > 0)) this.#context.onTold()
    for (const slot of slots) {
      slot.outcome = 'done'
      if (slot.state?.outcomes) addOutcomes(this.#context.outcomes, slot.state.outcomes)
      const kept = new Set(slot.state?.chunks)
      for (const chunk of slot.before?.chunks ?? []) if (!kept.has(chunk)) gone.push(chunk.id)
    }
    if (gone.length > 0) void this.#forget(gone)
  }

  /** Nothing refers to them any more. Those that stay in spite of it end by themselves. */
  async #forget(ids: readonly string[]): Promise<void> {
    const { messages } = this.#context.connection.collections
    try {
      await this.#context.fault?.('chunks let go')
      await messages.deleteMany({ _id: { $in: [...ids] } })
    } catch (error) {
      this.#context.log.debug({ reason: messageOf(error), documents: ids.length }, 'messages_left_behind')
    }
  }
}

function addOutcomes(total: OutcomeCounters, step: OutcomeCounters): void {
  total.handled += step.handled
  for (const reason of EXCEPTION_REASONS) {
    total.undelivered[reason] += step.undelivered[reason]
    total.takenBack[reason] += step.takenBack[reason]
  }
}

const open = (slots: readonly Slot[]): readonly Slot[] => slots.filter(({ outcome }) => outcome === null)

const storedTail = ({ state }: Slot): number => (state === null ? 0 : state.tail.length - state.added.length)

function operationOf(write: DeviceWrite): AnyBulkWriteOperation<Named> {
  return write.kind === 'insert'
    ? { insertOne: { document: write.document } }
    : { updateOne: { filter: write.filter, update: write.update } }
}
