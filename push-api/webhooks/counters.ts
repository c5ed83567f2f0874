/** Why an attempt failed. The first five say that the receiver is down, whatever the event is. */
const NO_FAILURES = {
  connect: 0,
  dns: 0,
  tls: 0,
  blocked_address: 0,
  unavailable: 0,
  timeout: 0,
  redirect: 0,
  status_4xx: 0,
  status_5xx: 0,
}
export type AttemptFailure = keyof typeof NO_FAILURES

/** Plain numbers of this node's sender; the composition exposes them as metrics. */
export class WebhookCounters {
  /** Events that receivers took. */
  sent = 0
  /** Attempts that failed. */
  readonly failed: Record<AttemptFailure, number> = { ...NO_FAILURES }
  /** Events that no receiver will get: tried for too long, or dropped from the log before they were read. */
  readonly dropped = { too_old: 0, log_full: 0 }
  /** Events set aside because their device's last attempt failed. */
  parked = 0
  /** Times that a receiver was taken for down. */
  pauses = 0
  /** Leases taken, and lost to another node or to the store's silence. */
  leases = 0
  leasesLost = 0
  /** Calls of the store that failed; they are tried again. */
  storeErrors = 0
  /** Looks at a webhook whose secret cannot be opened: nothing is sent for it. */
  secretsUnreadable = 0
}
