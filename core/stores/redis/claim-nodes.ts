// The nodes that have claims. While this process lives it says so for its own; what dead ones left is cleared away by one of the
// processes, the caretaker: each claim ends as if it had been released, so that the device counts as away and its waiting messages
// are told. A node that was only frozen finds its claims gone when it comes back, as after any takeover.

import { PostriderError } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { RedisCounters } from '../../metrics/redis-counters.js'
import { randomId } from '../../random-id.js'
import { groupsOf, runGroup } from './device-groups.js'
import { ask, changeKeys, lookKeys, type StoreContext } from './device-scripts.js'
import { CLAIM_NODES_KEYS, claimsPrefix } from './keys.js'
import { LeaseWatch } from './lease-watch.js'
import { messageOf } from './redis-errors.js'
import { listOf, numberOf, textOf } from './reply.js'

/** A node that said nothing for so long is dead. Longer than most devices of a killed node take to come back elsewhere. */
export const CLAIM_LEASE_MS = 20_000
/** How often it says so in that time, and how often in it another process would become the caretaker. */
const RENEWALS = 10
const CARETAKER_PART = 3 / RENEWALS
/** Shards that one script looks at: less than a millisecond. */
const SCAN = 2_000
const SCAN_PAUSE_MS = 20
/** Of each server. */
const CLAIMS_PER_SECOND = 2_000
/** Asked of a hash at a time; small ones answer with all. */
const PAGE = 64

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
    const [now, , ...dead] = await this.#live([...this.#own.keys()], declaresAt)
    this.#watch.done(begun, numberOf(now))
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
    for (const node of this.#dead) {
      const { shards } = this.#context
      const servers = await Promise.allSettled(shards.byServer().map((tags) => this.#clearOn(tags, node)))
      let claims = 0
      let left = false
      for (const server of servers) {
        if (server.status === 'rejected') throw server.reason
        claims += server.value.ended
        left ||= server.value.left
      }
      if (claims > 0) this.#log.info({ node, claims }, 'claims_of_dead_node_ended')
      if (left || !this.#isDead(node)) continue
      await changeKeys(this.#context, 'claims-done', CLAIM_NODES_KEYS, [node])
    }
  }

  /** Asked again and again: it may have come back, or another process have become the caretaker. */
  #isDead(node: string): boolean {
    return !this.#closed && this.#dead.has(node)
  }

  async #clearOn(tags: readonly string[], node: string): Promise<{ readonly ended: number; readonly left: boolean }> {
    let ended = 0
    let left = false
    for (let from = 0; from < tags.length && this.#isDead(node); from += SCAN) {
      const some = tags.slice(from, from + SCAN)
      const keys = some.map((tag) => claimsPrefix(tag) + node)
      const found = listOf(await lookKeys(this.#context, 'claims-scan', keys.slice(0, 1), keys))
      for (const place of found) {
        const shard = await this.#clearShard(some[numberOf(place) - 1] ?? '', node)
        ended += shard.ended
        left ||= shard.left
      }
      await pause(SCAN_PAUSE_MS)
    }
    return { ended, left }
  }

  async #clearShard(tag: string, node: string): Promise<{ readonly ended: number; readonly left: boolean }> {
    const prefix = claimsPrefix(tag)
    let ended = 0
    let cursor = '0'
    do {
      const [next, flat] = listOf(await ask(this.#context, 'hscan', [prefix + node, cursor, 'COUNT', PAGE]))
      const devices = listOf(flat).flatMap((entry, i) => (i % 2 === 0 ? textOf(entry) : []))
      // All of them are in one slot.
      const parts = devices.map((device) => ({ device, bytes: 0, write: () => undefined }))
      for (const group of groupsOf(parts, true)) {
        if (!this.#isDead(node)) return { ended, left: true }
        const reply = await runGroup(this.#context, 'claims-end', group, [prefix, node], true)
        // One that a newer version wrote is left to that.
        const results = group.map(() => reply.failure() === null && reply.uint8() === 1)
        const count = results.filter(Boolean).length
        ended += count
        this.#counters.claimsEnded += count
        await pause((group.length * 1000) / CLAIMS_PER_SECOND)
      }
      cursor = textOf(next)
    } while (cursor !== '0')
    const exists = await ask(this.#context, 'exists', [prefix + node])
    return { ended, left: exists === 1 }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
