/** What a device sends to the backend, as it arrived, validated. */
export interface NewUplink {
  readonly device: string
  /** The topic behind `uplink/{device}/`; see `isUplinkChannel` in protocol/topics.ts. */
  readonly channel: string
  /** Null: the device said nothing (plain MQTT has no place for it). */
  readonly contentType: string | null
  /** It is the last will of a connection that ended without DISCONNECT. */
  readonly will: boolean
  /** The device's own id of it, unique per device; null: it has none, and each append is another uplink. */
  readonly dedupId: string | null
  /** Kept as handed over until the promise settles: its bytes must not be changed before. */
  readonly payload: Uint8Array
}

export interface StoredUplink extends Omit<NewUplink, 'dedupId'> {
  /** The store's own: opaque, unique for ever, at most 64 printable ASCII characters. Also the `after` that follows it. */
  readonly id: string
  /** Milliseconds UTC by the store's clock. */
  readonly at: number
}

export type UplinkResult =
  | {
      readonly ok: true
      readonly id: string
      readonly at: number
      /** The first answer again: this (device, dedupId) was stored before. Nothing was appended. */
      readonly duplicate: boolean
    }
  | {
      readonly ok: false
      /** `full`: the cap. `dedup_conflict`: the dedupId stands for another channel, content type or payload. */
      readonly code: 'full' | 'dedup_conflict'
    }

export interface UplinkQuery {
  /** The id of the last uplink that the reader has; null: from the oldest. */
  readonly after: string | null
  readonly limit: number
  /** Ends the page before an uplink that would exceed it (by `uplinkSize`); the first one always fits. */
  readonly maxBytes: number
}

export interface UplinkPage {
  readonly uplinks: readonly StoredUplink[]
  /** More follow the last one. */
  readonly more: boolean
}

/** What is kept, as the driver knows it without asking the store: for metrics. */
export interface UplinkUsage {
  readonly count: number
  readonly bytes: number
}

/**
 * What devices sent to the backend: one log of all devices.
 *
 * Contract of every driver:
 * - **Durability.** A promise of `append` resolves when what it says is stored at the store's stated durability. Nothing is
 *   read that is not stored so.
 * - **Order.** Uplinks of one device are in the log in the order of the calls, and of the items of a call: a call takes its
 *   place when it is made, whether or not earlier ones have been answered. Of a call that was not answered, or with
 *   `OutcomeUnknown`, any first part of a device's items may be stored, never a later item without the earlier ones. After
 *   an item is refused as `full`, all later ones of the device in that call are. Whoever must not have a later uplink stored
 *   when an earlier one was refused waits for the answer before the next call.
 * - **Reading** from `after` to `after` gives each uplink exactly once and in order of storage, whatever is appended or
 *   expires meanwhile: nothing ever appears behind an id that was read. An id stays valid as an `after` when its uplink is
 *   gone.
 * - **Dedup.** The same (device, dedupId) within 24 hours of the first is answered with the first result, marked
 *   `duplicate`, also after the uplink has expired; with another channel, content type or payload `dedup_conflict`. Two
 *   equal items of one call, or of calls at the same time, are one uplink too.
 * - **Bounds.** Never more than `maxBytes` by `uplinkSize` are kept; what does not fit is refused. An uplink older than
 *   `retentionSeconds` is never read; it makes room within a second or a few, when there are many of them.
 * - **Errors.** What the store cannot do now rejects with `StoreUnavailable` (nothing of the call is stored, and never will
 *   be) or `OutcomeUnknown`. Calls after `close` reject with `StoreUnavailable`. Nothing else rejects.
 */
export interface Uplink {
  /** Results in the order of `items`. */
  append(items: readonly NewUplink[]): Promise<readonly UplinkResult[]>

  /** A page, in order of storage. Null: `after` is not an id of this kind of store. */
  read(query: UplinkQuery): Promise<UplinkPage | null>

  /** The `after` with which nothing is read that is there now; null: nothing is. */
  end(): Promise<string | null>

  readonly usage: UplinkUsage

  /** Waits for what is under way, then refuses every call. Idempotent. */
  close(): Promise<void>
}

export interface UplinkLimits {
  /** Bytes of all uplinks that are kept, by `uplinkSize`. */
  readonly maxBytes: number
  readonly retentionSeconds: number
}

export const DEFAULT_UPLINK_LIMITS: UplinkLimits = {
  maxBytes: 4 * 1024 ** 3,
  retentionSeconds: 7 * 24 * 3600,
}

/** How long a dedup id is remembered. Milliseconds. */
export const UPLINK_DEDUP_MS = 24 * 3600 * 1000

/**
 * What an uplink weighs against `--uplink-max` and page limits: the bytes of the payload, the lengths of its texts (as UTF-16
 * length, an estimate that needs no encoding), plus 64 for the rest.
 */
export function uplinkSize(u: Pick<NewUplink, 'device' | 'channel' | 'contentType' | 'payload'>): number {
  return 64 + u.payload.byteLength + u.device.length + u.channel.length + (u.contentType?.length ?? 0)
}
