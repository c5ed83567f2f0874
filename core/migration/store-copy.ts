import type { Credentials } from '../ports/credentials.js'
import type { EventLog } from '../ports/event-log.js'
import type { Uplink } from '../ports/uplink.js'
import type { WebhookStore } from '../ports/webhook-store.js'
import type { DeviceCopy } from './device-copy.js'

/** What is copied by way of the ports. */
export interface CopiedPorts {
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly webhooks: WebhookStore
  readonly events: EventLog
  close(): Promise<void>
}

export interface Revocation {
  readonly device: string
  readonly at: number
  readonly keepUntil: number
}

/** A store that nobody serves while it is copied. */
export interface StoreCopy {
  /** For messages, without secrets. */
  readonly where: string
  /** Everything of it, once and in no order. Nothing is changed by reading. */
  devices(): AsyncIterable<DeviceCopy>
  revocations(): AsyncIterable<Revocation>
  /**
   * Marks the store as one that is being filled: it is not served until `finish`. Rejects with StartupError when there is something
   * in it that no migration brought. True: an earlier migration had begun.
   */
  begin(): Promise<boolean>
  /** Stores the device, in place of what an earlier migration brought of it; all of it or none. */
  put(copy: DeviceCopy): Promise<void>
  finish(): Promise<void>
  /** The ports, one opening at a time; not while `devices` or `put` are under way. */
  ports(): Promise<CopiedPorts>
  close(): Promise<void>
}
