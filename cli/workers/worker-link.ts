// A worker's side of the channel to its parent. Node ends a worker whose parent is gone.

import type { Environment } from '../../core/config/read-environment.js'
import type { Ports } from '../compose.js'
import { readOrder, type Question, type Report, type WorkerReadiness } from './worker-messages.js'

/** The worker's number, in its environment; without the product's prefix, because it is no setting. */
export const WORKER_VARIABLE = 'PR_WORKER_NUMBER'

export interface WorkerAnswers {
  metrics(): Promise<readonly unknown[]>
  readiness(): Promise<WorkerReadiness>
}

export interface WorkerLink {
  readonly number: number
  /** Orders that have come are carried out now. */
  onOrders(orders: { drain(): void; hurry(): void }): void
  answers(answers: WorkerAnswers): void
  serving(ports: Ports): void
}

/** What is needed of `process`. */
export interface Channel {
  onMessage(listener: (message: unknown) => void): void
  /** A parent that is gone does not hear it; Node ends this process then. */
  send(report: Report): void
}

/** Null: this process is no worker. */
export function workerLink(
  env: Environment,
  channel: Channel | null,
  onError: (error: unknown) => void,
): WorkerLink | null {
  const number = Number(env[WORKER_VARIABLE])
  if (!Number.isInteger(number) || number < 1 || channel === null) return null
  let orders: { drain(): void; hurry(): void } | null = null
  let answers: WorkerAnswers | null = null
  const early: Array<'drain' | 'hurry'> = []

  async function tell(id: number, what: Question): Promise<void> {
    if (what === 'metrics') channel?.send({ said: what, id, metrics: (await answers?.metrics()) ?? [] })
    else {
      const readiness = (await answers?.readiness()) ?? { ready: false, why: 'starting' }
      channel?.send({ said: what, id, ...readiness })
    }
  }

  channel.onMessage((message) => {
    const order = readOrder(message)
    if (order === null) return
    if (order.do === 'tell') tell(order.id, order.what).catch(onError)
    else if (orders === null) early.push(order.do)
    else orders[order.do]()
  })
  // What the parent said before was heard by nobody.
  channel.send({ said: 'here' })

  return {
    number,
    onOrders(given) {
      orders = given
      for (const order of early.splice(0)) given[order]()
    },
    answers(given) {
      answers = given
    },
    serving: (ports) => channel.send({ said: 'serving', ports }),
  }
}

/** The channel to the parent; null: there is none. */
export function parentChannel(): Channel | null {
  if (process.send === undefined) return null
  return {
    onMessage: (listener) => void process.on('message', listener),
    send: (report) => void process.send?.(report, undefined, {}, () => undefined),
  }
}
