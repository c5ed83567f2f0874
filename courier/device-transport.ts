import type { Position, StoredMessage } from '../core/model/message.js'
import type { CloseCode } from '../protocol/codes.js'
import type { GapReason } from '../protocol/frames/frame-types.js'

/** Where delivery of a log begins. */
export interface LogStart {
  readonly position: Position
  /** The log's last seq. */
  readonly head: number
}

/** What a stream device is told first. */
export interface Welcome {
  /** The server's clock, milliseconds. */
  readonly time: number
  readonly node: string
  /** A name for the connection. */
  readonly session: string
  readonly logs: ReadonlyMap<string, LogStart>
}

/**
 * A connected device as the courier sees it: the plain MQTT connection is one, stream mode another. What is handed over goes
 * out in that order.
 * Contract: no method throws or calls back into the courier synchronously; after `close`, or when the socket is gone, the
 * others do nothing. What is handed over may be buffered until the end of the event-loop turn and written as one.
 */
export interface DeviceTransport {
  /**
   * One message: the hot path.
   * - `packetId`: the courier's number for it on this connection, 0x8000–0xFFFF, for transports that acknowledge by it.
   * - `redelivered`: an earlier connection of the device may have been sent it.
   * - `prev`: the last seq of the log that this connection was told of before.
   */
  sendMessage(
    log: string,
    epoch: string,
    message: StoredMessage,
    packetId: number,
    redelivered: boolean,
    prev: number,
  ): void
  /** The answer to a hello; nothing comes before it. Stream mode only, as the next two. */
  sendWelcome(welcome: Welcome): void
  /** The log does not have the place that the device remembered; it starts at this one, which the welcome has named too. */
  sendReset(log: string, start: LogStart): void
  /** Seqs that will not come. `epoch` makes `to` a position: one of an epoch that has, or follows, the last of them. */
  sendGap(log: string, epoch: string, from: number, to: number, reason: GapReason): void
  /**
   * Bytes handed over that the operating system has not taken yet, those still waiting for the end of the turn included.
   * Called after every message: must be cheap. Must fall as bytes leave, not only when a whole large write is done: that it
   * falls is how a slow device is told from one that does not read (a PUBACK shows it too).
   */
  bufferedBytes(): number
  /** Ends the connection, in the transport's own words for `code`. Idempotent. */
  close(code: CloseCode): void
}
