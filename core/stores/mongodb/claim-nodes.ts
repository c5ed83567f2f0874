// The nodes that have claims. While this process lives it says so for its own in the store, and sees there which others do not: what
// they left is cleared away by one of the living (claims-sweep.ts). Nothing is fenced by it: a node that was only frozen finds its
// claims gone when it comes back, as after any takeover.

import type { Logger } from '../../log.js'
import { randomId } from '../../random-id.js'
import type { Collection } from 'mongodb'
import type { Named } from './collections.js'
import { Background } from './background.js'
import { explainFailure, isAway, isDuplicateKey, messageOf } from './mongo-errors.js'
import { newSign, nextSign, readSign } from './node-document.js'
import { NodeWatch, type ProcessSign } from './node-watch.js'

/** A process that said nothing for so long is dead. Longer than most devices of a killed node take to come back elsewhere. */
export const CLAIM_LEASE_MS = 20_000
/** How often it says so in that time. */
const RENEWALS = 10
/** Processes that are looked at. */
const MOST = 10_000

export interface ClaimNodesOptions {
  readonly nodes: Collection<Named>
  readonly log: Logger
  readonly monotonic: () => number
  readonly leaseMs: number
}

export class ClaimNodes {
  readonly #nodes: Collection<Named>
  readonly #log: Logger
  readonly #monotonic: () => number
  readonly #watch: NodeWatch
  readonly #me = randomId()
  /** Node → it is known to the store. */
  readonly #own = new Map<string, Promise<void>>()
  readonly #background: Background

  constructor({ nodes, log, monotonic, leaseMs }: ClaimNodesOptions) {
    this.#nodes = nodes
    this.#log = log
    this.#monotonic = monotonic
    this.#watch = new NodeWatch(leaseMs)
    this.#background = new Background({
      intervalMs: leaseMs / RENEWALS,
      round: () => this.#renew(),
      // Nobody is declared dead while the store is away.
      failed: (error) => log[isAway(error) ? 'debug' : 'warn']({ reason: messageOf(error) }, 'claim_nodes_failed'),
    })
  }

  /** Before the first claim for a node: a claim of a node that nobody knows would never be ended. Rejects as Mailbox does. */
  know(node: string): Promise<void> {
    const known = this.#own.get(node)
    if (known !== undefined) return known
    const knowing = this.#say([...this.#own.keys(), node]).catch((error: unknown) => {
      this.#own.delete(node)
      throw explainFailure(error)
    })
    this.#own.set(node, knowing)
    return knowing
  }

  /** As of the last look, which was not long ago: this process does what one has to do for all. */
  get isCaretaker(): boolean {
    return !this.#background.closed && this.#watch.isFresh(this.#monotonic()) && this.#watch.caretaker === this.#me
  }

  /** Those that nobody has cleared up after. */
  get dead(): readonly ProcessSign[] {
    return this.#watch.dead
  }

  /** To be asked before each step: it may have come back, or another process have become the caretaker. */
  isDead(node: string): boolean {
    return this.isCaretaker && this.#watch.isDeadNode(node)
  }

  /** There is nothing left of it; unless it has given a sign of life meanwhile. */
  async forget({ process, sign }: ProcessSign): Promise<void> {
    await this.#nodes.deleteOne({ _id: process, sign })
  }

  async #renew(): Promise<void> {
    await this.#say([...this.#own.keys()])
    const found = await this.#nodes
      .find({ _id: { $gt: '' } })
      .sort({ _id: 1 })
      .limit(MOST)
      .toArray()
    this.#watch.look(found.map(readSign), this.#monotonic())
  }

  async #say(nodes: readonly string[]): Promise<void> {
    const sign = randomId()
    const update = nextSign(nodes, sign)
    if ((await this.#nodes.updateOne({ _id: this.#me }, update)).matchedCount === 1) return
    // The first one, or it was taken for dead and is not.
    await this.#nodes.insertOne(newSign(this.#me, nodes, sign)).catch(async (error: unknown) => {
      if (!isDuplicateKey(error)) throw error
      await this.#nodes.updateOne({ _id: this.#me }, update)
    })
  }

  /** Never rejects: what could not be said is found out when the lease is over. */
  async close(): Promise<void> {
    await this.#background.close()
    try {
      // Claims that were not given back are ended by others, at once.
      if (this.#own.size === 0) await this.#nodes.deleteOne({ _id: this.#me })
      else await this.#nodes.updateOne({ _id: this.#me }, { $set: { left: true } })
    } catch (error) {
      this.#log.debug({ reason: messageOf(error) }, 'claim_nodes_not_left')
    }
  }
}
