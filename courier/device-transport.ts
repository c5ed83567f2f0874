import type { CloseCode, ExceptionReason } from '../protocol/codes.js'
import type { StoredMessage } from '../core/model/message.js'

/** One step of a device's log on its way out. */
export type Delivery =
  | {
      readonly kind: 'message'
      readonly epoch: string
      readonly message: StoredMessage
      /** The courier's number for this message on this connection: what `acked` brings back. 0x8000–0xFFFF. */
      readonly packetId: number
      /** May have been sent before, on this device's earlier connection: MQTT DUP. */
      readonly redelivered: boolean
    }
  /** Seqs that will never come. Plain transports ignore it. */
  | {
      readonly kind: 'gap'
      readonly epoch: string
      readonly from: number
      readonly to: number
      readonly reason: ExceptionReason
    }

/**
 * A connected device as the courier sees it; the plain MQTT connection is one, stream mode and long poll will be others.
 * Contract: no method throws or calls back into the courier synchronously; after `close` (or when the socket is gone)
 * `send` does nothing.
 */
export interface DeviceTransport {
  /** Hands over deliveries in order. They may be buffered until the end of the event-loop turn and written as one. */
  send(deliveries: readonly Delivery[]): void
  /** The same for one live message: the hot path. */
  sendMessage(epoch: string, message: StoredMessage, packetId: number, redelivered: boolean): void
  /**
   * Bytes handed over that the operating system has not taken yet, those still waiting for the end of the turn included.
   * Called after every message: must be cheap. Must fall as bytes leave, not only when a whole large write is done: that it
   * falls is how a slow device is told from one that does not read (a PUBACK shows it too).
   */
  bufferedBytes(): number
  /** Ends the connection, in the transport's own words for `code`. Idempotent. */
  close(code: CloseCode): void
}
