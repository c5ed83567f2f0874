import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { StoredSubscription } from '../../core/ports/session-store.js'
import type { PubSubCounters } from './counters.js'
import type { PubSubLimits } from './limits.js'
import type { OrdinarySession, SessionLink } from './session.js'

/** A client that has connected. */
export interface OrdinaryOpening {
  readonly client: string
  /** Its stored session ends [MQTT-3.1.2-6]. */
  readonly clean: boolean
  readonly link: SessionLink
  /** Its token grants something. */
  readonly uses: boolean
  readonly will: OrdinaryMessage | null
  /** Subscriptions of its session that are not granted any more are taken away. */
  readonly isGranted: (filter: string) => boolean
}

/** More of what a publish stores, in the same step. */
export interface PublishExtras {
  /** The publisher's session notes the packet id of a QoS 2 message [MQTT-4.3.3-2]. */
  readonly received?: { readonly session: OrdinarySession; readonly packetId: number }
}

/**
 * Ordinary pub/sub, as connections see it: of one process (`PubSub`), or of many nodes (`SharedPubSub`). Null instead of a
 * promise: done, nothing need be waited for. What rejects or throws does so with StoreUnavailable or OutcomeUnknown; then the
 * connection is to end.
 */
export interface OrdinaryHub {
  readonly limits: PubSubLimits
  readonly counters: PubSubCounters
  /**
   * Takes up the stored session or ends it [MQTT-3.1.2-4], [MQTT-3.1.2-6], keeps the will, ends another connection of the
   * client. The session, attached and not begun; null: there is none yet.
   */
  open(opening: OrdinaryOpening): Promise<OrdinarySession | null> | OrdinarySession | null
  /** The session of a connected client that needs one now; made if there is none. Throws. */
  obtain(client: string, durable: boolean, link: SessionLink): OrdinarySession
  /** The connection has ended. `publishesWill`: without DISCONNECT, so its will is published. */
  leave(client: string, link: SessionLink, publishesWill: boolean): void
  /** Ends the client's session, stored or not, and its connection. */
  end(client: string): Promise<void> | null
  /** In effect when it has resolved; retained messages that match come [MQTT-3.3.1-6]. */
  subscribe(session: OrdinarySession, filters: readonly StoredSubscription[]): Promise<void> | null
  unsubscribe(session: OrdinarySession, filters: readonly string[]): Promise<void> | null
  /** Done: it is stored wherever it must be. */
  publish(message: OrdinaryMessage, extras?: PublishExtras): Promise<void> | null
  /** Waits for what is under way. Connections that are left are let go. Idempotent. */
  close(): Promise<void>
}
