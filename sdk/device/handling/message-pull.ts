// `for await (const message of client)`: the loop is the handler. Asking for the next message says that this one is handled;
// leaving the loop says nothing, so the message that it left with comes again, unless it was acknowledged by hand.

import { PostriderError } from '../errors.js'
import type { Message } from '../message.js'
import { RELEASED } from './lane-runner.js'
import { demandedSlots, type Demand } from './slots.js'

interface Offer {
  readonly message: Message
  readonly handled: () => void
  readonly released: (reason: unknown) => void
}

interface Consumer {
  readonly give: (offer: Offer) => void
  readonly end: (error: PostriderError | null) => void
}

export class MessagePull {
  readonly demand: Demand = demandedSlots()
  /** Admitted, and nobody takes it yet. */
  #offer: Offer | null = null
  /** In the hands of the loop. */
  #current: Offer | null = null
  #consumer: Consumer | null = null
  #looping = false
  /** Undefined: it goes on. */
  #ended: PostriderError | null | undefined = undefined

  /** The handler, as the runners call it. */
  readonly handle = (message: Message): Promise<void> =>
    new Promise((resolve, reject) => {
      const offer: Offer = { message, handled: resolve, released: reject }
      if (this.#ended !== undefined) offer.released(RELEASED)
      else if (this.#consumer === null) this.#offer = offer
      else this.#consumer.give(offer)
    })

  /** `message.ack()` in the loop: handled, without asking for the next. */
  acknowledge(message: Message): void {
    if (this.#current?.message === message) this.#settle()
  }

  iterate(): AsyncIterableIterator<Message> {
    if (this.#looping) throw new PostriderError('bad_option', 'one loop at a time')
    this.#looping = true
    const iterator: AsyncIterableIterator<Message> = {
      next: () => this.#next(),
      return: () => {
        this.#leave()
        return Promise.resolve({ done: true, value: undefined })
      },
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** No more messages. The loop ends; or throws, when there is an error. */
  end(error: PostriderError | null): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    this.demand.close()
    for (const offer of [this.#offer, this.#current]) offer?.released(RELEASED)
    this.#offer = this.#current = null
    this.#consumer?.end(error)
  }

  #next(): Promise<IteratorResult<Message>> {
    if (this.#consumer !== null) {
      return Promise.reject(new PostriderError('bad_option', 'the next message was asked for twice'))
    }
    this.#settle()
    const offer = this.#offer
    if (offer !== null) {
      this.#offer = null
      this.#current = offer
      return Promise.resolve({ done: false, value: offer.message })
    }
    if (this.#ended !== undefined) return this.#over(this.#ended)
    return new Promise((resolve) => {
      this.#consumer = {
        give: (given) => {
          this.#consumer = null
          this.#current = given
          resolve({ done: false, value: given.message })
        },
        end: (error) => {
          this.#consumer = null
          resolve(this.#over(error))
        },
      }
      this.demand.ask()
    })
  }

  #over(error: PostriderError | null): Promise<IteratorResult<Message>> {
    this.#looping = false
    return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
  }

  #settle(): void {
    this.#current?.handled()
    this.#current = null
  }

  #leave(): void {
    this.#looping = false
    this.demand.withdraw()
    this.#current?.released(RELEASED)
    this.#current = null
  }
}
