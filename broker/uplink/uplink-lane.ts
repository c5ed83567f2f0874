// The uplink of one connection on its way to the store: in order, a batch at a time, so that nothing is ever stored behind
// something that was refused.
//
//   add ─▶ waiting ──take──▶ under way ──stored──▶ acknowledged
//                               │ refused: QoS 0 is dropped and counted; QoS 1 ends the connection, and drops what waits
//                               ▼          behind: the device sends it again, in order
//
// A lane outlives its connection until what it holds is stored.

import type { NewUplink, UplinkResult } from '../../core/ports/uplink.js'
import type { UplinkCounters, UplinkRefusal } from './uplink-counters.js'

/** What became of one uplink: what the store says, or that it was not asked. */
export type UplinkOutcome = UplinkResult | { readonly ok: false; readonly code: 'device_full' }

/** What a lane needs of its connection. None of it throws. */
export interface UplinkLaneOwner {
  /** A QoS 1 uplink will not be stored: no PUBACK, the connection must end. Called once. */
  uplinkRefused(reason: UplinkRefusal): void
  /** `full` may have become false. */
  uplinkOpen(): void
  /** Uplink waits for the store, so that the device may not be read: that is not its silence. */
  uplinkWaits(): void
}

/** What a lane needs of the node. */
export interface UplinkLaneHost {
  readonly counters: UplinkCounters
  /** Bytes of all lanes are over the node's limit. */
  readonly full: boolean
  /** The lane holds more (or with a negative number fewer) bytes. */
  weigh(bytes: number): void
  /** The lane has something, and nothing under way. */
  wants(lane: UplinkLane): void
  /** The lane holds nothing. */
  idle(lane: UplinkLane): void
  monotonic(): number
}

/** Bytes that one lane may hold before its connection is not read from. */
export const UPLINK_LANE_BYTES = 64 * 1024
/** What an uplink costs beside its payload. */
const ENTRY_COST = 256

interface Entry {
  readonly uplink: NewUplink
  /** 0: QoS 0. */
  readonly packetId: number
  /** Monotonic, milliseconds. */
  readonly since: number
  readonly stored: (() => void) | null
  readonly refused: ((error: Error) => void) | null
}

/** An uplink was not stored, and the connection ends. */
export class UplinkRefused extends Error {
  readonly reason: UplinkRefusal

  constructor(reason: UplinkRefusal) {
    super(`an uplink was not stored: ${reason}`)
    this.name = 'UplinkRefused'
    this.reason = reason
  }
}

const costOf = (uplink: NewUplink): number => ENTRY_COST + uplink.payload.byteLength

export class UplinkLane {
  readonly device: string
  readonly #host: UplinkLaneHost
  readonly #owner: UplinkLaneOwner
  #waiting: Entry[] = []
  #underWay: readonly Entry[] = []
  #bytes = 0
  /** An uplink with QoS 1 was refused: nothing behind it may be stored. */
  #failed = false

  constructor(device: string, host: UplinkLaneHost, owner: UplinkLaneOwner) {
    this.device = device
    this.#host = host
    this.#owner = owner
  }

  /** It holds so much that the connection should not be read from. */
  get full(): boolean {
    return this.#bytes > 0 && (this.#bytes > UPLINK_LANE_BYTES || this.#host.full)
  }

  get empty(): boolean {
    return this.#waiting.length === 0 && this.#underWay.length === 0
  }

  /** With QoS 0: stored in its turn, or dropped and counted. */
  offer(uplink: NewUplink): void {
    this.#add({ uplink, packetId: 0, since: this.#host.monotonic(), stored: null, refused: null })
  }

  /** With QoS 1: resolves when it is stored; rejects with UplinkRefused, after the owner was told. */
  store(uplink: NewUplink, packetId: number): Promise<void> {
    const done = new Promise<void>((stored, refused) => {
      this.#add({ uplink, packetId, since: this.#host.monotonic(), stored, refused })
    })
    // Nobody may look: the owner was told.
    done.catch(() => undefined)
    return done
  }

  /** The same uplink waits already: sent again with DUP before it was acknowledged. */
  holds(uplink: NewUplink, packetId: number): boolean {
    const same = (entry: Entry): boolean =>
      entry.packetId === packetId &&
      entry.uplink.channel === uplink.channel &&
      Buffer.compare(entry.uplink.payload, uplink.payload) === 0
    return this.#underWay.some(same) || this.#waiting.some(same)
  }

  #add(entry: Entry): void {
    if (this.#failed) {
      this.#drop(entry, 'behind_refused')
      return
    }
    const first = this.empty
    this.#waiting.push(entry)
    this.#weigh(costOf(entry.uplink))
    if (first) this.#host.wants(this)
  }

  // --- from the host

  /** Something waits, and nothing is under way. */
  get ready(): boolean {
    return this.#waiting.length > 0 && this.#underWay.length === 0
  }

  /** What waits is under way from now on. */
  take(): readonly NewUplink[] {
    this.#underWay = this.#waiting
    this.#waiting = []
    return this.#underWay.map(({ uplink }) => uplink)
  }

  /** The answer for what is under way: one for each, or why there is none. */
  settle(results: readonly UplinkOutcome[] | UplinkRefusal): void {
    const entries = this.#underWay
    const late = this.#failed // what becomes of them is not told any more, and what is refused is counted already
    this.#underWay = []
    let bytes = 0
    for (const entry of entries) bytes += costOf(entry.uplink)
    this.#weigh(-bytes)
    entries.forEach((entry, i) => {
      const result = typeof results === 'string' ? null : results[i]
      if (result?.ok === true) this.#stored(entry, result.duplicate)
      else if (!late)
        this.#refused(entry, typeof results === 'string' ? results : (result?.code ?? 'store_unavailable'))
    })
    if (this.#waiting.length > 0) this.#host.wants(this)
    else this.#host.idle(this)
    this.#owner.uplinkOpen()
  }

  /** Looked at while it holds something: has it waited too long? `late`: what came at or before this time has. */
  look(late: number): void {
    if (this.#oldest <= late) this.#expire()
    else this.#owner.uplinkWaits()
  }

  /** The oldest has waited since this time; Infinity: nothing waits. */
  get #oldest(): number {
    return (this.#underWay[0] ?? this.#waiting[0])?.since ?? Infinity
  }

  /** The store did not answer in time. What is under way stays so: the store may still do it. */
  #expire(): void {
    const acknowledged = (entry: Entry): boolean => entry.packetId > 0
    if (this.#failed) return
    if (this.#underWay.some(acknowledged) || this.#waiting.some(acknowledged)) {
      this.#fail('timeout')
      for (const entry of this.#underWay) this.#drop(entry, 'timeout')
    } else this.#dropWaiting('timeout')
    if (this.empty) this.#host.idle(this)
    this.#owner.uplinkOpen()
  }

  #stored({ uplink, stored }: Entry, duplicate: boolean): void {
    const { counters } = this.#host
    counters.stored++
    counters.storedBytes += uplink.payload.byteLength
    if (duplicate) counters.duplicates++
    if (uplink.will) counters.wills++
    stored?.()
  }

  #refused(entry: Entry, reason: UplinkRefusal): void {
    if (entry.packetId > 0) this.#fail(reason)
    this.#drop(entry, reason)
  }

  #fail(reason: UplinkRefusal): void {
    if (this.#failed) return
    this.#failed = true
    // After the PUBACKs of those before it that are stored: they are on their way to the connection by promises.
    queueMicrotask(() => this.#owner.uplinkRefused(reason))
    this.#dropWaiting(reason === 'timeout' ? reason : 'behind_refused')
  }

  #dropWaiting(reason: UplinkRefusal): void {
    const dropped = this.#waiting
    this.#waiting = []
    let bytes = 0
    for (const entry of dropped) {
      bytes += costOf(entry.uplink)
      this.#drop(entry, reason)
    }
    this.#weigh(-bytes)
  }

  #drop({ refused }: Entry, reason: UplinkRefusal): void {
    this.#host.counters.refused[reason]++
    refused?.(new UplinkRefused(reason))
  }

  #weigh(bytes: number): void {
    this.#bytes += bytes
    this.#host.weigh(bytes)
  }
}
