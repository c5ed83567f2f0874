// Looks at devices' documents. Those that are asked for in one turn, or while others are under way, share a question: a thousand calls
// do not wait for a thousand connections. Each begins after it was asked for, so it sees all that was answered before.

import type { Collection } from 'mongodb'
import { StoreUnavailable } from '../../errors.js'
import type { Named } from './collections.js'
import { WITHOUT_BODIES_AND_DEDUP, WITHOUT_DEDUP } from './device-document.js'
import { explainUnanswered } from './mongo-errors.js'
import { inOneAnswer } from './one-answer.js'

const KINDS = {
  /** The record and what is known of the messages. */
  record: { projection: WITHOUT_BODIES_AND_DEDUP, together: 500, atOnce: 4 },
  /** With the bodies of the tail. */
  bodies: { projection: WITHOUT_DEDUP, together: 64, atOnce: 8 },
} as const
export type LookKind = keyof typeof KINDS

const MOST_WAITING = 100_000

interface Waiting {
  readonly device: string
  readonly resolve: (document: unknown) => void
  readonly reject: (reason: unknown) => void
}

export class DeviceLooks {
  readonly #devices: Collection<Named>
  readonly #lanes = { record: new Lane(), bodies: new Lane() }

  constructor(devices: Collection<Named>) {
    this.#devices = devices
  }

  /** The device's document; null: there is none. Rejects with StoreUnavailable. */
  look(device: string, kind: LookKind): Promise<unknown> {
    const lane = this.#lanes[kind]
    if (lane.waiting.length >= MOST_WAITING) {
      return Promise.reject(new StoreUnavailable('too many questions wait for MongoDB'))
    }
    return new Promise((resolve, reject) => {
      lane.waiting.push({ device, resolve, reject })
      this.#schedule(kind)
    })
  }

  #schedule(kind: LookKind): void {
    const lane = this.#lanes[kind]
    if (lane.scheduled || lane.running >= KINDS[kind].atOnce) return
    lane.scheduled = true
    setImmediate(() => {
      lane.scheduled = false
      while (lane.waiting.length > 0 && lane.running < KINDS[kind].atOnce) void this.#ask(kind)
    })
  }

  async #ask(kind: LookKind): Promise<void> {
    const { together, projection } = KINDS[kind]
    const lane = this.#lanes[kind]
    const asked = lane.waiting.splice(0, together)
    lane.running++
    try {
      const ids = [...new Set(asked.map(({ device }) => device))]
      const found = await this.#devices
        .find({ _id: { $in: ids } }, { projection, ...inOneAnswer(ids.length) })
        .toArray()
      const byId = new Map(found.map((document): [string, unknown] => [document._id, document]))
      for (const { device, resolve } of asked) resolve(byId.get(device) ?? null)
    } catch (error) {
      for (const { reject } of asked) reject(explainUnanswered(error))
    } finally {
      lane.running--
      if (lane.waiting.length > 0) this.#schedule(kind)
    }
  }
}

class Lane {
  readonly waiting: Waiting[] = []
  running = 0
  scheduled = false
}
