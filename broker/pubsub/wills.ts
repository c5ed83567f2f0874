// Wills of connected clients. A will is kept in the store for the case that this process ends before the connection, and then
// published at the next start.

import type { Logger } from '../../core/log.js'
import type { OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { SessionStore } from '../../core/ports/session-store.js'
import { classifyTopic } from '../../protocol/topics.js'
import type { PubSubCounters } from './counters.js'
import type { OrderedWriter } from './ordered-writer.js'

export interface WillsOptions {
  readonly store: Pick<SessionStore, 'wills'>
  readonly writer: OrderedWriter
  readonly log: Logger
  readonly counters: PubSubCounters
  /** Publishes; `willOf`: the kept will of this client is forgotten in the same step. As PubSub.publish. */
  readonly publish: (message: OrdinaryMessage, willOf: string | null) => Promise<void> | null
  readonly uplinkWill: UplinkWill
}

/** Stores a will to the uplink of `device`. Rejects when it is not stored. */
export type UplinkWill = (device: string, channel: string, payload: Uint8Array) => Promise<void>

export class Wills {
  readonly #options: WillsOptions
  /** Whose connection the kept will of a client belongs to. */
  readonly #owners = new Map<string, object>()
  /** By connection. */
  readonly #messages = new WeakMap<object, OrdinaryMessage>()
  /** Wills that must not be published, which could not be stored. */
  readonly #unforgotten = new Set<string>()
  /** Wills on their way to uplink. */
  readonly #toUplink = new Set<Promise<void>>()

  constructor(options: WillsOptions) {
    this.#options = options
  }

  /**
   * Keeps the will of a connected client. `owner`: the connection; a later one of the client takes its place. Throws
   * StoreUnavailable, or rejects with it.
   */
  keep(client: string, owner: object, message: OrdinaryMessage): Promise<void> {
    const stored = this.#options.writer.write([{ kind: 'will', client, message }])
    this.#owners.set(client, owner)
    this.#messages.set(owner, message)
    this.#unforgotten.delete(client)
    return stored
  }

  /** The connection has ended. */
  leave(client: string, owner: object, publishes: boolean): void {
    const message = this.#messages.get(owner)
    if (message === undefined) return
    this.#messages.delete(owner)
    if (publishes) this.publish(client, owner, message)
    else this.forget(client, owner) // [MQTT-3.1.2-10]
  }

  /** The will is not to be published [MQTT-3.14.4-3]. */
  forget(client: string, owner: object): void {
    if (this.#owners.get(client) !== owner) return
    this.#owners.delete(client)
    if (!this.#forget(client)) this.#unforgotten.add(client)
  }

  /** The connection has ended without DISCONNECT [MQTT-3.1.2-8]. */
  publish(client: string, owner: object, message: OrdinaryMessage): void {
    const owned = this.#owners.get(client) === owner
    if (owned) this.#owners.delete(client)
    this.#publish(message, owned ? client : null)
  }

  /** Publishes the wills of clients that were connected when the last process ended. */
  async publishKept(): Promise<void> {
    for await (const { client, message } of this.#options.store.wills()) {
      if (!this.#owners.has(client)) this.#publish(message, client)
    }
  }

  /** The store can be written again. */
  retry(): void {
    for (const client of this.#unforgotten) if (this.#forget(client)) this.#unforgotten.delete(client)
  }

  /** Once it is in uplink, it is not kept here any more: ending between the two it would be stored twice. */
  #stored(stored: Promise<void>, willOf: string | null): Promise<void> {
    const done = stored.then(() => {
      // A later connection of the client may have put its own will in that place.
      if (willOf === null || this.#owners.has(willOf)) return
      if (!this.#forget(willOf)) this.#unforgotten.add(willOf)
    })
    this.#toUplink.add(done)
    const ended = (): void => void this.#toUplink.delete(done)
    done.then(ended, ended)
    return done
  }

  /** Waits for wills on their way to uplink. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#toUplink)
  }

  #forget(client: string): boolean {
    return this.#options.writer.writeQuietly([{ kind: 'forgetWill', client }])
  }

  /** One that cannot be stored stays where it is kept, and is published after the next start. */
  #publish(message: OrdinaryMessage, willOf: string | null): void {
    const { counters, log, publish, uplinkWill } = this.#options
    const lost = (err: unknown): void => {
      counters.dropped.store_unavailable++
      log.warn({ err }, 'a will could not be published')
    }
    counters.willsPublished++
    try {
      const topic = classifyTopic(message.topic)
      const published =
        topic.kind === 'uplink'
          ? this.#stored(uplinkWill(topic.device, topic.channel, message.payload), willOf)
          : publish(message, willOf)
      published?.catch(lost)
    } catch (err) {
      lost(err)
    }
  }
}
