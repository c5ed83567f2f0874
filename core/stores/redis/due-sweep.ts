// Messages of devices that nobody uses expire, too, and are told: one process (the caretaker) looks at those whose time has come.
// What is noted of them is as many as have messages waiting; empty inboxes cost nothing.

import { PostriderError } from '../../errors.js'
import type { Logger } from '../../log.js'
import { lookKeys, type StoreContext, timeArgument } from './device-scripts.js'
import { dueKey } from './keys.js'
import { messageOf } from './redis-errors.js'
import { listOf, textOf } from './reply.js'
import { DEVICES_PAGE, onDevices, walkShards } from './shard-walk.js'

export interface DueSweepOptions {
  readonly context: StoreContext
  /** This process is the caretaker. */
  readonly isCaretaker: () => boolean
  readonly log: Logger
  readonly intervalMs: number
}

export class DueSweep {
  readonly #context: StoreContext
  readonly #isCaretaker: () => boolean
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | null = null
  #closed = false

  constructor({ context, isCaretaker, log, intervalMs }: DueSweepOptions) {
    this.#context = context
    this.#isCaretaker = isCaretaker
    this.#log = log
    this.#timer = setInterval(() => this.#tick(), intervalMs)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#running
  }

  #goesOn(): boolean {
    return !this.#closed && this.#isCaretaker()
  }

  #tick(): void {
    if (this.#running !== null || !this.#goesOn()) return
    const context = this.#context
    this.#running = walkShards({
      context,
      scan: 'due-scan',
      scanArgs: [timeArgument(context)],
      keyOf: dueKey,
      visit: (shard) => this.#visit(shard),
      goesOn: () => this.#goesOn(),
    })
      .catch((error: unknown) => {
        const fields = { reason: messageOf(error) }
        if (error instanceof PostriderError) this.#log.debug(fields, 'due_sweep_failed')
        else this.#log.warn(fields, 'due_sweep_failed')
      })
      .finally(() => {
        this.#running = null
      })
  }

  async #visit(shard: string): Promise<void> {
    let failed = 0
    while (this.#goesOn()) {
      const args = [timeArgument(this.#context), failed, DEVICES_PAGE]
      const devices = listOf(await lookKeys(this.#context, 'due-list', [dueKey(shard)], args)).map(textOf)
      const answers = await onDevices(this.#context, 'due-age', devices, [shard])
      failed += answers.filter((answer) => answer === null).length
      if (devices.length < DEVICES_PAGE) return
    }
  }
}
