import { DEVICE_ID_RULE, isDeviceId } from '../../protocol/device-id.js'
import type { NewMessage } from '../../core/model/message.js'
import { PostriderError } from '../../core/errors.js'
import type { AppendResult } from '../../core/ports/mailbox.js'
import { FIELD_LIMITS } from '../limits.js'
import { MessageReader } from '../message-reader.js'
import { refusalError, type Refusal } from '../problem.js'
import type { SourceText } from '../source-text.js'
import { append, isStoreFailure, refusalOf } from './append.js'
import type { ServiceContext } from './context.js'

/** One device of a fan-out: its message's number, or why there is none. */
export type FanOutPart = number | { readonly device: string; readonly refusal: Refusal }

/** What became of an item: the number of its message, its fan-out, or why it was refused. */
export type Slot = number | { readonly parts: readonly FanOutPart[] } | Refusal

export interface BatchOutcome {
  /** One for each item, in order. */
  readonly slots: readonly Slot[]
  readonly messages: readonly NewMessage[]
  /** One for each message, in order. */
  readonly results: readonly AppendResult[]
}

const INVALID_DEVICE: Refusal = { code: 'invalid_device_id', message: DEVICE_ID_RULE }

/** Collects the items of one request. Not for two requests. */
export class Batch {
  readonly #reader: MessageReader
  readonly #trace: string | null
  readonly #slots: Slot[] = []
  readonly #messages: NewMessage[] = []
  /** Messages after expansion, refused ones included. */
  #size = 0

  /** `batch`: items of one JSON array. `line`: each item has a text of its own. */
  constructor(context: ServiceContext, place: 'batch' | 'line', traceparent: string | null = null) {
    this.#trace = traceparent
    this.#reader = new MessageReader(place, context.limits.payloadMax, traceparent)
  }

  /** Adds an item, or its refusal. Throws `too_many_messages`. `index`: the item's number in `source`. */
  add(item: unknown, index: number, source: SourceText): void {
    const reader = this.#reader
    const refusal = reader.read(item, index, source)
    if (refusal !== null) return this.refuse(refusal)
    const { device, devices } = reader
    if (device !== null) {
      this.#grow(1)
      this.#slots.push(this.#messages.length)
      this.#messages.push(reader.messageFor(device, reader.dedupId))
    } else if (devices !== null) {
      this.#grow(devices.length)
      this.#slots.push({ parts: devices.map((id) => this.#part(id)) })
    }
  }

  refuse(refusal: Refusal): void {
    this.#grow(1)
    this.#slots.push(refusal)
  }

  #part(device: string): FanOutPart {
    if (!isDeviceId(device)) return { device, refusal: INVALID_DEVICE }
    return this.#messages.push(this.#reader.messageFor(device, this.#reader.dedupId)) - 1
  }

  #grow(count: number): void {
    this.#size += count
    if (this.#size > FIELD_LIMITS.batchMax) {
      throw new PostriderError(
        'too_many_messages',
        `at most ${FIELD_LIMITS.batchMax} messages are allowed in one request`,
      )
    }
  }

  /**
   * Appends what was well-formed, in one call of the store. Rejects when the store failed for every item: then a retry of
   * the whole request is the answer.
   */
  async send(context: ServiceContext): Promise<BatchOutcome> {
    const messages = this.#messages
    const slots = this.#slots
    const results = await append(context, messages, this.#trace)
    if (messages.length > 0 && messages.length === this.#size && results.every(isStoreFailure)) {
      const worst = results.find((result) => !result.ok && result.code === 'outcome_unknown') ?? results[0]
      throw refusalError(refusalOf(worst?.ok === false ? worst : undefined))
    }
    return { slots, messages, results }
  }
}
