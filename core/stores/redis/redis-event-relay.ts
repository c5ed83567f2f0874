// Redis Cluster: the events of a device are written in the slot of the device, with the change that they tell of, and brought from
// there into the one log. One process does it at a time, whichever has the lease. What it brings counts as brought when the log
// has it, and is taken out of the slot after that; who goes on in between brings the same batch again, which the log notices.
//
// A slot whose server lost its last second in a failover may hold again what was taken out: those events come twice.

import { PostriderError } from '../../errors.js'
import type { Logger } from '../../log.js'
import { randomId } from '../../random-id.js'
import { ask, changeKeys, lookKeys, type StoreContext } from './device-scripts.js'
import { EVENT_RELAY_KEYS, eventOutboxKey, EVENTS_KEY } from './keys.js'
import { messageOf } from './redis-errors.js'
import { listOf, numberOf, textOf } from './reply.js'
import { slotTags } from './slot.js'

const POLL_MS = 250
const LEASE_MS = 3_000
/** Events of a slot that are brought in one step. */
const BATCH = 100
/** Slots that are worked on at a time. */
const AT_ONCE = 32
/** Streams that one script looks at: about a millisecond. */
const SCAN = 2_000

export class RedisEventRelay {
  readonly #context: StoreContext
  readonly #log: Logger
  /** By slot. */
  readonly #keys: readonly string[]
  readonly #me = randomId()
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | null = null
  #heldUntil = 0
  #askAgainAt = 0
  #closed = false

  constructor(context: StoreContext, log: Logger, tags: readonly string[] = slotTags()) {
    this.#context = context
    this.#log = log
    this.#keys = tags.map(eventOutboxKey)
    this.#timer = setInterval(() => this.#poll(), POLL_MS)
    this.#timer.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#running
    if (performance.now() < this.#heldUntil) {
      // It would end by itself in a few seconds.
      await ask(this.#context, 'del', [EVENT_RELAY_KEYS.lease]).catch(() => undefined)
    }
  }

  #poll(): void {
    if (this.#running !== null || this.#closed) return
    this.#running = this.#run()
      .catch((error: unknown) => {
        const fields = { reason: messageOf(error) }
        if (error instanceof PostriderError) this.#log.debug(fields, 'event_relay_failed')
        else this.#log.warn(fields, 'event_relay_failed')
      })
      .finally(() => {
        this.#running = null
      })
  }

  async #run(): Promise<void> {
    if (!(await this.#hold())) return
    for (const slots of this.#context.connections.slotsByMaster()) {
      for (let from = 0; from < slots.length; from += SCAN) {
        await this.#bringAll(await this.#scan(slots.slice(from, from + SCAN)))
      }
    }
  }

  /** False: another process has the lease. */
  async #hold(): Promise<boolean> {
    const now = performance.now()
    if (now < this.#heldUntil - (LEASE_MS * 2) / 3) return true
    if (now < this.#askAgainAt) return false
    const { lease } = EVENT_RELAY_KEYS
    const taken = await ask(this.#context, 'set', [lease, this.#me, 'NX', 'PX', LEASE_MS])
    if (taken === null) {
      const holder = await ask(this.#context, 'get', [lease])
      if (holder === null || textOf(holder) !== this.#me) {
        this.#askAgainAt = now + LEASE_MS / 3
        return false
      }
      await ask(this.#context, 'pexpire', [lease, LEASE_MS])
    }
    this.#heldUntil = now + LEASE_MS
    return true
  }

  async #scan(slots: readonly number[]): Promise<readonly number[]> {
    const keys = slots.map((slot) => this.#keyOf(slot))
    const found = listOf(await lookKeys(this.#context, 'events-scan', keys.slice(0, 1), keys))
    return found.flatMap((place) => slots[numberOf(place) - 1] ?? [])
  }

  async #bringAll(slots: readonly number[]): Promise<void> {
    for (let from = 0; from < slots.length; from += AT_ONCE) {
      const all = await Promise.allSettled(slots.slice(from, from + AT_ONCE).map((slot) => this.#bring(slot)))
      for (const one of all) if (one.status === 'rejected') throw one.reason
    }
  }

  async #bring(slot: number): Promise<void> {
    const key = this.#keyOf(slot)
    for (;;) {
      const entries = listOf(await ask(this.#context, 'xrange', [key, '-', '+', 'COUNT', BATCH])).map(listOf)
      const last = entries.at(-1)
      if (last === undefined) return
      const args = entries.flatMap(([id, fields]) => [textOf(id), listOf(fields)[1]])
      const { lease, brought } = EVENT_RELAY_KEYS
      const batch = args.filter((arg) => typeof arg === 'string' || Buffer.isBuffer(arg))
      const done = await changeKeys(
        this.#context,
        'events-relay',
        [EVENTS_KEY, brought, lease],
        [this.#me, slot, ...batch],
      )
      if (numberOf(done) === 0) {
        this.#heldUntil = 0
        return
      }
      const [ms = '', n = ''] = textOf(last[0]).split('-')
      await ask(this.#context, 'xtrim', [key, 'MINID', `${ms}-${BigInt(n) + 1n}`])
      if (entries.length < BATCH) return
    }
  }

  #keyOf(slot: number): string {
    return this.#keys[slot] ?? ''
  }
}
