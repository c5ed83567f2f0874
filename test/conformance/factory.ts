// What a driver gives to the conformance suites: how to open a real store of its kind, and what cannot be tried with it.

import type { Test } from 'tap'
import type { Clock } from '../../core/clock.js'
import type { Credentials } from '../../core/ports/credentials.js'
import type { EventLimits, EventLog } from '../../core/ports/event-log.js'
import type { Mailbox, MailboxLimits } from '../../core/ports/mailbox.js'
import type { SessionStore } from '../../core/ports/session-store.js'
import type { SharedLimits, SharedSessions } from '../../core/ports/shared-sessions.js'
import type { Uplink, UplinkLimits } from '../../core/ports/uplink.js'
import type { WebhookStore } from '../../core/ports/webhook-store.js'

export interface StoreOptions {
  readonly limits?: Partial<MailboxLimits>
  readonly uplinkLimits?: Partial<UplinkLimits>
  readonly eventLimits?: Partial<EventLimits>
  readonly sharedLimits?: Partial<SharedLimits>
  /** How long a process keeps its claims without a sign of life, and with it how often the store looks after devices by itself. */
  readonly claimLeaseMs?: number
  /** The store's clock; drivers without `supports.clock` ignore it. Default: the system's. */
  readonly clock?: Clock
}

/** True, or why not: the tests that need it are then skipped with this reason. */
export type Support = true | string

export interface StoreSupport {
  /** The store's time can be set (`StoreOptions.clock`). */
  readonly clock: Support
  /** `changeGeneration` works. */
  readonly generation: Support
  /** `makeNewer` works. */
  readonly formatVersion: Support
  /** A claim outlives `reopen`. (A store of one process may forget claims: its connections ended with the process.) */
  readonly claimsKept: Support
  /**
   * A new generation forgets what was on the wire: until the next stop in good order, every older message counts as sent
   * before. Default: it is known.
   */
  readonly wireForgotten?: boolean
  /** Claims of a process that died end by themselves. */
  readonly claimsEnded: Support
  /** Messages expire, and are told, although nobody looks at the device. */
  readonly looksByItself: Support
}

/** One empty store of its own, seen through the driver. */
export interface StoreHandle {
  /** The ports; other objects after `reopen` and `changeGeneration`. */
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  /** Of one writer; null: the driver has `shared` instead. */
  readonly sessions: SessionStore | null
  /** Of many writers; absent: the driver is for one process. */
  readonly shared?: SharedSessions
  /** The same store as another process sees it. */
  readonly openAgain?: () => Promise<SharedSessions>
  /** What `openAgain` gave reaches the store no more, as if its process had been killed. */
  readonly cutOff?: (sessions: SharedSessions) => Promise<void>
  /** A node of the shared sessions looks as if it had given no sign of life for long. */
  readonly takeForDead?: (node: string) => Promise<void>
  /** Closes, and opens the same store again. */
  reopen(): Promise<void>
  /** As `reopen`, and the store has another generation afterwards, as if data might have gone. */
  changeGeneration(): Promise<void>
  /** Closes, and makes the store look as if a newer version of the program had written it. `reopen` must then reject. */
  makeNewer(): Promise<void>
  /** Closes and removes everything. Idempotent; called by the suite at the end of each test. */
  close(): Promise<void>
}

export interface StoreFactory {
  readonly name: string
  readonly supports: StoreSupport
  open(t: Test, options: StoreOptions): Promise<StoreHandle>
}

/** The same store through another process. */
export interface AnotherProcess {
  readonly mailbox: Mailbox
  /** It reaches the store no more, without a word. */
  readonly kill: () => Promise<void>
}

/** A store that records events. */
export interface EventStoreHandle extends StoreHandle {
  /** Closed with the store; there where `supports` has `claimsKept` and `claimsEnded`. */
  readonly another?: () => Promise<AnotherProcess>
  readonly events: EventLog
  readonly webhooks: WebhookStore
}

export interface EventStoreFactory extends StoreFactory {
  open(t: Test, options: StoreOptions): Promise<EventStoreHandle>
}

/** Options of a subtest that needs `supports[what]`. */
export function needs(...supports: readonly Support[]): { readonly skip: string | false } {
  return { skip: supports.find((support) => support !== true) ?? false }
}

/** A store for one test, closed with it. */
export async function openStore<F extends StoreFactory>(
  t: Test,
  factory: F,
  options?: StoreOptions,
): Promise<Awaited<ReturnType<F['open']>>>
export async function openStore(t: Test, factory: StoreFactory, options: StoreOptions = {}): Promise<StoreHandle> {
  const store = await factory.open(t, options)
  t.teardown(() => store.close())
  return store
}
