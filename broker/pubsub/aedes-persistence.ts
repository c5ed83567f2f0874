export interface AedesClient {
  readonly id: string
}
export interface PacketRef {
  readonly cmd?: string
  readonly messageId?: number
}
export interface HandshakePersistence {
  acknowledged(client: AedesClient, packet: PacketRef): boolean
  outgoingUpdate(client: AedesClient, packet: PacketRef): Promise<void>
  incomingGetPacket(client: AedesClient, packet: PacketRef): Promise<PacketRef>
  incomingDelPacket(client: AedesClient, packet: PacketRef): Promise<void>
}
import type { PubSub } from './hub.js'
export class HubPersistence implements HandshakePersistence {
  readonly #hub: PubSub
  constructor(hub: PubSub) {
    this.#hub = hub
  }
  acknowledged(client: AedesClient, packet: PacketRef): boolean {
    return this.#hub.acked(client.id, packet.messageId ?? 0, packet.cmd === 'pubcomp' ? 2 : 1)
  }
  async outgoingUpdate(client: AedesClient, packet: PacketRef): Promise<void> {
    await this.#hub.release(client.id, packet.messageId ?? 0)
  }
  async incomingGetPacket(client: AedesClient, packet: PacketRef): Promise<PacketRef> {
    if (this.#hub.find(client.id)?.received.has(packet.messageId ?? 0) === true) return packet
    throw new Error('no such packet')
  }
  async incomingDelPacket(client: AedesClient, packet: PacketRef): Promise<void> {
    await this.#hub.forgetReceived(client.id, packet.messageId ?? 0)
  }
}
