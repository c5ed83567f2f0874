import type { EventType } from '../model/event.js'

/** A secret as it is kept: encrypted, or (`sealedBy` null) as it is. See core/security/secret-box.ts. */
export interface KeptSecret {
  readonly text: string
  /** Names the key that it is encrypted with; null: it is not. */
  readonly sealedBy: string | null
  /** Signs until then, milliseconds UTC; null: without end. */
  readonly until: number | null
}

/** A receiver of events, as a backend has set it. */
export interface Webhook {
  readonly id: string
  readonly url: string
  readonly events: readonly EventType[]
  readonly enabled: boolean
  /** The newest first. Every one of them signs. */
  readonly secrets: readonly KeptSecret[]
  readonly createdAt: number
  readonly updatedAt: number
}

/** An event that was read from its log, and that a receiver did not take yet. */
export interface ParkedEvent {
  /** Unique in a webhook; its order as text is the order of sending. At most 128 printable ASCII characters. */
  readonly key: string
  /** What belongs to it and is of no concern to the store. */
  readonly value: string
}

/** How far a webhook has got. */
export interface Progress {
  /** By the name of a log: everything up to there is sent, dropped or parked. */
  readonly cursors: ReadonlyMap<string, string>
  readonly parked: readonly ParkedEvent[]
}

export interface ProgressChange {
  readonly cursors: ReadonlyMap<string, string>
  readonly park: readonly ParkedEvent[]
  readonly unpark: readonly string[]
}

export interface Lease {
  /** Greater than that of every earlier lease of the webhook. */
  readonly token: number
  readonly progress: Progress
}

/**
 * Webhooks, how far each has got, and who sends for it.
 *
 * Contract of every driver:
 * - Each call is one atomic step, durable when it resolves, at the store's stated durability.
 * - **Lease.** While one holds, `acquire` of another node answers null; the holder itself gets a new token. A lease ends
 *   `ttlMs` after the last call that gave or kept it, by the store's clock, or by `release`. (A store of one process may forget
 *   leases with it.) `commit` with an old token changes nothing and answers false: it is the fence.
 * - `commit` is idempotent: parking what is parked, or taking out what is not there, changes nothing.
 * - `remove` takes the progress and the lease along; a webhook made again under the id begins anew, and no token is used twice.
 * - Rejects with `StoreUnavailable` or `OutcomeUnknown`, after `close` always.
 */
export interface WebhookStore {
  /**
   * Makes it (`was` null) or replaces `was`, which must be as it is stored. False: something else is stored, and nothing was
   * changed. `cursors`: where reading begins in logs that it did not have before; the others stay.
   */
  put(webhook: Webhook, was: Webhook | null, cursors: ReadonlyMap<string, string>): Promise<boolean>
  get(id: string): Promise<Webhook | null>
  /** In order of id. */
  list(): Promise<readonly Webhook[]>
  /** False: there is none. */
  remove(id: string): Promise<boolean>
  /** Null: another node has it, or there is no such webhook. */
  acquire(id: string, node: string, ttlMs: number): Promise<Lease | null>
  /** Writes progress and keeps the lease. False: the token is not that of the present lease. */
  commit(id: string, token: number, change: ProgressChange, ttlMs: number): Promise<boolean>
  /** Ends the lease if it is the present one. */
  release(id: string, token: number): Promise<void>
  close(): Promise<void>
}
