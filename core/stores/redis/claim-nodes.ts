// The nodes that have claims. While this process lives it says so for its own; what dead ones left is cleared away by one of the
// processes, the caretaker: each claim ends as if it had been released, so that the device counts as away and its waiting messages
// are told. A node that was only frozen finds its claims gone when it comes back, as after any takeover.

import { PostriderError } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { RedisCounters } from '../../metrics/redis-counters.js'
import { randomId } from '../../random-id.js'
import { ask, changeKeys, type StoreContext } from './device-scripts.js'
import { CLAIM_NODES_KEYS, claimsKey } from './keys.js'
import { LeaseWatch } from './lease-watch.js'
import { messageOf } from './redis-errors.js'
import { listOf, numberOf, textOf } from './reply.js'
import { DEVICES_PAGE, onDevices, walkShards } from './shard-walk.js'

/** A node that said nothing for so long is dead. Longer than most devices of a killed node take to come back elsewhere. */
export const CLAIM_LEASE_MS = 20_000
/** How often it says so in that time, and how often in it another process would become the caretaker. */
const RENEWALS = 10
const CARETAKER_PART = 3 / RENEWALS
export interface ClaimNodesOptions {
  readonly context: StoreContext
  readonly counters: Pick<RedisCounters, 'claimsEnded'>
  readonly log: Logger
  readonly monotonic: () => number
  readonly leaseMs?: number
}

export class ClaimNodes {
  readonly #context: StoreContext
  readonly #counters: Pick<RedisCounters, 'claimsEnded'>
  readonly #log: Logger
  readonly #leaseMs: number
  readonly #watch: LeaseWatch
  readonly #me = randomId()
  /** Node → it is known to the store. */
  readonly #own = new Map<string, Promise<void>>()
  readonly #timer: NodeJS.Timeout
  #asking: Promise<void> | null = null
  #clearing: Promise<void> | null = null
  /** As of the last look; empty when another process is the caretaker. */
  #dead: ReadonlySet<string> = new Set()
  #caretaker = false
  #closed = false

  constructor({ context, counters, log, monotonic, leaseMs = CLAIM_LEASE_MS }: ClaimNodesOptions) {
    this.#context = context
    this.#counters = counters
    this.#log = log
    this.#leaseMs = leaseMs
    this.#watch = new LeaseWatch(leaseMs, monotonic)
    this.#timer = setInterval(() => this.#tick(), leaseMs / RENEWALS)
    this.#timer.unref()
  }

  /** Before the first claim for a node: a claim that nobody knows of would never be found. Rejects as Mailbox does. */
  know(node: string): Promise<void> {
    const known = this.#own.get(node)
    if (known !== undefined) return known
    const knowing = this.#live([node], 0).then(() => undefined)
    this.#own.set(node, knowing)
    knowing.catch(() => this.#own.delete(node))
    return knowing
  }

  /** As of the last look: this process does what one has to do for all. */
  get isCaretaker(): boolean {
    return this.#caretaker
  }

  /** Never rejects: what could not be said is found out when the lease is over. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#asking
    await this.#clearing
    try {
      await changeKeys(this.#context, 'claims-leave', CLAIM_NODES_KEYS, [this.#me, ...this.#own.keys()])
    } catch (error) {
      this.#log.debug({ reason: messageOf(error) }, 'claim_nodes_not_left')
    }
  }

  #tick(): void {
    if (this.#asking !== null || this.#closed) return
    this.#asking = this.#renew()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#asking = null
      })
  }

  async #renew(): Promise<void> {
    const { begun, declaresAt } = this.#watch.begin()
    const [now, caretaker, ...dead] = await this.#live([...this.#own.keys()], declaresAt)
    this.#watch.done(begun, numberOf(now))
    this.#caretaker = numberOf(caretaker) === 1
    this.#dead = new Set(dead.map(textOf))
    if (this.#dead.size === 0 || this.#clearing !== null || this.#closed) return
    this.#clearing = this.#clear()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#clearing = null
      })
  }

  async #live(nodes: readonly string[], declaresAt: number): Promise<readonly unknown[]> {
    const caretakes = Math.round(this.#leaseMs * CARETAKER_PART)
    const args = [this.#leaseMs, declaresAt, this.#me, caretakes, ...nodes]
    return listOf(await changeKeys(this.#context, 'claims-live', CLAIM_NODES_KEYS, args))
  }

  #failed(error: unknown): void {
    const fields = { reason: messageOf(error) }
    if (error instanceof PostriderError) this.#log.debug(fields, 'claim_nodes_failed')
    else this.#log.warn(fields, 'claim_nodes_failed')
  }

  async #clear(): Promise<void> {
    const context = this.#context
    for (const node of this.#dead) {
      const seen = { claims: 0, left: false }
      await walkShards({
        context,
        scan: 'claims-scan',
        scanArgs: [],
        keyOf: (shard) => claimsKey(shard, node),
        visit: (shard) => this.#clearShard(shard, node, seen),
        goesOn: () => this.#isDead(node),
      })
      if (seen.claims > 0) this.#log.info({ node, claims: seen.claims }, 'claims_of_dead_node_ended')
      if (seen.left || !this.#isDead(node)) continue
      await changeKeys(context, 'claims-done', CLAIM_NODES_KEYS, [node])
    }
  }

  /** Asked again and again: it may have come back, or another process have become the caretaker. */
  #isDead(node: string): boolean {
    return !this.#closed && this.#dead.has(node)
  }

  async #clearShard(shard: string, node: string, seen: { claims: number; left: boolean }): Promise<void> {
    const key = claimsKey(shard, node)
    let cursor = '0'
    do {
      // A small hash answers with all that it has.
      const [next, flat] = listOf(await ask(this.#context, 'hscan', [key, cursor, 'COUNT', DEVICES_PAGE]))
      const devices = listOf(flat).flatMap((entry, i) => (i % 2 === 0 ? textOf(entry) : []))
      for (let from = 0; from < devices.length; from += DEVICES_PAGE) {
        if (!this.#isDead(node)) return
        const some = devices.slice(from, from + DEVICES_PAGE)
        const ended = (await onDevices(this.#context, 'claims-end', some, [shard, node])).filter(
          (answer) => answer === 1,
        )
        seen.claims += ended.length
        this.#counters.claimsEnded += ended.length
      }
      cursor = textOf(next)
    } while (cursor !== '0')
    if ((await ask(this.#context, 'exists', [key])) === 1) seen.left = true
  }
}
