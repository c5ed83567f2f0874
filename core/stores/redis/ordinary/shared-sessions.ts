// The SharedSessions port on Redis: everything is in one slot, and every change one script. lua/lib/ordinary.lua has the rules.

import { StoreUnavailable } from '../../../errors.js'
import type { Logger } from '../../../log.js'
import type { SharedHandler, SharedNode, SharedSessions } from '../../../ports/shared-sessions.js'
import type { StoreContext } from '../device-scripts.js'
import { OrdinaryCalls } from './calls.js'
import { RedisSharedNode } from './shared-node.js'

export class RedisSharedSessions implements SharedSessions {
  readonly #context: StoreContext
  readonly #calls: OrdinaryCalls
  readonly #log: Logger
  readonly #leaseMs: number
  readonly #nodes = new Set<SharedNode>()
  #closed = false

  constructor(context: StoreContext, log: Logger, leaseMs: number) {
    this.#context = context
    this.#calls = new OrdinaryCalls(context)
    this.#log = log
    this.#leaseMs = leaseMs
  }

  async join(handler: SharedHandler): Promise<SharedNode> {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    const node = await RedisSharedNode.join({
      context: this.#context,
      handler,
      log: this.#log,
      leaseMs: this.#leaseMs,
    })
    this.#nodes.add(node)
    return node
  }

  async end(client: string): Promise<void> {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    await this.#calls.end(client)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#nodes].map((node) => node.stop()))
  }
}
