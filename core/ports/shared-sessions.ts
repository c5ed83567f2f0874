import type { OrdinaryMessage } from '../model/ordinary-message.js'
import type { QueuedMessage, StoredSubscription } from './session-store.js'

/** One connection of a client: the latest that was opened anywhere owns the session. `conn` is never used twice. */
export interface SharedConnection {
  readonly client: string
  readonly conn: string
}

export interface SharedOpening extends SharedConnection {
  /** Ends the stored session [MQTT-3.1.2-6]. */
  readonly clean: boolean
  /** It may subscribe or publish. Without that, and without a stored session and a will, nothing is noted of it. */
  readonly uses: boolean
  readonly will: OrdinaryMessage | null
}

/** A session as it is stored when its client connects. */
export interface SharedSession {
  readonly subscriptions: readonly StoredSubscription[]
  readonly received: readonly number[]
  readonly next: number
  readonly count: number
  readonly bytes: number
  /** Messages up to this number may have been sent before. */
  readonly sent: number
}

/** For a client that this node has. */
export interface Delivery extends SharedConnection {
  /** Its place in the stored queue; 0: it is in none, and this is the only time that it comes. */
  readonly number: number
  /** As granted. */
  readonly qos: 0 | 1 | 2
  /** It is sent because of a new subscription. */
  readonly retain: boolean
}

/** Messages that did not reach somebody. */
export interface SharedDrops {
  /** The queue of a session was full. */
  readonly queue: number
  /** Not retained: there are too many. */
  readonly retained: number
  /** A node did not keep up: its clients without a stored session missed them. */
  readonly node: number
}

/** A connection as its node knows it. */
export interface HeldConnection extends SharedConnection {
  readonly hasWill: boolean
}

/** What a node does with what comes to it. Nothing here may throw. */
export interface SharedHandler {
  /**
   * In the order in which messages were published, wherever that was. `others`: there may be clients without a stored session
   * here that subscribe to the topic; those in `deliveries` are to get it besides.
   */
  onMessage(message: OrdinaryMessage, deliveries: readonly Delivery[], others: boolean): void
  /** Another connection of the client was opened, or its session is to end. */
  onKick(connection: SharedConnection): void
  /** All connections that were opened and have not left. */
  held(): Iterable<HeldConnection>
  /** The filters that were subscribed to for clients without a stored session. */
  filters(): Iterable<string>
  /**
   * Something may have been missed. `next`: the number that the next message of the connection's queue gets (1: it has none),
   * so all below are there to be read; null: the connection is not the client's any more, and must be closed.
   */
  onChecked(connection: SharedConnection, next: number | null): void
  /** Messages were missed: clients without a stored session cannot get them any more. */
  onMissed(): void
  /** A will to uplink that this node is to store there; the next try is made when it rejects. */
  onUplinkWill(message: OrdinaryMessage): Promise<void>
  onDrops(drops: SharedDrops): void
  /** Now and then, and soon after joining. */
  onTotals(totals: {
    readonly sessions: number
    readonly retained: number
    readonly retainedBytes: number
    /** Ended since the last time, because nobody used them. */
    readonly expired: number
  }): void
}

/**
 * Sessions, retained messages and wills of ordinary pub/sub that many nodes change at the same time; and the road of a message
 * to the nodes that have somebody for it.
 *
 * Contract
 * - `publish` is one step: the message is in the queue of every stored session that subscribes to it (once, with the highest QoS
 *   of its filters), on its way to every live node that has a subscriber, and retained. Resolved: that is so, at the store's
 *   durability. To very many sessions it takes a while, in which no other message takes effect; a session that subscribes
 *   meanwhile does not get it, and one that ends does not have to. Begun, it is brought to its end, by others if need be. Publishes of one node take effect in the order of the calls, and every node sees all that concern it in
 *   the order in which they took effect.
 * - What is on its way to a node waits for it, up to a bound; behind that the node is told that it missed something, and nobody
 *   waits for it. A node that stops is noticed after `leaseMs`; its wills are published then, once, by one of the others, unless
 *   their clients have connected elsewhere before (then at that moment). A node that finds itself taken for dead goes on with
 *   the connections that are still its own.
 * - A session belongs to the client. `open` moves it here and kicks the connection before; from then on a call for that other
 *   connection changes nothing; it rejects with StoreUnavailable where more is promised than that it is done some time.
 * - A rejection with StoreUnavailable means that nothing was done, one with OutcomeUnknown that it may have been.
 */
export interface SharedNode {
  /** Known to the others; another one after it was taken for dead. */
  readonly name: string
  /** The session as it goes on; null: there is none that is stored. Rejects with StoreUnavailable. */
  open(opening: SharedOpening): Promise<SharedSession | null>
  /**
   * The connection has ended, behind everything that was published here before; a session with nothing in it ends with it.
   * Never rejects: done again until it is.
   */
  leave(connection: SharedConnection, end: { readonly sent: number; readonly publishesWill: boolean }): Promise<void>
  /** `received`: the packet id of a QoS 2 message of a stored session is noted in the same step; known already: nothing else is done. */
  publish(message: OrdinaryMessage, received: (SharedConnection & { readonly packetId: number }) | null): Promise<void>
  /**
   * `stored`: of the session, which is there from now on; else of this node for its clients. The answer is for `sendRetained`.
   */
  subscribe(
    connection: SharedConnection,
    stored: boolean,
    filters: readonly StoredSubscription[],
  ): Promise<{ readonly since: number }>
  /** Of a stored session. */
  unsubscribe(connection: SharedConnection, filters: readonly string[]): Promise<void>
  /** No client without a stored session subscribes to them here any more. Never rejects: done again until it is. */
  forgetFilters(filters: readonly string[]): Promise<void>
  /**
   * `looked`: so many retained messages were looked at. Sends what is retained under the filter to the client, as deliveries: each as it was at the subscription, but not what has
   * changed since, which came to the client as it was published.
   */
  sendRetained(
    connection: SharedConnection,
    subscription: Pick<StoredSubscription, 'filter' | 'qos'>,
    since: number,
    signal: AbortSignal,
  ): Promise<{ readonly looked: number }>
  /** As SessionStore.queue. */
  queue(client: string, after: number, limit: number, maxBytes: number): Promise<readonly QueuedMessage[]>
  /** Acknowledged messages leave their queues. */
  remove(removals: ReadonlyArray<SharedConnection & { readonly numbers: readonly number[] }>): Promise<void>
  /** See SessionChange. */
  release(connection: SharedConnection, number: number): Promise<void>
  forgetReceived(connection: SharedConnection, packetId: number): Promise<void>
  /** Leaves: everything that is left of the node is cleared up. Idempotent. */
  stop(): Promise<void>
}

export interface SharedLimits {
  /** Messages in one queue, and their bytes (topic and payload). */
  readonly queueMax: number
  readonly queueMaxBytes: number
  /** Of all nodes together. */
  readonly retainedMax: number
  readonly retainedMaxBytes: number
  /** What may be on its way to one node. */
  readonly nodeMaxBytes: number
  /** Stored sessions that one step writes to; a message to more takes several. */
  readonly fanOut: number
  /** How long a node is known without a sign of life. */
  readonly leaseMs: number
}

export const DEFAULT_SHARED_LIMITS: SharedLimits = {
  queueMax: 1_000,
  queueMaxBytes: 16 * 1024 * 1024,
  retainedMax: 100_000,
  retainedMaxBytes: 64 * 1024 * 1024,
  nodeMaxBytes: 32 * 1024 * 1024,
  fanOut: 500,
  leaseMs: 10_000,
}

export interface SharedSessions {
  /** Becomes a node. Rejects with StoreUnavailable. */
  join(handler: SharedHandler): Promise<SharedNode>
  /** Ends the session of a client, stored or not, and its connection, wherever that is. Rejects with StoreUnavailable or OutcomeUnknown. */
  end(client: string): Promise<void>
  close(): Promise<void>
}
