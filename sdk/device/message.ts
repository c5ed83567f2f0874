import { MESSAGE_FLAGS } from '../../protocol/frames/frame-types.js'
import { messageKey, type MessageEntry } from './log/entry.js'

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A message, as the handler gets it. */
export class Message {
  readonly #entry: MessageEntry
  readonly #acknowledge: (message: Message) => void
  /** The log: `d:<device>`, or `g:<group>`. */
  readonly log: string
  /**
   * Which run of the handler for this message this is: 1 is the first. More than 1 means that the handler was started before and
   * its end was not recorded, so its effects may be there: it threw, or the process ended. Known across restarts if the storage
   * is.
   */
  readonly attempt: number

  /** @internal */
  constructor(log: string, entry: MessageEntry, attempt: number, acknowledge: (message: Message) => void) {
    this.#entry = entry
    this.#acknowledge = acknowledge
    this.log = log
    this.attempt = attempt
  }

  /** Its name for good: `<log>/<epoch>/<seq>`. Kept in the same transaction as the effect, it makes the effect happen once. */
  get key(): string {
    return messageKey(this.log, this.#entry.epoch, this.#entry.seq)
  }

  get epoch(): string {
    return this.#entry.epoch
  }

  get seq(): number {
    return this.#entry.seq
  }

  /** When the server stored it. Milliseconds UTC by the server's clock. */
  get at(): number {
    return this.#entry.message.at
  }

  /** Milliseconds UTC by the server's clock; null: never. */
  get expiresAt(): number | null {
    return this.#entry.message.expiresAt
  }

  get highPriority(): boolean {
    return (this.#entry.message.flags & MESSAGE_FLAGS.highPriority) !== 0
  }

  /** The server may have sent it on an earlier connection. */
  get redelivered(): boolean {
    return (this.#entry.message.flags & MESSAGE_FLAGS.redelivered) !== 0
  }

  /** What the backend named it by; null: not at all. */
  get dedupId(): string | null {
    return this.#entry.message.dedupId
  }

  get contentType(): string | null {
    return this.#entry.message.contentType
  }

  get attributes(): ReadonlyMap<string, string> {
    return new Map(this.#entry.message.attributes ?? [])
  }

  /** Shares memory with its neighbours on the wire: copy it (`slice()`) to keep a small payload for long. */
  get payload(): Uint8Array {
    return this.#entry.message.payload
  }

  /** The payload as text. Throws TypeError when it is not UTF-8. */
  text(): string {
    return UTF8.decode(this.payload)
  }

  /** The payload as JSON. Throws when it is not. */
  json(): unknown {
    return JSON.parse(this.text())
  }

  /**
   * With `ack: 'manual'`: the application has done what is to be done with it. May be called in any order; the server is told up
   * to the first message that is not acknowledged. In a `for await` loop it says that the message is handled, before the next one
   * is asked for. Elsewhere it changes nothing: the end of the handler counts.
   */
  ack(): void {
    this.#acknowledge(this)
  }
}
