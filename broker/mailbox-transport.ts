// How a mailbox reaches its device: in plain mode until a subscription to the stream makes it stream mode.

import type { StoredMessage } from '../core/model/message.js'
import type { Courier } from '../courier/courier-api.js'
import type { DeviceTransport, LogStart, Welcome } from '../courier/device-transport.js'
import type { CloseCode } from '../protocol/codes.js'
import type { GapReason } from '../protocol/frames/frame-types.js'
import type { MailboxMode } from '../protocol/topics.js'
import type { Output } from './output.js'
import { PlainTransport } from './plain-transport.js'
import { StreamTransport, type StreamContext, type StreamOwner } from './stream/stream-transport.js'

export interface MailboxTransportOwner extends StreamOwner {
  /** The courier has done its part: ends the connection, with a bye where one belongs. */
  finish(code: CloseCode): void
}

export class MailboxTransport implements DeviceTransport {
  readonly #device: string
  readonly #output: Output
  readonly #context: StreamContext
  readonly #owner: MailboxTransportOwner
  readonly #tally: { sent: number }
  readonly #plain: PlainTransport
  /** Made by the first subscription to the stream. */
  #stream: StreamTransport | null = null
  /** The device is subscribed in stream mode: it may be written to. */
  #listens = false

  constructor(
    device: string,
    output: Output,
    context: StreamContext,
    owner: MailboxTransportOwner,
    tally: { sent: number } = { sent: 0 },
  ) {
    this.#tally = tally
    this.#device = device
    this.#output = output
    this.#context = context
    this.#owner = owner
    this.#plain = new PlainTransport(device, output, context.counters)
  }

  /** Stream mode's side; null in plain mode. */
  get stream(): StreamTransport | null {
    return this.#stream
  }

  /** The device is subscribed now. */
  subscribed(mode: MailboxMode): void {
    if (mode !== 'stream') {
      this.#plain.setMode(mode)
      return
    }
    this.#stream ??= new StreamTransport(this.#device, this.#output, this.#context, this.#owner)
    this.#listens = true
  }

  unsubscribed(): void {
    this.#listens = false
  }

  /** A PUBACK in the courier's range: handled in plain mode, received in stream mode. False: nothing waits for it. */
  acked(packetId: number, courier: Courier): boolean {
    if (this.#stream === null) return courier.acked(packetId)
    const receipt = this.#stream.received(packetId)
    if (receipt === null) return false
    if (receipt.seq > 0) courier.received(receipt.log, receipt.epoch, receipt.seq)
    return true
  }

  /** The server ends the connection: a stream device is told why. */
  sayBye(code: CloseCode): void {
    if (this.#listens) this.#stream?.sayBye(code)
    this.#listens = false
  }

  // --- from the courier

  sendMessage(
    log: string,
    epoch: string,
    message: StoredMessage,
    packetId: number,
    redelivered: boolean,
    prev: number,
  ): void {
    this.#tally.sent++
    if (this.#stream === null) this.#plain.sendMessage(message, packetId, redelivered)
    else this.#stream.sendMessage(log, epoch, message, packetId, redelivered, prev)
  }

  sendWelcome(welcome: Welcome): void {
    this.#stream?.sendWelcome(welcome)
  }

  sendReset(log: string, start: LogStart): void {
    this.#stream?.sendReset(log, start)
  }

  sendGap(log: string, epoch: string, from: number, to: number, reason: GapReason): void {
    this.#stream?.sendGap(log, epoch, from, to, reason)
  }

  bufferedBytes(): number {
    return this.#stream === null ? this.#plain.bufferedBytes() : this.#stream.bufferedBytes()
  }

  close(code: CloseCode): void {
    this.#owner.finish(code)
  }
}
