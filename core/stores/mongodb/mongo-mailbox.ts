// The Mailbox port on MongoDB. Changes go through steps (device-steps.ts), in which the state of each device is read, changed and
// written back in one update; looks read the document and apply to it what time has done, without writing it. Nothing is kept in
// memory between two calls.

import type { MongoCounters } from '../../metrics/mongo-counters.js'
import type { NewMessage, Position } from '../../model/message.js'
import type {
  AckItem,
  AckResult,
  AppendResult,
  CancelResult,
  Claim,
  ClaimGranted,
  ClaimHeld,
  DeviceInfo,
  HeadResult,
  Mailbox,
  MailboxLimits,
  MessageState,
  PeekResult,
  ReadRequest,
  ReadResult,
  ResumeRequest,
  ResumeResult,
} from '../../ports/mailbox.js'
import { StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import { randomId } from '../../random-id.js'
import { CallGate } from '../call-gate.js'
import type { MongoConnection } from './connection.js'
import type { ClaimNodes } from './claim-nodes.js'
import type { ChangeOptions, DeviceChanges } from './device-changes.js'
import { readDevice, WITHOUT_BODIES_AND_DEDUP } from './device-document.js'
import type { EventRelay } from './event-relay.js'
import { DeviceLooks, type LookKind } from './device-looks.js'
import { DeviceReader, type Look } from './device-reader.js'
import type { DeviceState } from './device-state.js'
import type { DeviceChange } from './device-steps.js'
import { fieldsOf } from './fields.js'
import { explainFailure, explainUnanswered, messageOf } from './mongo-errors.js'
import { inOneAnswer } from './one-answer.js'
import { infoOf, oldestAt, stateOf } from './views.js'
import {
  ack,
  age,
  append,
  cancel,
  claim,
  isIdle,
  type Moment,
  prepare,
  type PreparedMessage,
  resume,
} from './transitions.js'

export interface MailboxContext {
  readonly connection: MongoConnection
  readonly changes: DeviceChanges
  readonly nodes: Pick<ClaimNodes, 'know'>
  readonly relay: Pick<EventRelay, 'bring'>
  readonly limits: MailboxLimits
  readonly counters: MongoCounters
  readonly log: Logger
}

/** How often a purge may find that the device changed under it. */
const PURGE_TRIES = 100

export class MongoMailbox implements Mailbox {
  readonly #context: MailboxContext
  readonly #looks: DeviceLooks
  readonly #reader: DeviceReader
  readonly #gate = new CallGate()

  constructor(context: MailboxContext) {
    this.#context = context
    this.#looks = new DeviceLooks(context.connection.collections.devices)
    this.#reader = new DeviceReader({
      collections: context.connection.collections,
      log: context.log,
      generation: () => this.generation,
      look: (device, kind) => this.#look(device, kind),
      change: (device, apply) => this.#change(device, apply),
    })
  }

  get generation(): string {
    return this.#context.connection.generation
  }

  #change<T>(device: string, apply: DeviceChange<T>['apply'], options?: ChangeOptions): Promise<T> {
    return this.#context.changes.change(device, apply, options)
  }

  get #moment(): Moment {
    const { connection, limits } = this.#context
    return { now: connection.now(), generation: connection.generation, limits, randomId, spilled: new Map() }
  }

  // ---- changes

  append(items: readonly NewMessage[]): Promise<readonly AppendResult[]> {
    return this.#gate.run(async () => {
      const places = new Map<string, number[]>()
      for (const [i, { device }] of items.entries()) {
        const known = places.get(device)
        if (known === undefined) places.set(device, [i])
        else known.push(i)
      }
      const results = Array.from<AppendResult>({ length: items.length })
      await Promise.all(
        Array.from(places, async ([device, at]) => {
          const messages = at.flatMap((i) => items[i] ?? []).map(prepare)
          const answers = await this.#appendTo(device, messages)
          for (const [n, i] of at.entries()) {
            const answer = answers[n]
            if (answer !== undefined) results[i] = answer
          }
        }),
      )
      return results
    })
  }

  async #appendTo(device: string, messages: readonly PreparedMessage[]): Promise<readonly AppendResult[]> {
    try {
      return await this.#change(
        device,
        (state, moment) => {
          if (state === null) throw new TypeError('an append makes the device')
          return messages.map((item) => append(state, item, moment))
        },
        { creates: true, messages },
      )
    } catch (error) {
      const code = explainFailure(error).code === 'store_unavailable' ? 'store_unavailable' : 'outcome_unknown'
      return messages.map(() => ({ ok: false, code }))
    }
  }

  ack(items: readonly AckItem[]): Promise<readonly AckResult[]> {
    return this.#gate.run(() =>
      Promise.all(
        items.map((item) =>
          this.#change(item.device, (state, moment) =>
            state === null ? { counted: false, cursor: 0, pending: 0 } : ack(state, item, moment),
          ),
        ),
      ),
    )
  }

  resume({ device, claimId, position }: ResumeRequest): Promise<ResumeResult> {
    return this.#gate.run(() =>
      this.#change(device, (state, moment) =>
        state === null
          ? { kind: 'not_owner', claim: null, generation: moment.generation }
          : resume(state, claimId, position, moment),
      ),
    )
  }

  claim(device: string, wanted: Claim, options: { readonly force: boolean }): Promise<ClaimGranted | ClaimHeld> {
    return this.#gate.run(async () => {
      await this.#context.nodes.know(wanted.node)
      return this.#change(
        device,
        (state, moment) => {
          if (state === null) throw new TypeError('a claim makes the device')
          return claim(state, wanted, options.force, moment)
        },
        { creates: true },
      )
    })
  }

  release(device: string, claimId: string): Promise<boolean> {
    return this.#gate.run(() =>
      this.#change(device, (state, moment) => {
        if (state === null || !state.owns(claimId)) return false
        state.release(moment.now)
        return true
      }),
    )
  }

  keepSubscription(device: string, claimId: string, filter: string | null): Promise<boolean> {
    return this.#gate.run(() =>
      this.#change(device, (state) => {
        if (state === null || !state.owns(claimId)) return false
        state.keepSubscription(filter)
        return true
      }),
    )
  }

  cancel(device: string, seq: number, epoch: string | null): Promise<CancelResult> {
    return this.#gate.run(() =>
      this.#change(device, (state, moment) =>
        state === null ? { kind: 'no_device' } : cancel(state, seq, epoch, moment),
      ),
    )
  }

  ensure(device: string): Promise<void> {
    return this.#gate.run(() =>
      this.#change(device, (state, moment) => state?.use(moment.now), { creates: true }).then(() => undefined),
    )
  }

  purge(device: string): Promise<{ readonly existed: boolean; readonly claim: Claim | null }> {
    return this.#gate.run(async () => {
      const { messages } = this.#context.connection.collections
      try {
        const document = await this.#delete(device)
        if (document === null) return { existed: false, claim: null }
        const state = readDevice(document)
        this.#context.counters.outcomes.undelivered.deleted += state.fields.pending
        const ids = state.chunks.map(({ id }) => id)
        // Nothing refers to them any more; what stays in spite of it ends by itself.
        if (ids.length > 0) await messages.deleteMany({ _id: { $in: ids } }).catch(() => undefined)
        return isIdle(state, this.#moment)
          ? { existed: false, claim: null }
          : { existed: true, claim: state.fields.claim }
      } catch (error) {
        throw explainFailure(error)
      }
    })
  }

  /** The document that was deleted; null: there is none. What it has told is in the log by then. */
  async #delete(device: string): Promise<unknown> {
    const { devices } = this.#context.connection.collections
    for (let tries = 0; tries < PURGE_TRIES; tries++) {
      const filter = { _id: device, evV: { $exists: false } }
      const document = await devices.findOneAndDelete(filter, { projection: WITHOUT_BODIES_AND_DEDUP })
      if (document !== null) return document
      // It told something just now, or the server missed a document that somebody else is just changing.
      const found = await devices.findOne({ _id: device }, { projection: { evV: 1 } })
      if (found === null) return null
      if (fieldsOf(found).has('evV')) await this.#context.relay.bring()
    }
    throw new StoreUnavailable('the device changes faster than it can be deleted')
  }

  // ---- looks

  /** The device as time has made it; nothing is written. */
  async #look(device: string, kind: LookKind): Promise<Look | null> {
    const document = await this.#looks.look(device, kind)
    const state = document === null ? null : this.#aged(document)
    return state === null ? null : { state, document }
  }

  #aged(document: unknown): DeviceState | null {
    const state = readDevice(document)
    const moment = this.#moment
    age(state, moment)
    return isIdle(state, moment) ? null : state
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#gate.run(() => this.#reader.read(request))
  }

  heads(
    items: ReadonlyArray<{ readonly device: string; readonly acked: Position | null }>,
  ): Promise<ReadonlyArray<HeadResult | null>> {
    return this.#gate.run(() =>
      Promise.all(
        items.map(async ({ device, acked }) => {
          const look = await this.#look(device, 'record')
          if (look === null) return null
          const { state } = look
          if (state.notes.told.length > 0) this.#write(device)
          const { claim: owner, head, pending } = state.fields
          return {
            claim: owner,
            generation: this.generation,
            lastEpoch: state.lastEpoch,
            head,
            cursor: state.cursorPosition,
            pending,
            oldestPendingAt: oldestAt(state),
            ackedSeq: acked === null ? null : state.resolveAck(acked),
          }
        }),
      ),
    )
  }

  /** What time has done to a device that is connected is told when its node looks, not with its next change only. */
  #write(device: string): void {
    this.#change(device, () => undefined).catch((error: unknown) =>
      this.#context.log.debug({ reason: messageOf(error) }, 'due_sweep_failed'),
    )
  }

  info(device: string): Promise<DeviceInfo | null> {
    return this.#gate.run(async () => {
      const look = await this.#look(device, 'record')
      return look === null ? null : infoOf(look.state)
    })
  }

  list(query: {
    readonly after: string | null
    readonly limit: number
    readonly online?: boolean
    readonly isGone?: (node: string) => boolean
  }): Promise<{ readonly devices: readonly DeviceInfo[]; readonly next: string | null }> {
    return this.#gate.run(async () => {
      const { devices } = this.#context.connection.collections
      const { online, isGone = nobody } = query
      try {
        const found = await devices
          .find(
            { _id: { $gt: query.after ?? '' } },
            {
              projection: WITHOUT_BODIES_AND_DEDUP,
              ...inOneAnswer(query.limit + 1),
            },
          )
          .sort({ _id: 1 })
          .limit(query.limit + 1)
          .toArray()
        const page = found.slice(0, query.limit)
        const infos = page.flatMap((document) => {
          const state = this.#aged(document)
          return state === null ? [] : [infoOf(state)]
        })
        return {
          devices: infos.filter(
            ({ claim: owner }) => online === undefined || online === (owner !== null && !isGone(owner.node)),
          ),
          next: found.length > page.length ? (page.at(-1)?._id ?? null) : null,
        }
      } catch (error) {
        throw explainUnanswered(error)
      }
    })
  }

  peek(
    device: string,
    query: { readonly after: number; readonly limit: number; readonly maxBytes: number },
  ): Promise<PeekResult | null> {
    return this.#gate.run(() => this.#reader.peek(device, query))
  }

  state(device: string, seq: number, epoch: string | null): Promise<MessageState> {
    return this.#gate.run(async () => {
      const look = await this.#look(device, 'record')
      return look === null ? { kind: 'no_device' } : stateOf(look.state, seq, epoch)
    })
  }

  ping(): Promise<void> {
    return this.#gate.run(async () => {
      try {
        await this.#context.connection.ping()
      } catch (error) {
        throw explainUnanswered(error)
      }
    })
  }

  async close(): Promise<void> {
    await this.#gate.close()
  }
}

const nobody = (): boolean => false
