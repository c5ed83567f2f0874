// Who may use the store: one process alone, or any number that share a bus. Ordinary pub/sub of a process alone is of one writer, so a
// second one must not begin. Nothing else hangs on it: mailboxes are guarded change by change.

import { hostname } from 'node:os'
import { StartupError } from '../../errors.js'
import type { Logger } from '../../log.js'
import { randomId } from '../../random-id.js'
import type { MongoConnection } from './connection.js'
import { fieldsOf, numberOf, textOf } from './fields.js'
import { isDuplicateKey, messageOf } from './mongo-errors.js'

/** Where it stands in `meta`. */
const LEASE_ID = 'lease'
const LEASE_MS = 6_000
const RENEW_MS = 2_000
const LOOK_MS = 250

/** `alone`: no other process may use the store. `shared`: others may that share it, too. */
export type StoreUse = 'alone' | 'shared'

export interface LeaseOptions {
  readonly connection: MongoConnection
  readonly use: StoreUse
  /** For errors, without secrets. */
  readonly where: string
  readonly log: Logger
  /** Another process took the store, because this one had been without a sign of life for so long. */
  readonly onLost: () => void
}

interface Held {
  readonly owner: string
  readonly host: string
  readonly pid: number
  readonly until: number
}

export class StoreLease {
  readonly #options: LeaseOptions
  readonly #owner = randomId()
  #timer: NodeJS.Timeout | null = null
  #renewing: Promise<void> | null = null

  private constructor(options: LeaseOptions) {
    this.#options = options
  }

  /** Rejects with StartupError when others use the store in a way that leaves no room for this one. Waits for those that are gone. */
  static async take(options: LeaseOptions): Promise<StoreLease> {
    const lease = new StoreLease(options)
    await lease.#prepare()
    const deadline = performance.now() + LEASE_MS + RENEW_MS
    while (!(await lease.#try())) {
      if (performance.now() > deadline) throw lease.#refusal()
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
    lease.#timer = setInterval(() => lease.#renew(), RENEW_MS)
    lease.#timer.unref()
    return lease
  }

  get #meta() {
    return this.#options.connection.collections.meta
  }

  async #prepare(): Promise<void> {
    const nobody = { owner: '', host: '', pid: 0, until: 0, sharedUntil: 0 }
    await this.#meta.insertOne({ _id: LEASE_ID, ...nobody }).catch((error: unknown) => {
      if (!isDuplicateKey(error)) throw error
    })
  }

  async #try(): Promise<boolean> {
    const { connection, use } = this.#options
    const fields = fieldsOf(await this.#meta.findOne({ _id: LEASE_ID }))
    const owner = textOf(fields, 'owner')
    const held = { owner, host: textOf(fields, 'host'), pid: numberOf(fields, 'pid'), until: numberOf(fields, 'until') }
    const now = connection.now()
    if (isAlive(held, now)) return false
    if (use === 'shared') {
      const set = { $set: { owner: '' }, $max: { sharedUntil: now + LEASE_MS } }
      return (await this.#meta.updateOne({ _id: LEASE_ID, owner }, set)).matchedCount === 1
    }
    if (numberOf(fields, 'sharedUntil') > now) return false
    const mine = { owner: this.#owner, host: hostname(), pid: process.pid, until: now + LEASE_MS }
    const filter = { _id: LEASE_ID, owner, sharedUntil: { $lte: now } }
    return (await this.#meta.updateOne(filter, { $set: mine })).matchedCount === 1
  }

  #refusal(): StartupError {
    const { use, where } = this.#options
    return new StartupError(
      use === 'alone'
        ? `${where}: another process uses the store. More nodes than one need a bus, so that they hear of each other's messages: give each of them --bus redis://…`
        : `${where}: another process, which has no bus, uses the store for itself; give it --bus redis://… too, or stop it`,
    )
  }

  #renew(): void {
    this.#renewing ??= this.#renewOnce()
      .catch((error: unknown) => {
        // Nobody can take it while the store is away.
        this.#options.log.debug({ reason: messageOf(error) }, 'store_not_seen')
      })
      .finally(() => {
        this.#renewing = null
      })
  }

  async #renewOnce(): Promise<void> {
    const { connection, use, onLost } = this.#options
    const until = connection.now() + LEASE_MS
    if (use === 'shared') await this.#meta.updateOne({ _id: LEASE_ID }, { $max: { sharedUntil: until } })
    else {
      const kept = await this.#meta.updateOne({ _id: LEASE_ID, owner: this.#owner }, { $set: { until } })
      if (kept.matchedCount === 0 && this.#timer !== null) onLost()
    }
  }

  /** Gives it back. Others that share it keep it. */
  async release(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    await this.#renewing
    if (this.#options.use === 'shared') return
    await this.#meta
      .updateOne({ _id: LEASE_ID, owner: this.#owner }, { $set: { owner: '', until: 0 } })
      .catch(() => undefined)
  }
}

/** A process of this machine that has ended need not be waited for. */
function isAlive({ owner, host, pid, until }: Held, now: number): boolean {
  if (owner === '' || until <= now) return false
  return host !== hostname() || (pid !== process.pid && isRunning(pid))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
