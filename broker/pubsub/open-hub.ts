import type { Clock } from '../../core/clock.js'
import type { Logger } from '../../core/log.js'
import type { SessionStore } from '../../core/ports/session-store.js'
import type { SharedSessions } from '../../core/ports/shared-sessions.js'
import { HubPersistence, type HandshakePersistence } from './aedes-persistence.js'
import type { PubSubCounters } from './counters.js'
import { PubSub } from './hub.js'
import type { PubSubLimits } from './limits.js'
import type { OrdinaryHub } from './ordinary-hub.js'
import { SharedHandshakes } from './shared-handshakes.js'
import { SharedPubSub } from './shared-pub-sub.js'
import type { UplinkWill } from './wills.js'

export interface OpenHubOptions {
  /** Written by this process alone, or shared with other nodes. */
  readonly sessions: SessionStore | SharedSessions
  readonly uplinkWill: UplinkWill
  readonly clock: Clock
  readonly log: Logger
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
}

export interface OpenHub {
  readonly hub: OrdinaryHub
  readonly handshakes: HandshakePersistence
  /** To be called when the broker can publish: wills of clients that were connected when the last process ended. */
  readonly begin: () => Promise<void>
}

/** Rejects with StoreUnavailable. */
export async function openHub(options: OpenHubOptions): Promise<OpenHub> {
  const { sessions, clock } = options
  if ('join' in sessions) {
    const hub = await SharedPubSub.open({ ...options, sessions, monotonic: () => clock.monotonic() })
    return { hub, handshakes: new SharedHandshakes(hub), begin: () => Promise.resolve() }
  }
  const hub = await PubSub.open({ ...options, store: sessions })
  return { hub, handshakes: new HubPersistence(hub), begin: () => hub.wills.publishKept() }
}
