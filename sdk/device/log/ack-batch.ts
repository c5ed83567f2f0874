// Acknowledgements are cumulative, so that those of many messages go in one frame: after 16 messages or 200 ms, at once for high
// priority and for half of a window: the server fills that half again while the other one is handled.

import type { WirePosition } from '../../../protocol/frames/frame-types.js'
import type { Clock } from '../platform.js'

export interface AckSettings {
  readonly messages: number
  /** So many do not wait for what else the same bytes brought. */
  readonly atOnce: number
  readonly delayMs: number
}

export const ACK_SETTINGS = { messages: 16, delayMs: 200 } as const satisfies Omit<AckSettings, 'atOnce'>

export class AckBatch {
  readonly #settings: AckSettings
  readonly #clock: Clock
  readonly #send: (acks: ReadonlyMap<string, WirePosition>) => void
  #acks = new Map<string, WirePosition>()
  #count = 0
  #cancel: (() => void) | null = null
  #soon = false

  /** `send` gets at least one position. */
  constructor(settings: AckSettings, clock: Clock, send: (acks: ReadonlyMap<string, WirePosition>) => void) {
    this.#settings = settings
    this.#clock = clock
    this.#send = send
  }

  add(log: string, epoch: string, seq: number, urgent: boolean): void {
    this.#acks.set(log, [epoch, seq])
    this.#count++
    const { messages, atOnce, delayMs } = this.#settings
    if (urgent || this.#count >= atOnce) this.flush()
    else if (this.#count >= messages) {
      // What the same chunk of bytes brought is handled one after the other: its acks still fit into this frame.
      if (this.#soon) return
      this.#cancel?.()
      this.#soon = true
      this.#cancel = this.#clock.after(0, () => this.flush())
    } else this.#cancel ??= this.#clock.after(delayMs, () => this.flush())
  }

  /** Everything that waits goes now. */
  flush(): void {
    const acks = this.#acks
    this.drop()
    if (acks.size > 0) this.#send(acks)
  }

  /** The connection that they were for is gone. */
  drop(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#soon = false
    this.#count = 0
    this.#acks = new Map()
  }
}
