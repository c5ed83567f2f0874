// What a device does in stream mode: says hello, reads frames, and acknowledges what it was sent, cumulatively, once for each
// read of its socket.
import { encodeAck } from '../../protocol/frames/ack.js'
import { encodeHello } from '../../protocol/frames/hello.js'
import type { WirePosition } from '../../protocol/frames/frame-types.js'
import { decodeServerFrame } from '../../protocol/frames/server-frames.js'
import { inboxLog } from '../../protocol/log-names.js'
import { encodePublish } from './mqtt-codec.js'

const MAX_FRAME_BYTES = 64 * 1024

export class StreamSide {
  readonly #device: string
  readonly #log: string
  readonly #window: number
  /** The last message of the one log that there is: what the next ack says. */
  #last: WirePosition | null = null
  #told = -1
  /** Frames did not follow each other: the server or this program has an error. */
  broken: string | null = null

  constructor(device: string, window: number) {
    this.#device = device
    this.#log = inboxLog(device)
    this.#window = window
  }

  hello(): Buffer {
    const hello = { cursors: new Map(), window: this.#window, maxFrameBytes: MAX_FRAME_BYTES, sdk: 'bench' }
    return encodePublish(`stream/${this.#device}/hello`, encodeHello(hello))
  }

  /** Hands on the messages of a frame. */
  take(frame: Uint8Array, message: (payload: Uint8Array) => void): void {
    const decoded = decodeServerFrame(frame)
    if (decoded.t === 'welcome') this.#told = decoded.logs.get(this.#log)?.cursor ?? 0
    else if (decoded.t === 'gap') this.#told = Math.max(this.#told, decoded.to)
    else if (decoded.t === 'bye') this.broken = `bye ${decoded.code}`
    else if (decoded.t === 'data') {
      if (decoded.prev !== this.#told) this.broken = `prev ${decoded.prev} after ${this.#told}`
      for (const each of decoded.messages) {
        message(each.payload)
        this.#told = each.seq
      }
      this.#last = [decoded.epoch, this.#told]
    }
  }

  /** The ack of everything taken since the last one; null: nothing was. */
  ack(): Buffer | null {
    if (this.#last === null) return null
    const packet = encodePublish(`stream/${this.#device}/ack`, encodeAck(new Map([[this.#log, this.#last]])))
    this.#last = null
    return packet
  }
}
