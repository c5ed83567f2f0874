/** Why a message of ordinary pub/sub did not reach a session, or was not retained. */
export type OrdinaryDrop =
  /** As many messages, or bytes, wait in the session as may. */
  | 'queue_full'
  /** QoS 0, and the client reads too slowly. */
  | 'slow_reader'
  /** The client's token does not grant the topic any more. */
  | 'not_granted'
  /** Delivered, but not retained: too many retained messages. */
  | 'retained_full'
  /** This node, or another, did not keep up: its clients of clean session 1 missed the message. */
  | 'slow_node'
  /** QoS 0 or a will, and the store cannot write. */
  | 'store_unavailable'

/** Numbers of ordinary pub/sub; the composition exposes them. */
export class PubSubCounters {
  /** PUBLISH packets taken, wills included. */
  published = 0
  /** PUBLISH packets sent, and those of them with DUP. */
  sent = 0
  sentAgain = 0
  willsPublished = 0
  /** Sessions ended because nobody used them. */
  sessionsExpired = 0
  /** Times that everything was read again after a failed write. */
  reloads = 0

  /** Now: sessions kept in the store, subscriptions of all sessions, retained messages and their bytes. */
  storedSessions = 0
  subscriptions = 0
  retained = 0
  retainedBytes = 0

  readonly dropped: Record<OrdinaryDrop, number> = {
    queue_full: 0,
    slow_reader: 0,
    not_granted: 0,
    retained_full: 0,
    slow_node: 0,
    store_unavailable: 0,
  }
}
