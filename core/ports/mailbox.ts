import type { ExceptionReason } from '../../protocol/codes.js'
import type { GapReason } from '../../protocol/frames/frame-types.js'
import type { NewMessage, Position, StoredMessage } from '../model/message.js'

/**
 * Which connection owns a device. Valid while the stored claimId equals it. A claim whose process is dead ends by itself, as if it
 * had been released: in a store of one process with it, in one of many when the others have found out.
 */
export interface Claim {
  readonly node: string
  /** Random, never reused. */
  readonly claimId: string
}

export type AppendResult = AppendAccepted | AppendRefused

export interface AppendAccepted {
  readonly ok: true
  readonly seq: number
  readonly epoch: string
  readonly at: number
  readonly expiresAt: number | null
  /** The first answer again: this (device, dedupId) was accepted before with the same body. Nothing was appended. */
  readonly duplicate: boolean
  /** Who owns the device now, read in the same atomic step; null when nobody is connected. Null for duplicates. */
  readonly owner: Claim | null
}

export interface AppendRefused {
  readonly ok: false
  /**
   * `inbox_full`: the caps (overflow policy `reject`). `dedup_conflict`: the dedupId stands for another body.
   * `store_unavailable`: this item was not stored and never will be by this call. `outcome_unknown`: it may or may not
   * have been stored; the same dedupId tells.
   */
  readonly code: 'inbox_full' | 'dedup_conflict' | 'store_unavailable' | 'outcome_unknown'
  /** The accepted message's seq, for `dedup_conflict`. */
  readonly seq?: number
}

/** One entry of a page, in seq order. An entry never mixes epochs. */
export type PageEntry =
  | {
      readonly kind: 'message'
      readonly epoch: string
      readonly message: StoredMessage
      /** At or below the log's sent watermark: an earlier connection may have seen it (MQTT DUP). */
      readonly redelivered: boolean
    }
  /** Exceptions. `overflow` and `retention` are told to stream devices as a gap; the others are skipped in silence. */
  | {
      readonly kind: 'exception'
      readonly epoch: string
      readonly from: number
      readonly to: number
      readonly reason: ExceptionReason
    }

export interface ReadRequest {
  readonly device: string
  readonly claimId: string
  /** Everything up to here the courier has; the page begins after it. */
  readonly position: Position
  readonly maxMessages: number
  /** Stops before a message that would exceed it (by `messageSize`); the first message of a page always fits. */
  readonly maxBytes: number
}

export type ReadResult =
  | {
      readonly kind: 'page'
      /**
       * In seq order. Seqs at or below the cursor (handled meanwhile, by whomever) are left out, so the first entry need not
       * follow the request's position.
       */
      readonly entries: readonly PageEntry[]
      /** Where the page ends: the position of the next read. Covers everything in and before the page. */
      readonly next: Position
      /** The log's last seq, and the epoch that the next append will be in, if nothing changes. */
      readonly head: number
      readonly lastEpoch: string
    }
  /** The position is past or unknown (design, Positions): the store and the courier do not share this history. */
  | { readonly kind: 'diverged' }
  /** The claimId is not the stored one. `claim` is the stored one. */
  | { readonly kind: 'not_owner'; readonly claim: Claim | null; readonly generation: string }

/** A stream device says where it wants to go on. */
export interface ResumeRequest {
  readonly device: string
  readonly claimId: string
  /** Up to where it has handled everything, as it remembers; null: it remembers nothing. */
  readonly position: Position | null
}

/** Seqs that a device was not sent and will not be, and why. */
export interface LogGap {
  readonly from: number
  readonly to: number
  readonly reason: GapReason
}

export type ResumeResult =
  | {
      readonly kind: 'resumed'
      /** What the store made of the position; `none`: there was none. `past` and `unknown`: the device is told of a reset. */
      readonly found: 'none' | 'valid' | 'past' | 'unknown'
      /** Where delivery begins: [epoch of the cursor, cursor]. */
      readonly position: Position
      readonly head: number
      readonly lastEpoch: string
      /**
       * What became of the seqs between the position brought (0 if none) and the cursor, in order, as far as the device is
       * to be told: exceptions `overflow` and `retention`, and `handled-elsewhere` for what is no exception; other exceptions
       * are left out. Where the log's exceptions are forgotten it is `retention` too: it may have been one. Neighbours of
       * one reason are joined. Empty when the position was past or unknown.
       */
      readonly gaps: readonly LogGap[]
    }
  | { readonly kind: 'not_owner'; readonly claim: Claim | null; readonly generation: string }

/**
 * A device acknowledged everything up to `position`. The watermarks say what has been put on the wire up to now (no promise)
 * and what the device has received; each is merged like an ack and moves nothing else. What is acknowledged was received,
 * and what was received was sent.
 */
export interface AckItem {
  readonly device: string
  readonly position: Position
  /** For the state `sent` and MQTT DUP. */
  readonly sent?: Position
  /** For the state `received`. */
  readonly received?: Position
}

export interface AckResult {
  /** False: the epoch is not in the log's list; the ack was ignored. */
  readonly counted: boolean
  readonly cursor: number
  readonly pending: number
}

/** What a courier starts from. All of one atomic step. */
export interface ClaimGranted {
  readonly ok: true
  /** Where delivery begins: [epoch of the cursor, cursor]. */
  readonly position: Position
  readonly head: number
  readonly lastEpoch: string
  readonly pending: number
  readonly generation: string
  /** The mailbox filter kept for a clean=false session, or null. */
  readonly subscription: string | null
}

export interface ClaimHeld {
  readonly ok: false
  readonly claim: Claim
}

/** What the sweep sees of one device; null fields of a device that does not exist are impossible: it answers `exists: false`. */
export interface HeadResult {
  readonly claim: Claim | null
  readonly generation: string
  readonly lastEpoch: string
  readonly head: number
  /** [epoch of the cursor, cursor]. */
  readonly cursor: Position
  readonly pending: number
  /** When the oldest pending message was accepted; null: there is none. */
  readonly oldestPendingAt: number | null
  /** What the position `acked` of the request resolves to now (clamped to its stretch); null: unknown epoch or not asked. */
  readonly ackedSeq: number | null
}

export interface DeviceInfo {
  readonly device: string
  readonly claim: Claim | null
  readonly connectedAt: number | null
  readonly lastSeenAt: number | null
  readonly createdAt: number
  readonly epoch: string
  readonly head: number
  readonly cursor: number
  readonly pending: number
  readonly pendingBytes: number
  readonly oldestPendingAt: number | null
}

export interface PeekResult {
  readonly messages: ReadonlyArray<{ readonly epoch: string; readonly message: StoredMessage }>
  /** More pending messages follow the last one. */
  readonly more: boolean
}

/** What became of one message. */
export type MessageState =
  | {
      readonly kind: 'known'
      readonly epoch: string
      readonly seq: number
      readonly state: ExceptionReason | 'handled' | 'received' | 'sent' | 'queued'
      /** Null when the message itself is no longer kept. */
      readonly at: number | null
      readonly expiresAt: number | null
    }
  /** Purged, of another epoch, never existed, or older than the exceptions that are kept. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'no_device' }

export type CancelResult =
  | {
      readonly kind: 'cancelled'
      /** It may be on the wire or at the device; if the device acknowledges it, it is handled after all. */
      readonly maybeDelivered: boolean
    }
  | { readonly kind: 'already_handled' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'no_device' }

/**
 * The inboxes: for every device one record (epochs, head, cursor, exceptions, claim, …) and one log.
 *
 * Contract of every driver:
 * - **Unit.** One device's record and log are one atomic unit; nothing is atomic over two devices. Each call below is one
 *   atomic step per device; concurrent calls on one device are applied in some order, each seeing the whole of the earlier
 *   ones. A call over many devices may be split, and its items fail alone.
 * - **Durability.** A promise resolves when what it says, and all that it saw, is stored at the store's stated durability.
 * - **Order.** `append` gives seqs head+1, head+2, …; items of one device in array order. No seq is ever seen before a lower
 *   one of the same log.
 * - **Time** is the store's clock. Expired messages and messages past the retention become exceptions by the store alone:
 *   no call after `expiresAt` returns one for delivery; `pending` and the state follow within one second.
 * - **Positions** ([epoch, seq] that somebody brings) are resolved in the step that uses them, by the rules of
 *   core/model/epochs.ts.
 * - **Errors.** What a store cannot do now rejects with `StoreUnavailable` (nothing was changed, or only idempotent parts)
 *   or `OutcomeUnknown`; per-item errors of `append` come as results. Calls after `close` reject with `StoreUnavailable`.
 *   Nothing else rejects, but for programming errors (TypeError, RangeError).
 */
export interface Mailbox {
  /** The identity of the store instance that answers now (design, section 7). */
  readonly generation: string

  /**
   * Appends; creates the device when it does not exist. Results in the order of `items`.
   * Dedup: the same (device, dedupId) with the same body (core/model/body-hash.ts) within the dedup window is answered
   * with the first result, marked `duplicate`, also after the message was handled and trimmed; with another body
   * `dedup_conflict`. Two equal items of one call are one message too.
   * Caps: `inboxMax` pending messages and `inboxMaxBytes` pending bytes. `reject`: `inbox_full`; `drop-oldest`: the oldest
   * pending ones become exceptions `overflow` until the new one fits; one that does not fit even alone is `inbox_full`.
   * Payloads are kept as handed over: their bytes must not be changed afterwards.
   */
  append(items: readonly NewMessage[]): Promise<readonly AppendResult[]>

  /** Reads for delivery: pending messages and exceptions after `position`, in order. Refused for an old claimId. */
  read(request: ReadRequest): Promise<ReadResult>

  /**
   * Merges acks, whoever brings them: cursor = max(cursor, min(seq, end of the epoch's stretch)), then over the exceptions
   * that follow. Handled messages leave the inbox in the same step. A device that does not exist: `counted: false`.
   * A message that became an exception while it was on the wire of the present claim, and that the ack covers, is handled
   * after all: the exception is taken back. One that a read for delivery left out, or of an earlier claim, stays one.
   */
  ack(items: readonly AckItem[]): Promise<readonly AckResult[]>

  /**
   * What a stream device's hello asks, in one step: the position counts as an ack (by the rules of `ack`; it is a fact about
   * the device, so also under an old claimId), then delivery begins at the cursor. Refused for an old claimId.
   */
  resume(request: ResumeRequest): Promise<ResumeResult>

  /**
   * Makes `claim` the owner. Creates the device. While another claim is stored: refused with it, unless `force`.
   * Idempotent for the same claimId.
   */
  claim(device: string, claim: Claim, options: { readonly force: boolean }): Promise<ClaimGranted | ClaimHeld>

  /** Ends a claim; false (and no change) when `claimId` is not the stored one. Sets lastSeenAt. */
  release(device: string, claimId: string): Promise<boolean>

  /** Keeps (or with null forgets) the mailbox subscription of a session; false when `claimId` is not the stored one. */
  keepSubscription(device: string, claimId: string, filter: string | null): Promise<boolean>

  /** The sweep: results in order; null for a device that does not exist. Changes nothing. */
  heads(
    items: ReadonlyArray<{ readonly device: string; readonly acked: Position | null }>,
  ): Promise<ReadonlyArray<HeadResult | null>>

  /** Null: no such device. */
  info(device: string): Promise<DeviceInfo | null>

  /**
   * Devices in order of id (by UTF-8 bytes), after `after`; `next` is the `after` of the next page or null. With `online`
   * given, only those with (true) or without (false) a claim; such a page may be short or empty and still have a `next`. A claim
   * of a node that `isGone` says is gone counts as none.
   */
  list(query: {
    readonly after: string | null
    readonly limit: number
    readonly online?: boolean
    readonly isGone?: (node: string) => boolean
  }): Promise<{ readonly devices: readonly DeviceInfo[]; readonly next: string | null }>

  /** Pending messages after seq `after`, changes nothing. Null: no such device. */
  peek(
    device: string,
    query: { readonly after: number; readonly limit: number; readonly maxBytes: number },
  ): Promise<PeekResult | null>

  /** What became of the message at `seq`; with `epoch` given, of that epoch. */
  state(device: string, seq: number, epoch: string | null): Promise<MessageState>

  /**
   * Makes a pending message an exception `cancelled`. Idempotent. An exception of another reason is `gone`.
   * `maybeDelivered`: it is at or below the sent watermark, or somebody owns the device.
   */
  cancel(device: string, seq: number, epoch: string | null): Promise<CancelResult>

  /**
   * Forgets the device: record, log, dedup ids, claim. False when it did not exist. A device created again under the id
   * starts at seq 1 in a new epoch. Returns the claim that was ended, so that the caller can kick it.
   */
  purge(device: string): Promise<{ readonly existed: boolean; readonly claim: Claim | null }>

  /** Creates the device if it does not exist (a token was minted). */
  ensure(device: string): Promise<void>

  /** Resolves when the store can be read and written; rejects with `StoreUnavailable`. For readiness checks. */
  ping(): Promise<void>

  /** Waits for what is under way, then refuses every call. Idempotent. */
  close(): Promise<void>
}

/** Options every driver takes. Units: counts, bytes, seconds, milliseconds as named. */
export interface MailboxLimits {
  readonly inboxMax: number
  readonly inboxMaxBytes: number
  readonly overflow: 'reject' | 'drop-oldest'
  readonly retentionSeconds: number
  readonly dedupWindowSeconds: number
  /** A record with an empty inbox and no claim that nobody used for so long is removed. */
  readonly idleDeviceSeconds: number
}

export const DEFAULT_MAILBOX_LIMITS: MailboxLimits = {
  inboxMax: 1000,
  inboxMaxBytes: 16 * 1024 * 1024,
  overflow: 'reject',
  retentionSeconds: 7 * 24 * 3600,
  dedupWindowSeconds: 24 * 3600,
  idleDeviceSeconds: 90 * 24 * 3600,
}
