import type { OrdinaryMessage } from '../model/ordinary-message.js'

export interface StoredSubscription {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  /** What belongs to it and is of no concern to the store, up to 1,024 bytes: room for the options of MQTT 5. */
  readonly options?: string
}

/** What is kept of a session with clean session 0, without its queue. */
export interface StoredSession {
  readonly client: string
  readonly subscriptions: readonly StoredSubscription[]
  /** Packet ids of received QoS 2 messages that wait for their PUBREL. */
  readonly received: readonly number[]
  /** When it was last connected, milliseconds UTC. */
  readonly usedAt: number
  /** The number that the next queued message gets. */
  readonly next: number
  /** Queued messages, and their sizes (`ordinarySize`) together. */
  readonly count: number
  readonly bytes: number
  /** Messages up to this number may have been sent before; after an unclean stop that may be said of all. */
  readonly sent: number
}

/** A message in a session's queue. */
export interface QueuedMessage {
  /** Its place: 1, 2, 3 …; never used twice in a session, with gaps where messages were acknowledged. */
  readonly number: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 1 | 2
  readonly retain: boolean
  /** True: a QoS 2 message that the client has received; it waits for PUBCOMP [MQTT-4.3.3-1]. Topic and payload are empty. */
  readonly released: boolean
}

/** A change of what is stored. Those of a session that does not exist make it, `endSession` excepted. */
export type SessionChange =
  | ({ readonly kind: 'subscribe'; readonly client: string } & StoredSubscription)
  | { readonly kind: 'unsubscribe'; readonly client: string; readonly filter: string }
  /** Adds to the queue; `message.number` is the session's `next`. */
  | { readonly kind: 'enqueue'; readonly client: string; readonly message: QueuedMessage }
  /** The message stays in the queue as a released one, without topic and payload; `bytes`: its size. */
  | { readonly kind: 'release'; readonly client: string; readonly number: number; readonly bytes: number }
  /** Takes messages out of the queue; `bytes`: their sizes together. */
  | { readonly kind: 'remove'; readonly client: string; readonly numbers: readonly number[]; readonly bytes: number }
  | { readonly kind: 'received'; readonly client: string; readonly packetId: number }
  | { readonly kind: 'forgetReceived'; readonly client: string; readonly packetId: number }
  /** `sent`: see StoredSession. */
  | { readonly kind: 'used'; readonly client: string; readonly at: number; readonly sent: number }
  | { readonly kind: 'endSession'; readonly client: string }
  /** An empty payload forgets the topic's message [MQTT-3.3.1-10]. */
  | { readonly kind: 'retain'; readonly message: OrdinaryMessage }
  | { readonly kind: 'will'; readonly client: string; readonly message: OrdinaryMessage }
  | { readonly kind: 'forgetWill'; readonly client: string }

/**
 * What ordinary pub/sub keeps over a restart: sessions with clean session 0, retained messages, wills of connected clients.
 * It decides nothing: who writes holds the sessions in memory, and is the only one who writes.
 *
 * Contract
 * - `write` is atomic: all of its changes or none. Calls take effect, and their promises settle, in the order of the calls.
 * - A change is durable when its promise resolves, at the store's stated durability.
 * - `write` throws StoreUnavailable, at once, when nothing was or will be done; after that memory and store agree. When its
 *   promise rejects (StoreUnavailable or OutcomeUnknown), every write whose promise has not resolved may be lost: who writes
 *   must read everything again.
 * - The reads see every write whose promise has resolved. They reject with StoreUnavailable.
 * - Topics and filters are data of up to 65,535 bytes of UTF-8, client ids of up to 512.
 */
export interface SessionStore {
  /** Throws StoreUnavailable: nothing is changed. */
  write(changes: readonly SessionChange[]): Promise<void>
  /** All sessions, in no order. */
  sessions(): AsyncIterable<StoredSession>
  retained(): AsyncIterable<OrdinaryMessage>
  wills(): AsyncIterable<{ readonly client: string; readonly message: OrdinaryMessage }>
  /** Queued messages with a number above `after`, in order: at most `limit`, and no more once they have `maxBytes`. */
  queue(client: string, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]>
  /** Refuses every later call. Idempotent. */
  close(): Promise<void>
}
