// What dead nodes left is cleared away: each of their claims ends as if it had been released, so that the device counts as away, and
// its waiting messages are told. An index leads from a node to its devices; each claim is looked at again when it ends, so a device
// that somebody else owns by then stays as it is.

import type { Logger } from '../../log.js'
import type { MongoCounters } from '../../metrics/mongo-counters.js'
import { Background, pause } from './background.js'
import type { ClaimNodes } from './claim-nodes.js'
import type { Collections } from './collections.js'
import type { DeviceChanges } from './device-changes.js'
import { isAway, messageOf } from './mongo-errors.js'
import type { ProcessSign } from './node-watch.js'
import { inOneAnswer } from './one-answer.js'

/** Ids that are asked for at a time. */
const PAGE = 2_000
/** Claims that end in a step, and the most in a second. */
export const CLAIMS_IN_STEP = 64
export const DEVICES_PER_SECOND = 2_000

export interface ClaimsSweepOptions {
  readonly collections: Collections
  readonly nodes: ClaimNodes
  readonly changes: DeviceChanges
  readonly now: () => number
  readonly counters: Pick<MongoCounters, 'claimsEnded'>
  readonly log: Logger
  readonly intervalMs: number
}

/** The question for devices of `node` behind `after`. */
export const claimsOf = (node: string, after: string) => ({ 'r.node': node, _id: { $gt: after } })

export class ClaimsSweep {
  readonly #options: ClaimsSweepOptions
  readonly #background: Background

  constructor(options: ClaimsSweepOptions) {
    const { log, intervalMs } = options
    this.#options = options
    this.#background = new Background({
      intervalMs,
      round: () => this.#round(),
      failed: (error) => log[isAway(error) ? 'debug' : 'warn']({ reason: messageOf(error) }, 'claim_nodes_failed'),
    })
  }

  close(): Promise<void> {
    return this.#background.close()
  }

  async #round(): Promise<void> {
    const { nodes } = this.#options
    if (!nodes.isCaretaker) return
    for (const process of nodes.dead) await this.#clear(process)
  }

  async #clear(process: ProcessSign): Promise<void> {
    const { nodes, log } = this.#options
    for (const node of process.nodes) {
      // Another process that lives says that it is its own.
      if (!nodes.isDead(node)) continue
      const seen = await this.#clearNode(node)
      if (seen.ended > 0) log.info({ node, claims: seen.ended }, 'claims_of_dead_node_ended')
      if (!seen.whole) return
    }
    if (nodes.isCaretaker && !this.#background.closed) await nodes.forget(process)
  }

  /** `whole`: every claim was looked at. */
  async #clearNode(node: string): Promise<{ readonly ended: number; readonly whole: boolean }> {
    const { collections, nodes, counters } = this.#options
    let ended = 0
    let failed = 0
    for (let after = ''; ;) {
      const found = await collections.devices
        .find(claimsOf(node, after), { projection: { _id: 1 }, ...inOneAnswer(PAGE) })
        .sort({ _id: 1 })
        .limit(PAGE)
        .toArray()
      for (let from = 0; from < found.length; from += CLAIMS_IN_STEP) {
        if (this.#background.closed || !nodes.isDead(node)) return { ended, whole: false }
        const some = found.slice(from, from + CLAIMS_IN_STEP).map(({ _id }) => _id)
        for (const answer of await Promise.allSettled(some.map((device) => this.#end(device, node)))) {
          if (answer.status === 'rejected') failed++
          else if (answer.value) {
            ended++
            counters.claimsEnded++
          }
        }
        await pause((some.length * 1000) / DEVICES_PER_SECOND)
      }
      if (found.length < PAGE) return { ended, whole: failed === 0 }
      after = found.at(-1)?._id ?? after
    }
  }

  /** False: it is somebody else's by now, or nobody's. */
  #end(device: string, node: string): Promise<boolean> {
    return this.#options.changes.change(device, (state) => {
      if (state === null || state.fields.claim?.node !== node) return false
      state.endClaim(this.#options.now())
      return true
    })
  }
}
