// Who is on the bus. A node says again and again that it lives; one that does not for `ALIVE_MS` is forgotten, and its name is
// free. Nothing rests on it but that a name is not taken twice, and what `nodes` tells.

import { OutcomeUnknown } from '../../errors.js'
import type { RedisConnections } from '../../stores/redis/connections.js'
import { BUS_NODES_KEYS } from '../../stores/redis/keys.js'
import { explainFailure } from '../../stores/redis/redis-errors.js'
import { textOf } from '../../stores/redis/reply.js'
import { makeScript, type Script } from '../../stores/redis/script-loader.js'

const ALIVE_MS = 10_000

/** The store's time, always. */
const NOW = ''

export class Membership {
  readonly #connections: RedisConnections
  /** Of this process's bus. */
  readonly #id: string
  readonly #join = makeScript('bus-join', {})
  readonly #leave = makeScript('bus-leave', {})
  readonly #nodes = makeScript('bus-nodes', {})

  constructor(connections: RedisConnections, id: string) {
    this.#connections = connections
    this.#id = id
  }

  /** To join, and to say that the node lives. False: another process has the name. */
  async live(node: string): Promise<boolean> {
    return (await this.#run(this.#join, [NOW, node, this.#id, ALIVE_MS])) === 1
  }

  async leave(node: string): Promise<void> {
    await this.#run(this.#leave, [node, this.#id])
  }

  async nodes(): Promise<readonly string[]> {
    const names = await this.#run(this.#nodes, [NOW])
    if (!Array.isArray(names)) throw new OutcomeUnknown('Redis answers with no list of nodes')
    return names.map((name: unknown) => textOf(name))
  }

  async #run(script: Script, args: ReadonlyArray<string | number>): Promise<unknown> {
    try {
      return await this.#connections.run({ script, keys: BUS_NODES_KEYS, args, durable: false })
    } catch (error) {
      throw explainFailure(error)
    }
  }
}
