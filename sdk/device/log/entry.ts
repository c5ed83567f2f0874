import { MESSAGE_FLAGS, type GapFrame, type WireMessage } from '../../../protocol/frames/frame-types.js'

/** A message on its way through the device. */
export class MessageEntry {
  readonly kind = 'message'
  readonly epoch: string
  readonly message: WireMessage
  /**
   * `queued`: nothing has happened yet, and it may be dropped when the connection changes. `started`: the handler was called
   * and has not ended well. `acked`: manual mode; the application acknowledged it, and it waits for older ones. `settled`: nothing
   * is left to do but to tell the server.
   */
  state: 'queued' | 'started' | 'acked' | 'settled' = 'queued'
  /** The key of the message of another history that this one repeats; null: it repeats none that is known. */
  repeats: string | null = null

  constructor(epoch: string, message: WireMessage) {
    this.epoch = epoch
    this.message = message
  }

  get seq(): number {
    return this.message.seq
  }

  get urgent(): boolean {
    return (this.message.flags & MESSAGE_FLAGS.highPriority) !== 0
  }
}

/** The server says that seqs will not come. It is told to the application between the messages around it. */
export interface GapEntry {
  readonly kind: 'gap'
  readonly frame: GapFrame
  told: boolean
}

export type Entry = MessageEntry | GapEntry

/** How an application names a message for good: log, epoch and seq. */
export const messageKey = (log: string, epoch: string, seq: number): string => `${log}/${epoch}/${seq}`
