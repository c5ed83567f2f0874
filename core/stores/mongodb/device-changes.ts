// Changes of devices, for whoever makes some: the port (mongo-mailbox.ts), and what looks after devices that nobody uses.

import type { Logger } from '../../log.js'
import type { MongoCounters } from '../../metrics/mongo-counters.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import type { MongoConnection } from './connection.js'
import { DeviceCommit, type FaultPoint } from './device-commit.js'
import { type DeviceChange, DeviceSteps } from './device-steps.js'
import type { EventRelay } from './event-relay.js'
import type { PreparedMessage } from './transitions.js'

export interface ChangesContext {
  readonly connection: MongoConnection
  readonly limits: MailboxLimits
  readonly log: Logger
  readonly counters: MongoCounters
  readonly relay: Pick<EventRelay, 'wake'>
  /** For tests. */
  readonly fault?: (point: FaultPoint) => Promise<void>
}

export interface ChangeOptions {
  readonly creates?: boolean
  readonly messages?: readonly PreparedMessage[]
}

/** What a change without messages counts as. */
const CHANGE_BYTES = 256

export class DeviceChanges {
  readonly #steps: DeviceSteps

  constructor(context: ChangesContext) {
    const commit = new DeviceCommit({
      ...context,
      outcomes: context.counters.outcomes,
      onTold: () => context.relay.wake(),
    })
    this.#steps = new DeviceSteps(
      (work) => commit.run(work),
      () => performance.now(),
      () => context.counters.conflicts++,
    )
  }

  /** One change of one device; what `apply` made of the state that was written. Rejects as Mailbox does. */
  change<T>(device: string, apply: DeviceChange<T>['apply'], options: ChangeOptions = {}): Promise<T> {
    const { creates = false, messages = [] } = options
    let bytes = CHANGE_BYTES
    for (const { size } of messages) bytes += size
    return this.#steps.change(device, { apply, creates, messages, bytes })
  }
}
