import type { BackoffLimits } from './backoff.js'

/** Bounds of sending. Times in milliseconds. */
export interface WebhookLimits {
  /** How many there may be. */
  readonly webhooksMax: number
  /** Requests under way at one time: of one webhook, and of this node. */
  readonly concurrency: number
  readonly nodeConcurrency: number
  /** One attempt, from the name's resolution to the status. */
  readonly timeoutMs: number
  /** An event that was not taken for so long is dropped. */
  readonly giveUpMs: number
  /** Between attempts of one event; the device's later ones wait behind it. */
  readonly retry: BackoffLimits
  /** Between attempts of anything, while the receiver is down. */
  readonly pause: BackoffLimits
  /** So many failures without a success between them: the receiver is down. */
  readonly strikes: number
  /** Events read ahead from each log. */
  readonly window: number
  /** Events of failing devices that are set aside. Past it, nothing more is read. */
  readonly parkedMax: number
  readonly parkedMaxBytes: number
  /** How long a node that says nothing keeps a webhook; it says something three times as often. */
  readonly leaseMs: number
  /** How often logs are looked at, and definitions. */
  readonly pollMs: number
  readonly refreshMs: number
  /** Progress is written this often at most. */
  readonly commitMs: number
}

export const DEFAULT_WEBHOOK_LIMITS: WebhookLimits = {
  webhooksMax: 50,
  concurrency: 16,
  nodeConcurrency: 64,
  timeoutMs: 10_000,
  giveUpMs: 24 * 3_600_000,
  retry: { first: 1_000, most: 600_000 },
  pause: { first: 1_000, most: 60_000 },
  strikes: 10,
  window: 1_000,
  parkedMax: 10_000,
  parkedMaxBytes: 16 * 1024 * 1024,
  leaseMs: 5_000,
  pollMs: 200,
  refreshMs: 1_000,
  commitMs: 200,
}
