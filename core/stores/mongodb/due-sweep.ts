// Messages of devices that nobody uses expire, too, and are told: one process looks at those whose time has come (due.ts). Empty inboxes,
// and devices that are connected, cost nothing.

import type { Logger } from '../../log.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import { Background, pause } from './background.js'
import type { ClaimNodes } from './claim-nodes.js'
import { CLAIMS_IN_STEP, DEVICES_PER_SECOND } from './claims-sweep.js'
import type { Collections } from './collections.js'
import type { DeviceChanges } from './device-changes.js'
import { dueTime } from './due.js'
import { isAway, messageOf } from './mongo-errors.js'

export interface DueSweepOptions {
  readonly collections: Collections
  readonly nodes: Pick<ClaimNodes, 'isCaretaker'>
  readonly changes: DeviceChanges
  readonly limits: MailboxLimits
  readonly now: () => number
  readonly log: Logger
  readonly intervalMs: number
}

/** The question for devices whose time has come. */
export const dueUntil = (now: number) => ({ due: { $gt: 0, $lte: now } })

export class DueSweep {
  readonly #options: DueSweepOptions
  readonly #background: Background

  constructor(options: DueSweepOptions) {
    const { log, intervalMs } = options
    this.#options = options
    this.#background = new Background({
      intervalMs,
      round: () => this.#round(),
      failed: (error) => log[isAway(error) ? 'debug' : 'warn']({ reason: messageOf(error) }, 'due_sweep_failed'),
    })
  }

  close(): Promise<void> {
    return this.#background.close()
  }

  async #round(): Promise<void> {
    const { collections, nodes, now } = this.#options
    // Those that cannot be changed (a newer version wrote them, and looks after them) stay in front.
    let failed = 0
    while (nodes.isCaretaker && !this.#background.closed) {
      const found = await collections.devices
        .find(dueUntil(now()), { projection: { _id: 1 } })
        .sort({ due: 1 })
        .skip(failed)
        .limit(CLAIMS_IN_STEP)
        .toArray()
      const answers = await Promise.allSettled(found.map(({ _id }) => this.#look(_id)))
      failed += answers.filter(({ status }) => status === 'rejected').length
      if (found.length < CLAIMS_IN_STEP) return
      await pause((found.length * 1000) / DEVICES_PER_SECOND)
    }
  }

  /** What time does to it has been done to the state already; here its next time is noted. */
  #look(device: string): Promise<void> {
    return this.#options.changes.change(device, (state) => {
      if (state === null) return
      const due = dueTime(state, this.#options.limits)
      if (due === state.notes.due) return
      state.notes.due = due
      state.changed = true
    })
  }
}
