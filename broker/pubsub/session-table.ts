// All ordinary sessions of the node and who subscribes to what, in memory.

import type { StoredSubscription } from '../../core/ports/session-store.js'
import type { PubSubCounters } from './counters.js'
import type { OrdinarySession } from './session.js'
import { TopicIndex } from './topic-index.js'

export class SessionTable {
  readonly #counters: PubSubCounters
  readonly #index = new TopicIndex<OrdinarySession>()
  readonly #byClient = new Map<string, OrdinarySession>()

  constructor(counters: PubSubCounters) {
    this.#counters = counters
  }

  get(client: string): OrdinarySession | undefined {
    return this.#byClient.get(client)
  }

  has(session: OrdinarySession): boolean {
    return this.#byClient.get(session.client) === session
  }

  values(): Iterable<OrdinarySession> {
    return this.#byClient.values()
  }

  /** The sessions that a message on `topic` is for, each with the highest QoS of its filters. */
  match(topic: string): ReadonlyMap<OrdinarySession, 0 | 1 | 2> {
    return this.#index.match(topic)
  }

  /** The client has no other session. */
  add(session: OrdinarySession): void {
    this.#byClient.set(session.client, session)
    if (session.durable) this.#counters.storedSessions++
    for (const [filter, qos] of session.subscriptions) {
      this.#counters.subscriptions++
      this.#index.add(filter, session, qos)
    }
  }

  /** Without subscriptions and connection from now on. False: it was not there any more. */
  remove(session: OrdinarySession): boolean {
    for (const filter of session.subscriptions.keys()) this.unsubscribe(session, filter)
    session.detach()
    if (!this.has(session)) return false
    this.#byClient.delete(session.client)
    if (session.durable) this.#counters.storedSessions--
    return true
  }

  subscribe(session: OrdinarySession, { filter, qos, options }: StoredSubscription): void {
    if (!session.subscriptions.has(filter)) this.#counters.subscriptions++
    session.subscriptions.set(filter, qos)
    session.setOptions(filter, options)
    this.#index.add(filter, session, qos)
  }

  unsubscribe(session: OrdinarySession, filter: string): void {
    if (session.subscriptions.delete(filter)) this.#counters.subscriptions--
    session.setOptions(filter, undefined)
    this.#index.remove(filter, session)
  }
}
