// The real machine, with its whole state readable and writable as plain data, so that one object can stand for any of the
// couriers of a world. Nothing of its behaviour is changed here; mutations.ts has subclasses that do.

import type { PageEntry, ReadResult } from '../../../core/ports/mailbox.js'
import type { Position } from '../../../core/model/message.js'
import { CourierMachine } from '../../../courier/machine.js'
import type { CourierEffects, MachineContext } from '../../../courier/machine-types.js'
import type { WindowSnapshot } from '../../../courier/send-window.js'
import type { ExceptionReason } from '../../../protocol/codes.js'
import { midOf, simMessage } from './sim-message.js'

/** [seq, mid, epoch, redelivered] of a message, [seq, epoch, reason] of an exception. */
type SavedEntry = readonly [number, number, string, boolean] | readonly [number, string, ExceptionReason]

export interface MachineData {
  readonly claimId: string
  readonly phase: 'claiming' | 'open' | 'closed'
  readonly holds: number
  readonly place: readonly [string, number, string, number, boolean, string, number]
  readonly window: WindowSnapshot
  readonly page: readonly SavedEntry[] | null
  readonly pageEnd: Position | null
  readonly pageTicks: number
  readonly flags: readonly [asked: boolean, reading: boolean]
  readonly generation: string
  readonly acks: readonly [string, number, number, boolean, boolean]
  readonly wire: readonly [string, number, string, number]
  readonly flushWanted: 'no' | 'soon' | 'now'
  readonly swept: readonly [number, boolean, boolean]
  /** What only stream mode has. */
  readonly stream: {
    readonly greeting: 'none' | 'waiting' | 'asking' | 'done'
    readonly brought: Position | null
    readonly headAtWelcome: number
    readonly told: number
    readonly ownAcks: number
    readonly other: Position | null
    readonly windowSize: number
  } | null
}

const save = (entry: PageEntry): SavedEntry =>
  entry.kind === 'message'
    ? [entry.message.seq, midOf(entry.message), entry.epoch, entry.redelivered]
    : [entry.to, entry.epoch, entry.reason]

const load = (entry: SavedEntry): PageEntry =>
  entry.length === 4
    ? { kind: 'message', epoch: entry[2], message: simMessage(entry[0], entry[1]), redelivered: entry[3] }
    : { kind: 'exception', epoch: entry[1], from: entry[0], to: entry[0], reason: entry[2] }

/** A read's answer as plain data. */
export type SavedResult =
  | Exclude<ReadResult, { kind: 'page' }>
  | {
      readonly kind: 'page'
      readonly entries: readonly SavedEntry[]
      readonly next: Position
      readonly head: number
      readonly lastEpoch: string
    }

export const saveResult = (result: ReadResult): SavedResult =>
  result.kind === 'page' ? { ...result, entries: result.entries.map(save) } : result

export const loadResult = (saved: SavedResult): ReadResult =>
  saved.kind === 'page' ? { ...saved, entries: saved.entries.map(load) } : saved

export type MachineClass = new (
  claimId: string,
  firstPacketId: number,
  context: MachineContext,
  effects: CourierEffects,
) => SimMachine

export class SimMachine extends CourierMachine {
  declare claimId: string

  snapshot(): MachineData {
    const { place, acks } = this
    return {
      claimId: this.claimId,
      phase: this.phase,
      holds: this.holds,
      place: [place.epoch, place.sent, place.lastEpoch, place.head, place.look, place.newsEpoch, place.newsSeq],
      window: this.window.snapshot(),
      page: this.page === undefined ? null : this.page.slice(this.pageAt).map(save),
      pageEnd: this.pageEnd ?? null,
      pageTicks: this.page === undefined ? 0 : this.pageTicks,
      flags: [this.asked, this.reading],
      generation: this.generation,
      acks: [acks.ackedEpoch, acks.ackedSeq, acks.unflushed, acks.again, acks.flushing],
      wire: [acks.wireEpoch, acks.wireSeq, acks.toldEpoch, acks.toldSeq],
      flushWanted: this.flushWanted,
      swept: [this.sweptSent, this.sweptSettled, this.sweptIdle],
      stream: this.greeting === 'none' ? null : this.saveStream(),
    }
  }

  private saveStream(): MachineData['stream'] {
    const { greeting, brought, headAtWelcome, windowSize } = this
    const { told, ownAcks } = this.place
    return { greeting, brought, headAtWelcome, told, ownAcks, other: this.acks.other, windowSize }
  }

  restore(data: MachineData): void {
    const { place, acks } = this
    this.claimId = data.claimId
    this.phase = data.phase
    this.holds = data.holds
    ;[place.epoch, place.sent, place.lastEpoch, place.head, place.look, place.newsEpoch, place.newsSeq] = data.place
    this.window.restore(data.window)
    this.page = data.page === null ? undefined : data.page.map(load)
    this.pageAt = 0
    this.pageEnd = data.pageEnd ?? undefined
    this.pageTicks = data.pageTicks
    ;[this.asked, this.reading] = data.flags
    this.generation = data.generation
    ;[acks.ackedEpoch, acks.ackedSeq, acks.unflushed, acks.again, acks.flushing] = data.acks
    ;[acks.wireEpoch, acks.wireSeq, acks.toldEpoch, acks.toldSeq] = data.wire
    this.flushWanted = data.flushWanted
    ;[this.sweptSent, this.sweptSettled, this.sweptIdle] = data.swept
    const { stream } = data
    this.tells = stream !== null
    this.greeting = stream?.greeting ?? 'none'
    this.brought = stream?.brought ?? null
    this.headAtWelcome = stream?.headAtWelcome ?? 0
    this.windowSize = stream?.windowSize ?? this.context.limits.window
    place.told = stream?.told ?? 0
    place.ownAcks = stream?.ownAcks ?? 0
    acks.other = stream?.other ?? null
  }
}
