// The subscriptions of the clients of one node, where other nodes have to know them. Stored sessions are matched in the store;
// the others are matched here, and their node asks for a filter as long as one of them has it.

import type { StoredSubscription } from '../../core/ports/session-store.js'
import type { PubSubCounters } from './counters.js'
import type { OrdinarySession } from './session.js'
import { TopicIndex } from './topic-index.js'

export class LocalFilters {
  readonly #counters: Pick<PubSubCounters, 'subscriptions'>
  readonly #index = new TopicIndex<OrdinarySession>()
  /** How many sessions have it. */
  readonly #uses = new Map<string, number>()

  constructor(counters: Pick<PubSubCounters, 'subscriptions'>) {
    this.#counters = counters
  }

  /** Sessions of clean session 1 with a matching subscription, each with the highest QoS of its filters. */
  match(topic: string): ReadonlyMap<OrdinarySession, 0 | 1 | 2> {
    return this.#index.match(topic)
  }

  /** What clients of clean session 1 have. */
  filters(): Iterable<string> {
    return this.#uses.keys()
  }

  /** A stored session has come with its subscriptions. */
  restored(session: OrdinarySession): void {
    this.#counters.subscriptions += session.subscriptions.size
  }

  add(session: OrdinarySession, { filter, qos, options }: StoredSubscription): void {
    const isNew = !session.subscriptions.has(filter)
    session.subscriptions.set(filter, qos)
    session.setOptions(filter, options)
    if (isNew) this.#counters.subscriptions++
    if (session.durable) return
    if (isNew) this.#uses.set(filter, (this.#uses.get(filter) ?? 0) + 1)
    this.#index.add(filter, session, qos)
  }

  /** True: no session of clean session 1 has it any more. */
  remove(session: OrdinarySession, filter: string): boolean {
    if (!session.subscriptions.delete(filter)) return false
    session.setOptions(filter, undefined)
    this.#counters.subscriptions--
    if (session.durable) return false
    this.#index.remove(filter, session)
    const uses = (this.#uses.get(filter) ?? 1) - 1
    if (uses > 0) this.#uses.set(filter, uses)
    else this.#uses.delete(filter)
    return uses <= 0
  }

  /** Those that nobody has any more. */
  removeAll(session: OrdinarySession): string[] {
    return [...session.subscriptions.keys()].filter((filter) => this.remove(session, filter))
  }
}
