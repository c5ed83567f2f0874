// The state of a simulated world, as plain JSON: one device and its inbox, couriers on two nodes, a producer that retries.
// Values are never changed in place but for the top level and the connections, which every step copies first.

import type { Position } from '../../../core/model/message.js'
import type { CloseCode } from '../../../protocol/codes.js'
import type { PageRequest } from '../../../courier/machine-types.js'
import type { HeadResult, ResumeResult } from '../../../core/ports/mailbox.js'
import type { GapReason } from '../../../protocol/frames/frame-types.js'
import { type InboxData, type InboxRules, newInbox } from './reference-inbox.js'
import { NEW_SDK, type SdkData, type SdkRules } from './sdk-device.js'
import type { MachineClass, MachineData, SavedResult } from './sim-machine.js'

/** How often each fault may happen. */
export interface Faults {
  readonly unknownOutcome?: number
  readonly retry?: number
  readonly duplicateNotice?: number
  readonly cut?: number
  readonly nodeCrash?: number
  readonly twin?: number
  readonly except?: number
  readonly failover?: number
  readonly otherClient?: number
  readonly purge?: number
  readonly stalePuback?: number
  /** Stream mode: the device's process dies; its storage is lost. */
  readonly deviceCrash?: number
  readonly wipe?: number
  readonly readFails?: number
  readonly flushFails?: number
  readonly unsubscribe?: number
  readonly unconfirmed?: number
  readonly tick?: number
  /** Sweeps that nothing calls for. */
  readonly idleSweep?: number
  /** A mistake, not a fault: the node decides that a message has expired. */
  readonly nodeExpiry?: number
}

export interface Scenario {
  /** Default plain. */
  readonly mode?: 'plain' | 'stream'
  readonly messages: number
  readonly faults: Faults
  /** Default true; false: every notice is lost. */
  readonly notices?: boolean
  /** No notice is ever lost. */
  readonly lossless?: boolean
  /** Kicks travel (late); default false: they are all lost. */
  readonly kicks?: boolean
  /** Claiming takes two steps. */
  readonly slowClaims?: boolean
  /** The store's answers (reads, flushes, sweeps) take time of their own. */
  readonly slowStore?: boolean
  /** The device handles messages side by side. */
  readonly unorderedPubacks?: boolean
  /** Messages that the socket's buffer holds; default: any number. */
  readonly socketLimit?: number
  /** The watermark of what was sent is flushed too (DUP). */
  readonly watermarks?: boolean
  readonly window?: number
  readonly pageSize?: number
  readonly cap?: number
  readonly epochsKept?: number
  /** Changes that a failover may lose. */
  readonly historyLength?: number
  readonly connectionLimit?: number
}

export interface WorldRules {
  readonly machine: MachineClass
  readonly inbox: Partial<InboxRules>
  readonly packetIds: 'random' | 'stored' | 'restart'
  readonly kickNamesClaim: boolean
  readonly generation: 'unique' | 'reused'
  readonly purge: 'new-epoch' | 'same-epoch'
  readonly sdk: Partial<SdkRules>
}

export type Frame =
  | { readonly t: 'data'; readonly mid: number; readonly packet: number }
  | { readonly t: 'frame'; readonly position: Position; readonly prev: number; readonly mid: number }
  | { readonly t: 'welcome'; readonly position: Position }
  | { readonly t: 'reset'; readonly position: Position }
  | {
      readonly t: 'gap'
      readonly epoch: string
      readonly from: number
      readonly to: number
      readonly reason: GapReason
    }
  | { readonly t: 'bye'; readonly code: CloseCode }

/** What a device sends: a PUBACK, or a frame of stream mode. */
export type UpFrame =
  | number
  | { readonly t: 'hello'; readonly position: Position | null }
  | { readonly t: 'ack'; readonly position: Position }

export interface ConnData {
  readonly id: number
  readonly node: number
  /** The device's end and the server's end are there. */
  device: boolean
  server: boolean
  /** The owner was asked to go. */
  kicked: boolean
  /** How many claims had been made with this one; 0: not claimed yet. */
  claimed: number
  m: MachineData
  wantRead: boolean
  read:
    | { readonly request: PageRequest }
    | { readonly result: SavedResult }
    | { readonly resume: Position | null }
    | { readonly resumed: ResumeResult }
    | null
  flush: { readonly position: Position; readonly sent: Position | null; readonly merged: boolean } | null
  sweep: { readonly acked: Position | null; readonly seen: HeadResult | null; readonly confirms: boolean } | null
  down: readonly Frame[]
  up: readonly UpFrame[]
  /** The device knows that the node has answered. */
  greeted: boolean
  /** The last thing sent, or where the connection began: for I1. */
  last: readonly [number, number]
  /** Packet ids in flight, by the device's view of the wire, or positions in stream mode: for G8. */
  flight: ReadonlyArray<number | Position>
}

export interface World {
  store: InboxData
  /** Earlier states, while a failover may still return to one of them. */
  history: readonly InboxData[]
  counters: { epoch: number; generation: number; conn: number; claimOrder: number; mid: number; packet: number }
  /** Per dedup id: not sent, outcome unknown, accepted. */
  producer: ReadonlyArray<0 | 1 | 2>
  notices: ReadonlyArray<{
    readonly node: number
    readonly claimId: string
    readonly epoch: string
    readonly seq: number
    readonly mid: number
  }>
  kicks: ReadonlyArray<{ readonly node: number; readonly claimId: string }>
  /** Acks of couriers that are gone, on their way. */
  lateAcks: ReadonlyArray<{ readonly node: number; readonly position: Position }>
  conns: ConnData[]
  device: {
    readonly conn: number
    /** Received, not handled yet: [mid, packet]. */
    readonly held: ReadonlyArray<readonly [number, number]>
    /** Received packet ids whose PUBACK may have been lost. */
    readonly unconfirmed: readonly number[]
    readonly sdk: SdkData
  }
  /** What really happened, for the invariants only; mids. */
  ghost: {
    readonly handled: readonly number[]
    readonly excepted: readonly number[]
    readonly lost: readonly number[]
    readonly accepted: readonly number[]
    /** Per mid: which claim held the device when it was appended. */
    readonly owners: readonly number[]
    /** Per mid: its position, as text. */
    readonly names: readonly string[]
    /** Per dedup id: the mid of its last copy. */
    readonly copies: readonly number[]
    /** Stream mode: whose handling was recorded; what overflowed, and what of that the device was told of. */
    readonly recorded: readonly number[]
    readonly dropped: readonly number[]
    readonly told: readonly number[]
  }
  faults: Record<string, number>
}

export function newWorld(scenario: Scenario): World {
  return {
    store: newInbox('e1', 'g1'),
    history: [],
    counters: { epoch: 2, generation: 2, conn: 1, claimOrder: 1, mid: 1, packet: 8 },
    producer: Array.from({ length: scenario.messages }, () => 0 as const),
    notices: [],
    kicks: [],
    lateAcks: [],
    conns: [],
    device: { conn: 0, held: [], unconfirmed: [], sdk: NEW_SDK },
    ghost: {
      handled: [],
      excepted: [],
      lost: [],
      accepted: [],
      owners: [0],
      names: [''],
      copies: Array.from({ length: scenario.messages }, () => 0),
      recorded: [],
      dropped: [],
      told: [],
    },
    faults: { ...scenario.faults },
  }
}

export const cloneWorld = (w: World): World => ({
  ...w,
  counters: { ...w.counters },
  conns: w.conns.map((c) => ({ ...c })),
  faults: { ...w.faults },
})

/** Epochs are named e1, e2, … in the order in which they began. */
export const epochNumber = (epoch: string): number => Number(epoch.slice(1))

export const claimIdOf = (conn: number): string => `c${conn}`
