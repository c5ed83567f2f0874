import { Readable } from 'node:stream'

/** The mailbox filter that a device's session keeps, or null. */
export type KeptFilter = (device: string) => string | null

/**
 * Aedes' persistence, keeping nothing: what a device has pending and subscribed is in its mailbox. It only tells Aedes of a
 * kept mailbox subscription, so that CONNACK says sessionPresent = 1 [MQTT-3.2.2-2]. Nothing here grows with devices.
 */
export class MailboxPersistence {
  readonly #kept: KeptFilter
  readonly #unknownAck: () => void

  /** `unknownAck`: a PUBACK came with an id of Aedes' range, which nothing was sent with. */
  constructor(kept: KeptFilter, unknownAck: () => void) {
    this.#kept = kept
    this.#unknownAck = unknownAck
  }

  async setup(): Promise<void> {}

  async subscriptionsByClient(client: { readonly id: string }): Promise<ReadonlyArray<{ topic: string; qos: number }>> {
    const filter = this.#kept(client.id)
    return filter === null ? [] : [{ topic: filter, qos: 1 }]
  }

  async outgoingClearMessageId(): Promise<undefined> {
    this.#unknownAck()
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

  async storeRetained(): Promise<void> {}
  createRetainedStream(): Readable {
    return Readable.from([])
  }
  createRetainedStreamCombi(): Readable {
    return Readable.from([])
  }

  async outgoingEnqueue(): Promise<void> {}
  async outgoingEnqueueCombi(): Promise<void> {}
  async outgoingUpdate(): Promise<void> {}
  outgoingStream(): Readable {
    return Readable.from([])
  }

  async incomingStorePacket(): Promise<void> {}
  /** Rejecting is how Aedes is told that a QoS 2 handshake is not known. */
  async incomingGetPacket(): Promise<never> {
    throw new Error('no such packet')
  }
  async incomingDelPacket(): Promise<never> {
    throw new Error('no such packet')
  }
  async cleanIncoming(): Promise<void> {}

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
