// The steps of QoS 1 and 2 that are stored before they are answered.

import { ordinarySize } from '../../core/model/ordinary-message.js'
import type { OrderedWriter } from './ordered-writer.js'
import type { SessionTable } from './session-table.js'

export class Handshakes {
  readonly #sessions: SessionTable
  readonly #writer: OrderedWriter

  constructor(sessions: SessionTable, writer: OrderedWriter) {
    this.#sessions = sessions
    this.#writer = writer
  }

  /** PUBACK (`qos` 1) or PUBCOMP (2). False: nothing waited for it. */
  acked(client: string, packetId: number, qos: 1 | 2): boolean {
    return this.#sessions.get(client)?.acked(packetId, qos) ?? false
  }

  /** PUBREC: PUBREL may leave when it is stored that the client has the message. Null: now. Throws StoreUnavailable. */
  release(client: string, packetId: number): Promise<void> | null {
    const session = this.#sessions.get(client)
    const message = session?.toRelease(packetId) ?? null
    if (session === undefined || message === null) return null
    if (!session.durable) {
      session.release(message)
      return null
    }
    const { number } = message
    return this.#writer.write([{ kind: 'release', client, number, bytes: ordinarySize(message) }], () => {
      session.release(message)
    })
  }

  /** PUBREL: PUBCOMP may leave when the packet id is forgotten, because the client may use it again. As `release`. */
  forgetReceived(client: string, packetId: number): Promise<void> | null {
    const session = this.#sessions.get(client)
    if (session === undefined || !session.received.has(packetId)) return null
    if (!session.durable) {
      session.received.delete(packetId)
      return null
    }
    return this.#writer.write([{ kind: 'forgetReceived', client, packetId }], () => session.received.delete(packetId))
  }
}
