import { Readable } from 'node:stream'
import { PostriderError } from '../core/errors.js'
import type { AedesClient, HandshakePersistence, PacketRef } from './pubsub/aedes-persistence.js'

export interface MailboxPersistenceOptions {
  readonly handshakes: HandshakePersistence
  /** Whether the connection that a device just made goes on with an earlier session. */
  readonly sessionPresent: (device: string) => boolean
  /** A PUBACK or PUBCOMP came with an id of Aedes' range, which nothing was sent with. */
  readonly unknownAck: () => void
  /** A step of a handshake could not be stored: the device's connection must end. */
  readonly failed: (device: string) => void
}

/** Aedes waits for it until its client is closed; then both are forgotten. */
const never = <T>(): Promise<T> => new Promise<T>(() => {})

/**
 * Aedes' persistence. What a device has pending and subscribed is the business of its mailbox and of the hub of ordinary
 * pub/sub, so mailbox filters and the couriers' packet ids never come here. Aedes is told whether there is a session, for
 * CONNACK [MQTT-3.2.2-2], and does the handshakes of QoS 1 and 2 with packet ids below the couriers'. Nothing here grows.
 */
export class MailboxPersistence {
  readonly #options: MailboxPersistenceOptions

  constructor(options: MailboxPersistenceOptions) {
    this.#options = options
  }

  async setup(): Promise<void> {}

  // --- handshakes

  /** PUBACK and PUBCOMP. */
  async outgoingClearMessageId(client: AedesClient, packet: PacketRef): Promise<undefined> {
    if (!this.#options.handshakes.acknowledged(client, packet)) this.#options.unknownAck()
  }

  /** PUBREC: when this resolves, PUBREL leaves. */
  outgoingUpdate(client: AedesClient, packet: PacketRef): Promise<void> {
    return this.#guard(client, () => this.#options.handshakes.outgoingUpdate(client, packet))
  }

  /** PUBREL. Rejecting is how Aedes is told that the packet id is not known; it answers PUBCOMP all the same. */
  incomingGetPacket(client: AedesClient, packet: PacketRef): Promise<PacketRef> {
    return this.#options.handshakes.incomingGetPacket(client, packet)
  }

  /** When this resolves, PUBCOMP leaves. */
  incomingDelPacket(client: AedesClient, packet: PacketRef): Promise<void> {
    return this.#guard(client, () => this.#options.handshakes.incomingDelPacket(client, packet))
  }

  async #guard<T>(client: AedesClient, step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      // There is no such packet: an answer is owed all the same, and Aedes gives it.
      if (!(error instanceof PostriderError)) throw error
      // An answer would say that the step is stored; Aedes' other way out blames the device.
      this.#options.failed(client.id)
      return never()
    }
  }

  // --- sessions

  /** One entry stands for the session; Aedes restores nothing from it, because `authorizeSubscribe` refuses it. */
  async subscriptionsByClient(client: AedesClient): Promise<ReadonlyArray<{ topic: string; qos: number }>> {
    return this.#options.sessionPresent(client.id) ? [{ topic: 'session', qos: 0 }] : []
  }

  async addSubscriptions(): Promise<void> {}
  async removeSubscriptions(): Promise<void> {}
  async cleanSubscriptions(): Promise<void> {}
  async subscriptionsByTopic(): Promise<readonly never[]> {
    return []
  }
  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return { subsCount: 0, clientsCount: 0 }
  }

  // --- messages: Aedes publishes nothing but `$SYS`, and sends nothing

  async storeRetained(): Promise<void> {}
  createRetainedStream(): Readable {
    return Readable.from([])
  }
  createRetainedStreamCombi(): Readable {
    return Readable.from([])
  }

  async outgoingEnqueue(): Promise<void> {}
  async outgoingEnqueueCombi(): Promise<void> {}
  outgoingStream(): Readable {
    return Readable.from([])
  }
  async incomingStorePacket(): Promise<void> {}
  async cleanIncoming(): Promise<void> {}

  // --- wills: the connections'

  async putWill(): Promise<void> {}
  async getWill(): Promise<undefined> {}
  async delWill(): Promise<undefined> {}
  streamWill(): Readable {
    return Readable.from([])
  }
  getClientList(): Readable {
    return Readable.from([])
  }

  async destroy(): Promise<void> {}
}
