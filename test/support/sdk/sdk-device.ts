// A device of the SDK before a real broker, and what the application of it sees.

import type { Test } from 'tap'
import type { Client } from '../../../sdk/device/client.js'
import type { PostriderError } from '../../../sdk/device/errors.js'
import type { ClientEvents } from '../../../sdk/device/events.js'
import type { Message } from '../../../sdk/device/message.js'
import { connect, type ConnectOptions } from '../../../sdk/node.js'
import { until } from '../broker/node.js'

export class SdkDevice {
  readonly client: Client
  /** In the order of the handler's runs. */
  readonly handled: Array<{
    readonly seq: number
    readonly epoch: string
    readonly text: string
    readonly attempt: number
  }> = []
  readonly states: string[] = []
  readonly gaps: Array<ClientEvents['gap']> = []
  readonly resets: Array<ClientEvents['reset']> = []
  readonly duplicates: number[] = []
  readonly errors: PostriderError[] = []
  /** Undefined: it has not ended. */
  ended: PostriderError | null | undefined = undefined

  /** Closed at the end of the test. `handle` runs after the message was written down. */
  constructor(t: Test, options: ConnectOptions, handle: (message: Message) => unknown = () => undefined) {
    this.client = connect({
      handler: (message: Message) => {
        const { seq, epoch, attempt } = message
        this.handled.push({ seq, epoch, text: message.text(), attempt })
        return handle(message)
      },
      // Tests wait for what happens, and not for delays.
      backoff: { firstMs: 100, maxMs: 500, stableMs: 60_000 },
      ...options,
    })
    t.teardown(() => this.client.close())
    this.client.on('state', ({ state }) => this.states.push(state))
    this.client.on('gap', (event) => this.gaps.push(event))
    this.client.on('reset', (event) => this.resets.push(event))
    this.client.on('duplicate', ({ message }) => this.duplicates.push(message.seq))
    this.client.on('error', (error) => this.errors.push(error))
    void this.client.closed.then((error) => {
      this.ended = error
    })
  }

  get seqs(): readonly number[] {
    return this.handled.map(({ seq }) => seq)
  }

  get texts(): readonly string[] {
    return this.handled.map(({ text }) => text)
  }

  describe(): string {
    const errors = this.errors.map(({ message }) => message).join('; ')
    return `${this.handled.length} handled, last ${this.handled.at(-1)?.seq}; ${this.states.join(' ')}; ${errors}`
  }

  async has(count: number): Promise<this> {
    try {
      await until(`${count} messages`, () => this.handled.length >= count)
    } catch (error) {
      throw new Error(this.describe(), { cause: error })
    }
    return this
  }

  async is(state: string): Promise<this> {
    try {
      await until(`the state ${state}`, () => this.client.state === state)
    } catch (error) {
      throw new Error(this.describe(), { cause: error })
    }
    return this
  }

  async end(): Promise<PostriderError | null> {
    return this.client.closed
  }
}

export const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
export const texts = (from: number, to: number): string[] => numbers(from, to).map(String)
