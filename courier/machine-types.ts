import type { Position, StoredMessage } from '../core/model/message.js'
import type { CloseCode } from '../protocol/codes.js'
import type { GapReason } from '../protocol/frames/frame-types.js'
import type { CourierCounters } from './courier-counters.js'

/** `catching-up`: something is to be read or on its way; `live`: the next notice can go straight to the device. */
export type CourierState = 'claiming' | 'catching-up' | 'live' | 'closed'

/**
 * What a machine tells its shell. Called synchronously, inside the event that caused it; an implementation must not call
 * back into the machine. An interface, not a list of effect objects: the hot path allocates nothing.
 */
export interface CourierEffects {
  /** `prev`: the last seq that the device was told of before. */
  sendMessage(epoch: string, message: StoredMessage, packetId: number, redelivered: boolean, prev: number): void
  /** A message accepted at `at` (milliseconds) is handled: it has left the window. For what is measured; a hot path, too. */
  handled(at: number, seq: number): void
  /** To a stream device, before anything else: delivery begins after this position. */
  sendWelcome(position: Position, head: number): void
  /** The position that a stream device brought is not in the log any more. Follows the welcome, with the same place. */
  sendReset(position: Position, head: number): void
  /** To a stream device: these seqs will not come. `epoch` makes `to` a position. */
  sendGap(epoch: string, from: number, to: number, reason: GapReason): void
  /** Bytes that the transport has not got rid of yet. */
  bufferedBytes(): number
  /** The store is to be asked: call `takeResume`, and if it has nothing `takeRead`, soon. Not repeated until that call. */
  wantRead(): void
  /** Acks wait for the store: call `takeFlush` within the ack delay (`urgent` false) or as soon as possible. */
  wantFlush(urgent: boolean): void
  /** The machine is closed: flush, release, and end the transport with `code` (null: the socket has ended already). */
  closing(code: CloseCode | null): void
}

/** What all machines of a node share. */
export interface MachineLimits {
  /** Messages in flight. */
  readonly window: number
  /** The most that a stream device may have of them, if it asks for so many. */
  readonly windowMax: number
  /** Bytes in flight, by `messageSize`; one message always fits. */
  readonly windowBytes: number
  /** Messages and bytes of one page; what the window cannot take yet waits in memory for at most two ticks. */
  readonly pageMessages: number
  readonly pageBytes: number
  /** Bytes buffered for a slow socket. */
  readonly bufferLimit: number
  /** Milliseconds without a byte leaving the full buffer, after which the connection is closed. */
  readonly fullBufferMs: number
  /** Milliseconds with messages in flight and no byte from the device, after which the connection is closed. */
  readonly unackedMs: number
  /** Milliseconds that a stream device has for its hello. */
  readonly helloMs: number
}

export interface MachineContext {
  readonly limits: MachineLimits
  readonly counters: CourierCounters
}

export interface PageRequest {
  readonly position: Position
  readonly maxMessages: number
  readonly maxBytes: number
}

/** The parts of an AckItem. `position` is [epoch, 0] when there is only a watermark to tell: it moves no cursor. */
export interface FlushItem {
  readonly position: Position
  readonly sent: Position | null
  readonly received: Position | null
}
