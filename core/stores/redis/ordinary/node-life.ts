// That a node is known to live, and what is done when it was taken for dead, when Redis was replaced, or when the node missed
// something. Every node clears up after dead ones, a page at a time.
//
//   joined ──every 2 s: renew──▶ known ─▶ go on
//                          └───▶ not known, or another Redis answers ─▶ a new name: filters and connections move to it, what
//                                 is not the connection's any more is closed, the old stream is read to its end
//
// When it declares others dead, lease-watch.ts says.

import { randomId } from '../../../random-id.js'
import type { Logger } from '../../../log.js'
import type { HeldConnection, SharedHandler } from '../../../ports/shared-sessions.js'
import type { OrdinaryCalls, UplinkWill } from './calls.js'
import { LeaseWatch } from '../lease-watch.js'
import { messageOf } from '../redis-errors.js'

/** Its lease is renewed so often in it. */
const RENEWALS = 5
const RETRY_MS = 500
/** Clearing up goes on after a pause: Redis has other things to do. */
const MORE_MS = 20
/** Connections in one step. */
const PAGE = 500
const STOP_PAGES = 200

export interface NodeLifeOptions {
  readonly calls: OrdinaryCalls
  readonly handler: SharedHandler
  /** Connections that have ended, and not been stored as ended yet. */
  readonly leaving: () => Iterable<HeldConnection>
  /** The generation of the store. */
  readonly generation: () => string
  /** The node goes on under this name; everything is moved. `done`: what came under the old one was read. */
  readonly renamed: (to: string, done: () => void) => void
  /** Says how far the stream was read. */
  readonly say: () => Promise<void>
  readonly monotonic: () => number
  readonly log: Logger
  /** How long a node is known without a sign of life. */
  readonly leaseMs: number
}

export class NodeLife {
  readonly #options: NodeLifeOptions
  readonly #leaseMs: number
  #node = newName()
  /** The name before, while there may be something left of it. */
  #from: string | null = null
  #missed = false
  #generation: string
  readonly #watch: LeaseWatch
  #timer: NodeJS.Timeout | null = null
  #turn: Promise<void> = Promise.resolve()
  #stopped = false
  /** Wills that this node is storing in the uplink. */
  readonly #uplinkWills = new Set<string>()

  constructor(options: NodeLifeOptions) {
    this.#options = options
    this.#leaseMs = options.leaseMs
    this.#watch = new LeaseWatch(options.leaseMs, options.monotonic)
    this.#generation = options.generation()
  }

  /** Its name now. */
  get node(): string {
    return this.#node
  }

  /** Rejects with StoreUnavailable. */
  async join(): Promise<void> {
    await this.#live('join')
    this.#plan(0)
  }

  /** There may be something to clear up. */
  soon(): void {
    this.#plan(0)
  }

  /** The stream said that something is missing in it. */
  missed(): void {
    this.#missed = true
    this.#plan(0)
  }

  /** Never rejects. What could not be done is done by others when the lease is over. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#turn
    try {
      for (let page = 0; page < STOP_PAGES; page++) {
        const { more, uplinkWills } = await this.#options.calls.live(this.#node, 'leave', {
          declaresAt: 0,
          clears: true,
        })
        await Promise.all(uplinkWills.map((will) => this.#storeWill(will)))
        if (!more) break
      }
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, 'ordinary_node_not_left')
    }
  }

  #plan(ms: number): void {
    if (this.#stopped) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#turn = this.#turn.then(() => this.#renew())
    }, ms)
  }

  async #renew(): Promise<void> {
    if (this.#stopped) return
    let next = this.#leaseMs / RENEWALS
    try {
      if (this.#from === null && this.#generation === this.#options.generation()) {
        const { known, more } = await this.#live('renew')
        if (!known) this.#rename()
        else if (more) next = MORE_MS
      } else if (this.#from === null) this.#rename()
      if (this.#from !== null) await this.#move(this.#from)
      if (this.#missed) await this.#check()
    } catch (error) {
      this.#options.log.debug({ reason: messageOf(error) }, 'ordinary_node_not_renewed')
      next = RETRY_MS
    }
    this.#plan(next)
  }

  async #live(what: 'join' | 'renew'): Promise<{ readonly known: boolean; readonly more: boolean }> {
    const { calls, handler } = this.#options
    const renews = what === 'renew'
    const { begun, declaresAt } = this.#watch.begin()
    const answer = await calls.live(this.#node, what, { declaresAt: renews ? declaresAt : 0, clears: renews })
    this.#watch.done(begun, answer.now)
    handler.onTotals(answer)
    handler.onDrops(answer.drops)
    for (const will of answer.uplinkWills) void this.#storeWill(will)
    return answer
  }

  async #storeWill(will: UplinkWill): Promise<void> {
    if (this.#uplinkWills.has(will.id)) return
    this.#uplinkWills.add(will.id)
    try {
      await this.#options.handler.onUplinkWill(will.message)
      await this.#options.calls.uplinkWillStored(will.id)
    } catch (error) {
      this.#options.log.warn({ reason: messageOf(error) }, 'a will could not be stored; it is tried again')
    }
    this.#uplinkWills.delete(will.id)
  }

  #rename(): void {
    this.#from = this.#node
    this.#node = newName()
    this.#options.log.warn({ from: this.#from, to: this.#node }, 'ordinary_node_renamed')
  }

  async #move(from: string): Promise<void> {
    const { calls, handler, leaving, generation, renamed, log } = this.#options
    const before = generation()
    await this.#live('join')
    const known = await calls.live(from, 'renew', { declaresAt: 0, clears: false }).then((answer) => answer.known)
    await calls.interests(from, this.#node, [...handler.filters()])
    await this.#checkAll(from, this.#node, leaving())
    // A stream that was cleared away may have had something in it.
    if (!known) handler.onMissed()
    this.#generation = before
    this.#from = null
    renamed(this.#node, () => {
      calls.live(from, 'leave', { declaresAt: 0, clears: false }).catch((error: unknown) => {
        log.debug({ reason: messageOf(error) }, 'ordinary_node_not_left') // its lease ends
      })
    })
  }

  /** The stream goes on; what it left out is in the queues, or lost. */
  async #check(): Promise<void> {
    this.#missed = false
    try {
      // Else there is no room yet, and the next message is missed, too.
      await this.#options.say()
      await this.#options.calls.seen(this.#node, '0-0', 0, true)
      await this.#checkAll(this.#node, this.#node, [])
      this.#options.handler.onMissed()
    } catch (error) {
      this.#missed = true
      throw error
    }
  }

  async #checkAll(from: string, to: string, leaving: Iterable<HeldConnection>): Promise<void> {
    const { calls, handler } = this.#options
    const held = [...handler.held()]
    for (let at = 0; at < held.length; at += PAGE) {
      const page = held.slice(at, at + PAGE)
      const answers = await calls.move(from, to, page)
      for (const [i, connection] of page.entries()) handler.onChecked(connection, answers[i] ?? null)
    }
    const left = [...leaving]
    for (let at = 0; at < left.length; at += PAGE) await calls.move(from, to, left.slice(at, at + PAGE))
  }
}

const newName = (): string => randomId()
