// What a device in stream mode says: takes its control frames. Whatever does not belong there ends the connection.

import type { Logger } from '../../core/log.js'
import { TOO_EARLY, type Courier } from '../../courier/courier-api.js'
import { decodeDeviceFrame } from '../../protocol/frames/device-frames.js'
import { FrameError } from '../../protocol/frames/frame-error.js'
import type { AckFrame, DeviceFrame, HelloFrame, UplinkFrame } from '../../protocol/frames/frame-types.js'
import type { BrokerCounters, ProtocolError } from '../counters.js'
import type { MailboxTransport } from '../mailbox-transport.js'
import type { PublishPacket } from '../packets.js'

/** What is needed of the connection. */
export interface ControlConnection {
  violated(error: ProtocolError): void
  /** The publish that was just read made room in a window: it was called for, and does not count as one of the device's own. */
  wasCalledFor(): void
}

export interface StreamControlOptions {
  readonly device: string
  readonly courier: Courier
  readonly transport: MailboxTransport
  readonly connection: ControlConnection
  readonly counters: BrokerCounters
  readonly log: Logger
}

export class StreamControl {
  readonly #options: StreamControlOptions

  constructor(options: StreamControlOptions) {
    this.#options = options
  }

  /**
   * A PUBLISH to one of the control topics. An uplink frame is returned, for the caller to store; null: there is nothing more to
   * do but to acknowledge; false: the connection is being ended.
   */
  accept(packet: PublishPacket, control: 'hello' | 'ack' | 'uplink'): UplinkFrame | null | false {
    const frame = this.#decode(packet, control)
    if (frame === null) return false
    this.#options.counters.framesReceived++
    if (frame.t === 'uplink') return frame
    const belongs = frame.t === 'hello' ? this.#hello(frame) : this.#ack(frame)
    if (belongs) return null
    this.#options.connection.violated('unexpected_frame')
    return false
  }

  #decode({ payload, retain, topic }: PublishPacket, control: 'hello' | 'ack' | 'uplink'): DeviceFrame | null {
    const { connection, device, log } = this.#options
    try {
      if (retain) throw new FrameError('bad_value', 'retain')
      const frame = decodeDeviceFrame(payload)
      if (frame.t !== control) throw new FrameError('unknown_type', 't')
      return frame
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      log.info({ device, topic, code: error.code, path: error.path }, 'a frame was refused')
      connection.violated('bad_frame')
      return null
    }
  }

  #hello({ cursors, window, maxFrameBytes, sdk }: HelloFrame): boolean {
    const { courier, transport, device, log } = this.#options
    if (transport.stream === null || !courier.hello({ cursors, window })) return false
    transport.stream.limitFrames(maxFrameBytes)
    log.debug({ device, sdk, window, maxFrameBytes }, 'hello')
    return true
  }

  #ack({ acks }: AckFrame): boolean {
    const { courier, connection } = this.#options
    let left = 0
    for (const [log, position] of acks) {
      const result = courier.ackedUpTo(log, position)
      if (result === TOO_EARLY) return false
      left += result
    }
    if (left > 0) connection.wasCalledFor()
    return true
  }
}
