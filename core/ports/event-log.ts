import type { NewEvent } from '../model/event.js'

export interface LoggedEvent extends NewEvent {
  /**
   * The store's own: opaque, unique for ever, at most 64 characters of `[0-9a-z-]`. Also the `after` that follows it.
   */
  readonly id: string
}

export interface EventQuery {
  /** The id of the last event that the reader has, or the `next` of a page; null: from the oldest. */
  readonly after: string | null
  readonly limit: number
}

export interface EventPage {
  /** In order. */
  readonly events: readonly LoggedEvent[]
  /** The `after` of the next page. Null: nothing was ever recorded. */
  readonly next: string | null
  /** Events between `after` and the first of the page (or `next`, when there is none) that are not kept any more. */
  readonly missed: number
  /** Events behind the page. */
  readonly behind: number
}

/** What is kept, as the driver knows it without asking the store: for metrics. */
export interface EventUsage {
  readonly count: number
  /** Events that were dropped to keep `maxCount`, since the store was opened. */
  readonly dropped: number
}

/**
 * What became of devices and their messages: one log of all devices, which the store writes itself. Webhooks read it; a stream
 * of events over HTTP can read it the same way, because an id is a place in it.
 *
 * Contract of every driver:
 * - **What is recorded, and when.** In the same atomic and durable step as the change, never without it, never twice:
 *   - `message.handled`: an ack moved the cursor over a message with `receipt`. Not for one that had become an exception before
 *     (that was told), also where a late ack takes the exception back.
 *   - `message.expired` and `message.overflow`: a message became an exception of that kind; `expired` also by the retention,
 *     which its `reason` says. Messages that were given up together may be one event.
 *   - `device.offline_with_pending`: a message was appended that nobody is there to take (no claim), or a claim was released
 *     while messages wait; once until the next claim. What became of the claims of a process that died is found out in the
 *     background, a bit at a time.
 *   A purge tells nothing.
 * - **Order.** Events of one device are in the order of the changes. (Redis Cluster: they reach the log some milliseconds after
 *   the change, and still in that order.)
 * - **Reading** from `after` to `next` gives each event once and in order of storage, whatever is recorded or dropped
 *   meanwhile: nothing ever appears behind an id that was read. An id stays valid as an `after` when its event is gone.
 * - **Bounds.** An event older than `retentionSeconds` is never read. Of more than `maxCount` the oldest are dropped within a
 *   second or a few, and counted: recording never refuses a change, so a reader that does not come loses the oldest, and is
 *   told how many (`missed`).
 * - **Errors.** Rejects with `StoreUnavailable` only; after `close` always.
 */
export interface EventLog {
  /** Null: `after` is not an id of this kind of store. */
  read(query: EventQuery): Promise<EventPage | null>
  /** The `after` with which nothing is read that is there now; null: nothing was ever recorded. */
  end(): Promise<string | null>
  readonly usage: EventUsage
  /** Waits for what is under way, then refuses every call. Idempotent. */
  close(): Promise<void>
}

export interface EventLimits {
  readonly maxCount: number
  readonly retentionSeconds: number
}

/** Two days: a webhook may be a day behind. */
export const DEFAULT_EVENT_LIMITS: EventLimits = { maxCount: 1_000_000, retentionSeconds: 2 * 24 * 3600 }
