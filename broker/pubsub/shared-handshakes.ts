import type { AedesClient, HandshakePersistence, PacketRef } from './aedes-persistence.js'
import type { SharedPubSub } from './shared-pub-sub.js'

const NO_PACKET = 'no such packet'

/** What Aedes asks of its persistence for the handshakes of QoS 1 and 2, where sessions are shared among nodes. */
export class SharedHandshakes implements HandshakePersistence {
  readonly #hub: SharedPubSub

  constructor(hub: SharedPubSub) {
    this.#hub = hub
  }

  acknowledged(client: AedesClient, { cmd, messageId = 0 }: PacketRef): boolean {
    return this.#hub.acked(client.id, messageId, cmd === 'pubcomp' ? 2 : 1)
  }

  outgoingUpdate(client: AedesClient, { messageId = 0 }: PacketRef): Promise<void> {
    return this.#hub.release(client.id, messageId)
  }

  async incomingGetPacket(client: AedesClient, packet: PacketRef): Promise<PacketRef> {
    this.#mustHave(client, packet)
    return packet
  }

  async incomingDelPacket(client: AedesClient, packet: PacketRef): Promise<void> {
    this.#mustHave(client, packet)
    await this.#hub.forgetReceived(client.id, packet.messageId ?? 0)
  }

  #mustHave({ id }: AedesClient, { messageId = 0 }: PacketRef): void {
    if (this.#hub.find(id)?.received.has(messageId) !== true) throw new Error(NO_PACKET)
  }
}
