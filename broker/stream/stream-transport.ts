// Stream mode on its way out: what the courier hands over waits until the end of the event-loop turn, and leaves as few frames,
// each of them the PUBLISH of one packet id. What comes back for those ids says what the device has received.

import { messageSize, type StoredMessage } from '../../core/model/message.js'
import type { DeviceTransport, LogStart, Welcome } from '../../courier/device-transport.js'
import { SendWindow, UNKNOWN_ID } from '../../courier/send-window.js'
import type { CloseCode } from '../../protocol/codes.js'
import { byeFrame, encodeBye } from '../../protocol/frames/bye.js'
import { FRAME_LIMITS } from '../../protocol/frames/frame-limits.js'
import { MESSAGE_FLAGS, type GapReason } from '../../protocol/frames/frame-types.js'
import { encodeGap } from '../../protocol/frames/gap.js'
import { encodeReset } from '../../protocol/frames/reset.js'
import { encodeWelcome } from '../../protocol/frames/welcome.js'
import { streamTopic } from '../../protocol/topics.js'
import type { BrokerCounters } from '../counters.js'
import type { LateWriter, Output } from '../output.js'
import type { FramePackets, PendingMessage } from './frame-packets.js'

/** Bytes of a data frame that the server makes, if the device takes so much. Larger ones would save little. */
export const FRAME_BYTES = 64 * 1024
/** Frames that a device may leave without PUBACK. Far more than a window and its gaps make. */
export const UNRECEIVED_MAX = 4_096

/** An encoded frame, or a message that will be in one. */
type Pending = Uint8Array | PendingMessage

const NOTHING: Pending[] = []

/** What all connections of a node share. */
export interface StreamContext {
  readonly frames: FramePackets
  readonly counters: BrokerCounters
  /** 0 ≤ x < 1: packet ids begin at a random place, so that a late PUBACK of an earlier connection hits nothing. */
  readonly random: () => number
}

export interface StreamOwner {
  /** The device leaves PUBACKs out. Called at the end of a turn. */
  violated(error: 'too_many_unreceived'): void
}

/** Where a PUBACK shows that the device has received everything of a log. */
export interface Receipt {
  readonly log: string
  readonly epoch: string
  readonly seq: number
}

export class StreamTransport implements Omit<DeviceTransport, 'close'>, LateWriter {
  readonly #output: Output
  readonly #context: StreamContext
  readonly #owner: StreamOwner
  readonly #topic: Buffer
  /** Frames in flight, and the last message in or before each. */
  readonly #flight: SendWindow
  #pending = NOTHING
  #pendingBytes = 0
  #maxFrameBytes: number = FRAME_LIMITS.minFrameBytes
  #log = ''
  #epoch = ''
  #seq = 0

  constructor(device: string, output: Output, context: StreamContext, owner: StreamOwner) {
    this.#output = output
    this.#context = context
    this.#owner = owner
    this.#topic = Buffer.from(streamTopic(device))
    this.#flight = new SendWindow(Math.floor(context.random() * 0x8000))
  }

  /** What the device says of frames in its hello. */
  limitFrames(maxFrameBytes: number): void {
    this.#maxFrameBytes = Math.min(maxFrameBytes, FRAME_BYTES)
  }

  // --- from the courier

  sendMessage(
    log: string,
    epoch: string,
    message: StoredMessage,
    _packetId: number,
    redelivered: boolean,
    prev: number,
  ): void {
    const priority = message.priority === 'high' ? MESSAGE_FLAGS.highPriority : 0
    const flags = redelivered ? priority | MESSAGE_FLAGS.redelivered : priority
    this.#add({ log, epoch, message, flags, prev }, messageSize(message))
  }

  sendWelcome({ time, node, session, logs }: Welcome): void {
    const starts = [...logs].map(
      ([log, { position, head }]) => [log, { epoch: position.epoch, cursor: position.seq, head }] as const,
    )
    this.#addFrame(encodeWelcome({ time, node, session, logs: new Map(starts) }))
  }

  sendReset(log: string, { position, head }: LogStart): void {
    this.#addFrame(encodeReset({ log, epoch: position.epoch, cursor: position.seq, head }))
  }

  sendGap(log: string, epoch: string, from: number, to: number, reason: GapReason): void {
    this.#addFrame(encodeGap({ log, epoch, from, to, reason }))
  }

  bufferedBytes(): number {
    return this.#output.buffered + this.#pendingBytes
  }

  /** The last frame: why the server ends the connection. What waits goes before it. */
  sayBye(code: CloseCode): void {
    this.writeLate()
    this.#write(encodeBye(byeFrame(code)))
  }

  // --- from the device

  /** A PUBACK. Null: of no frame in flight. */
  received(packetId: number): Receipt | null {
    const flight = this.#flight
    if (flight.settle(packetId) === UNKNOWN_ID) return null
    if (flight.count === 0) flight.trim()
    return { log: this.#log, epoch: flight.leftEpoch, seq: flight.leftSeq }
  }

  // --- the end of the turn

  writeLate(): void {
    const pending = this.#pending
    this.#pending = NOTHING
    this.#pendingBytes = 0
    for (let at = 0; at < pending.length;) {
      const next = pending[at]
      if (next === undefined) break
      if (next instanceof Uint8Array) {
        this.#write(next)
        at++
      } else at += this.#writeData(pending, at)
    }
    if (this.#flight.count > UNRECEIVED_MAX) this.#owner.violated('too_many_unreceived')
  }

  #addFrame(frame: Uint8Array): void {
    this.#add(frame, frame.length)
  }

  #add(next: Pending, bytes: number): void {
    if (this.#pending === NOTHING) {
      this.#pending = [next]
      this.#output.later(this)
    } else this.#pending.push(next)
    this.#pendingBytes += bytes
  }

  #write(frame: Uint8Array): void {
    const { frames, counters } = this.#context
    this.#output.write(frames.frame(this.#topic, this.#flight.push(this.#epoch, this.#seq, 0), frame))
    counters.publishesSent++
    counters.framesSent++
  }

  /** One frame from index `from` on; how many messages are in it. */
  #writeData(pending: readonly Pending[], from: number): number {
    const { frames, counters } = this.#context
    const run: PendingMessage[] = []
    for (let at = from; at < pending.length; at++) {
      const next = pending[at]
      if (next === undefined || next instanceof Uint8Array) break
      run.push(next)
    }
    let done = 0
    while (done < run.length) {
      // The id belongs to the last message in the frame, which is known when the frame is made.
      const id = this.#flight.nextId
      const { packet, count } = frames.data(this.#topic, id, run, done, run.length, this.#maxFrameBytes)
      done += count
      const last = run[done - 1]
      if (last !== undefined) {
        this.#log = last.log
        this.#epoch = last.epoch
        this.#seq = last.message.seq
      }
      this.#flight.push(this.#epoch, this.#seq, 0)
      this.#output.write(packet)
      counters.publishesSent++
      counters.framesSent++
    }
    return run.length
  }
}
